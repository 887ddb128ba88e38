"""The attribution step on files: folds, regions, shares, interruptions and workers."""

import json

import numpy as np
import pytest
import torch

import igc
from igc.config import MethodSettings
from igc.errors import MethodError, MissingFileError, StateMismatchError
from igc.steps import solving
from igc.steps.attribute import attribute_files
from igc.steps.merge import merge
from igc.steps.request import write_request
from igc.store.arrays import read_values
from tests.steps.stored import FOLDS, write_model, write_rois, write_samples

SETTINGS = MethodSettings(method="igc", points=6)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return {
        "samples": write_samples(folder / "samples.zarr"),
        "model": write_model(folder / "mlp-seed0"),
        "rois": write_rois(folder / "rois.zarr"),
    }


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "igc.zarr"
    attribute_files(**study, settings=SETTINGS, output=path, progress=False)
    return igc.open_result(path).load()


def same_bits(first, second):
    for name in ("attribution", "standard_error", "estimator_error", "roi_attribution", "score", "completeness_error"):
        np.testing.assert_array_equal(first[name].values, second[name].values)


def test_folds_are_averaged_by_their_number_of_samples(study, whole):
    samples = igc.open_samples(study["samples"])
    parts, sizes, scores = [], [], []
    for fold in range(FOLDS):
        rows = np.flatnonzero(samples["fold"].values == fold)
        model = igc.load_model(study["model"], fold=fold)
        inputs, responses = read_values(samples["inputs"], rows), read_values(samples["responses"], rows)
        result = igc.attribute(model, (inputs, responses), baselines="mean", progress=False)
        with torch.no_grad():
            predictions = model(torch.as_tensor(inputs)).numpy()
        scores.append([np.corrcoef(predictions[:, k], responses[:, k])[0, 1] for k in range(3)])
        parts.append(result["attribution"].values)
        sizes.append(len(rows))
    assert sizes[0] != sizes[1]
    np.testing.assert_allclose(whole["score"], np.average(scores, axis=0, weights=sizes), atol=1e-6)
    np.testing.assert_allclose(whole["score_fold"], scores, atol=1e-6)
    np.testing.assert_array_equal(whole["n_fold"], sizes)


def test_shared_baselines_over_files_equal_the_same_over_arrays(study, tmp_path):
    settings = MethodSettings(method="igc", baselines="mean")
    attribute_files(**study, settings=settings, output=tmp_path / "x.zarr", progress=False)
    stored = igc.open_result(tmp_path / "x.zarr")
    samples = igc.open_samples(study["samples"])
    total, count = 0.0, 0
    for fold in range(FOLDS):
        rows = np.flatnonzero(samples["fold"].values == fold)
        data = (read_values(samples["inputs"], rows), read_values(samples["responses"], rows))
        model = igc.load_model(study["model"], fold=fold)
        total = total + len(rows) * igc.attribute(model, data, baselines="mean", progress=False)["attribution"].values
        count += len(rows)
    np.testing.assert_allclose(stored["attribution"], total / count, atol=1e-6)


def test_every_set_sums_to_the_score_with_its_rest(whole):
    np.testing.assert_allclose(whole["roi_attribution"].sum("roi"), whole["score"], rtol=0, atol=1e-12)
    assert list(whole["roi"].values) == ["parts/first", "parts/second", "parts/rest"]


def test_the_result_says_where_it_comes_from(whole):
    for name in ("samples_digest", "model_digest", "method", "model", "seed", "points", "igc_version", "seconds"):
        assert name in whole.attrs
    assert whole.attrs["model"] == "mlp-seed0"
    assert whole.attrs["points"] > 6


@pytest.mark.parametrize("count", [2, 3])
def test_shares_merge_to_the_same_bits_and_recompute_nothing(study, whole, tmp_path, monkeypatch, count):
    folders = [tmp_path / f"share{i}" for i in range(count)]
    for i, folder in enumerate(folders, start=1):
        attribute_files(
            **study,
            settings=SETTINGS,
            output=tmp_path / "none.zarr",
            checkpoint=folder,
            share=(i, count),
            progress=False,
        )
        assert not (tmp_path / "none.zarr").exists()
    saved = []
    monkeypatch.setattr("igc.streaming.partials.Partials.save", lambda self, name, arrays: saved.append(name))
    merge(folders, tmp_path / "merged.zarr")
    same_bits(igc.open_result(tmp_path / "merged.zarr"), whole)
    assert not saved


def test_shares_in_one_folder_leave_nothing_to_compute_and_nothing_behind(study, whole, tmp_path, monkeypatch):
    common = {**study, "settings": SETTINGS, "output": tmp_path / "map.zarr", "checkpoint": tmp_path / "states"}
    for i in (3, 1, 2):
        attribute_files(**common, share=(i, 3), progress=False)
    monkeypatch.setattr("igc.streaming.partials.Partials.save", lambda self, name, arrays, seconds=0.0: 1 / 0)
    attribute_files(**common, progress=False)
    result = igc.open_result(tmp_path / "map.zarr")
    same_bits(result, whole)
    assert result.attrs["work_seconds"] > 0
    assert not (tmp_path / "states").exists()


def test_shares_of_different_requests_are_not_merged(study, tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        write_request(tmp_path / name, study["samples"], study["model"], SETTINGS, None, seed)
    with pytest.raises(StateMismatchError, match="seed"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "x.zarr")
    with pytest.raises(MissingFileError, match="request"):
        merge([tmp_path / "c"], tmp_path / "x.zarr")


@pytest.mark.parametrize("share", [(0, 2), (3, 2)])
def test_an_impossible_share_is_refused(study, tmp_path, share):
    with pytest.raises(MethodError, match="share"):
        attribute_files(
            **study, settings=SETTINGS, output=tmp_path / "x.zarr", checkpoint=tmp_path, share=share, progress=False
        )


def test_a_broken_run_goes_on_to_the_same_bits_and_leaves_no_partial(study, whole, tmp_path, monkeypatch):
    import igc.streaming.reduction as reduction

    original, calls = reduction._compute, []

    def dying(task, unit, kind, partials):
        calls.append(task)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return original(task, unit, kind, partials)

    arguments = {**study, "settings": SETTINGS, "output": tmp_path / "x.zarr", "checkpoint": tmp_path / "parts"}
    monkeypatch.setattr(reduction, "_compute", dying)
    with pytest.raises(KeyboardInterrupt):
        attribute_files(**arguments, progress=False)
    assert not (tmp_path / "x.zarr").exists()
    assert list((tmp_path / "parts").rglob("*.safetensors"))
    attribute_files(**arguments, progress=False)
    same_bits(igc.open_result(tmp_path / "x.zarr"), whole)
    assert not (tmp_path / "parts").exists()


@pytest.mark.dask
def test_two_workers_give_the_same_bits(study, whole, tmp_path):
    torch.set_num_threads(1)
    attribute_files(**study, settings=SETTINGS, output=tmp_path / "x.zarr", workers=2, progress=False)
    same_bits(igc.open_result(tmp_path / "x.zarr"), whole)


def test_an_unknown_device_is_named():
    with pytest.raises(MethodError, match="'tpu9'"):
        solving.choose_device("tpu9")


def test_methods_are_listed_with_what_they_need():
    table = igc.methods()
    assert {"igc", "integrated_gradients", "gradient_x_input", "naive_correlation", "linear_igc"} <= set(table.index)
    assert set(table.columns) >= {"title", "needs", "signed", "source"}
    assert json.dumps(table.to_dict())
