from pathlib import Path

import numpy as np
import pytest
import torch

from igc.config import MethodSettings
from igc.models.files import load_model
from igc.steps.attribute import attribute_files
from igc.store.results import open_result
from igc.store.samples import open_samples
from tests.steps.stored import TARGETS, write_model, write_rois, write_samples


@pytest.fixture
def study(tmp_path: Path) -> dict[str, Path]:
    samples = write_samples(tmp_path / "samples.zarr", categories=True)
    model, rois = write_model(tmp_path / "net-seed0"), write_rois(tmp_path / "rois.zarr")
    return {"samples": samples, "model": model, "rois": rois}


def run(study: dict[str, Path], name: str, **settings: object):
    output = study["samples"].parent / f"{name}.zarr"
    attribute_files(**study, settings=MethodSettings(**settings), output=output, progress=False)
    return open_result(output)


def test_a_stored_map_of_an_example_is_that_of_its_fold_and_class(study: dict[str, Path]) -> None:
    result, samples = run(study, "gxi", method="gradient_x_input", examples=12), open_samples(study["samples"])
    rows, targets = result["example_row"].values, result["example_target"].values
    np.testing.assert_array_equal(samples["responses"].values[rows].argmax(axis=1), targets)
    np.testing.assert_array_equal(samples["sample_id"].values[rows], result["example"].values)
    np.testing.assert_array_equal(np.bincount(targets), [12 // TARGETS] * TARGETS)
    folds = samples["fold"].values[rows]
    np.testing.assert_array_equal(folds, result["example_fold"].values)
    assert set(folds) == {0, 1}
    for row, target, fold, found in zip(rows, targets, folds, result["example_attribution"].values, strict=True):
        x = torch.tensor(samples["inputs"].values[row : row + 1], requires_grad=True)
        load_model(study["model"], fold=int(fold))(x)[0, target].backward()
        np.testing.assert_allclose(found, (x * x.grad).detach()[0], rtol=1e-5, atol=1e-7)


def test_samples_that_are_read_as_they_are_needed_have_examples_as_well(
    study: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = run(study, "held", method="gradient_x_input", examples=12)
    monkeypatch.setattr("igc.steps.sources.CACHE_BYTES", 0)
    read = run(study, "read", method="gradient_x_input", examples=12)
    np.testing.assert_array_equal(read["example_attribution"], held["example_attribution"])


def test_the_draws_of_an_example_do_not_depend_on_how_many_there_are(study: dict[str, Path]) -> None:
    every = run(study, "every", method="expected_gradients", points=4, examples=10_000)
    some = run(study, "some", method="expected_gradients", points=4, examples=6)
    assert every.sizes["example"] == int(every["n_fold"].sum())
    places = [every["example_row"].values.tolist().index(row) for row in some["example_row"].values]
    expected = every["example_attribution"].values[places]
    np.testing.assert_allclose(some["example_attribution"], expected, rtol=1e-5, atol=1e-6)


def test_a_costly_method_explains_fewer_of_the_same_examples(study: dict[str, Path]) -> None:
    whole = run(study, "whole", method="gradient_x_input", examples=9)
    few = run(study, "few", method="gradient_x_input", examples=9, samples=3)
    assert int(few["n_fold"].sum()) == few.sizes["example"] == 6
    places = [whole["example_row"].values.tolist().index(row) for row in few["example_row"].values]
    expected = whole["example_attribution"].values[places]
    np.testing.assert_allclose(few["example_attribution"], expected, rtol=1e-5, atol=1e-7)


def test_methods_of_the_whole_dataset_and_settings_of_none_give_no_examples(study: dict[str, Path]) -> None:
    assert "example_attribution" not in run(study, "naive", method="naive_correlation")
    assert "example_attribution" not in run(study, "none", method="gradient_x_input", examples=0)
    assert len(run(study, "default", method="gradient_x_input")["example"]) == 8


def test_a_result_says_with_which_settings_it_was_made(study: dict[str, Path]) -> None:
    settings = MethodSettings(method="integrated_gradients", points=8, baselines="zero", examples=3)
    result = run(study, "stored", **settings.model_dump())
    assert MethodSettings(**result.attrs["settings"]) == settings
