"""The permutation null of stored studies: units named in the store, folds, shares."""

import numpy as np
import pytest
import torch

import igc
from igc.config import MethodSettings
from igc.errors import DataError
from igc.stats.exchange import exchange_units
from igc.steps.attribute import attribute_files
from igc.steps.merge import merge
from igc.steps.request import write_request
from igc.store.arrays import read_values
from tests.steps.stored import FOLDS, write_model, write_rois, write_samples


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return {
        "samples": write_samples(folder / "samples.zarr"),
        "model": write_model(folder / "mlp-seed0"),
        "rois": write_rois(folder / "rois.zarr"),
    }


def attributed(study, path, **options):
    settings = MethodSettings(method="igc", points=4, options={"permutations": 25, "null_points": 1, **options})
    attribute_files(**study, settings=settings, output=path, progress=False)
    return igc.open_result(path).load()


@pytest.mark.parametrize("name", [None, "sample_id"])
def test_folds_are_permuted_apart_by_the_units_of_the_store(study, tmp_path, name):
    result = attributed(study, tmp_path / "x.zarr", **({} if name is None else {"exchange": name}))
    samples = igc.open_samples(study["samples"])
    expected = np.zeros((25, 3))
    for fold in range(FOLDS):
        rows = np.flatnonzero(samples["fold"].values == fold)
        inputs, responses = read_values(samples["inputs"], rows), read_values(samples["responses"], rows)
        predictions = igc.load_model(study["model"], fold=fold)(torch.as_tensor(inputs)).numpy()
        unit = None if name is None else samples[name].values[rows]
        exchange = exchange_units(len(rows), samples["group"].values[rows], unit, samples["sample_id"].values[rows])
        for i in range(25):
            order = exchange.permutation(0, i)
            scores = [np.corrcoef(predictions[:, k], responses[order, k])[0, 1] for k in range(3)]
            expected[i] += len(rows) / 240 * np.array(scores)
    np.testing.assert_allclose(result["roi_null"].sum("roi"), expected, rtol=0, atol=1e-6)


def test_the_blocks_of_a_store_are_exchanged_by_default(study, tmp_path):
    with_blocks = {**study, "samples": write_samples(tmp_path / "samples.zarr", blocks=5)}
    found = attributed(with_blocks, tmp_path / "x.zarr")["roi_null"]
    named = attributed(with_blocks, tmp_path / "y.zarr", exchange="block")["roi_null"]
    whole = attributed(with_blocks, tmp_path / "z.zarr", exchange="group")["roi_null"]
    np.testing.assert_array_equal(found, named)
    np.testing.assert_array_equal(whole, attributed(study, tmp_path / "w.zarr")["roi_null"])
    assert not np.allclose(found, whole)


def test_a_dataset_in_memory_brings_its_blocks(study, tmp_path):
    samples = igc.open_samples(write_samples(tmp_path / "samples.zarr", blocks=5))
    chosen = samples.isel(sample=samples["fold"].values == 0)
    inputs, responses = (read_values(chosen[name]) for name in ("inputs", "responses"))
    labels = {"groups": chosen["group"].values, "exchange": chosen["block"].values}
    options = {"rois": np.array([1, 1, 2, 2, 0, 0]), "permutations": 25, "progress": False, "points": 4}
    model = igc.load_model(study["model"], fold=0)
    found = igc.attribute(model, chosen, **options)["roi_null"]
    # of a store in memory samples are permuted in its own order
    again = igc.attribute(model, (inputs, responses), **labels, **options)["roi_null"]
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("method", ["naive_correlation", "igc"])
def test_two_runs_a_fold_have_a_null_by_their_blocks(tmp_path, method):
    random = np.random.default_rng(0)
    groups, blocks = np.repeat([0, 1], 24), np.arange(48) // 4
    model = igc.load_model(write_model(tmp_path / "mlp-seed0"), fold=0)
    samples = random.normal(size=(48, 6)).astype(np.float32), random.normal(size=(48, 3))
    options = {"method": method, "rois": np.array([1, 1, 2, 2, 0, 0]), "progress": False, "groups": groups}
    assert "roi_null" not in igc.attribute(model, samples, **options)
    assert igc.attribute(model, samples, exchange=blocks, **options).sizes["permutation"] == 199


def test_shares_make_the_null_too(study, tmp_path, monkeypatch):
    whole = attributed(study, tmp_path / "whole.zarr")
    settings = MethodSettings(method="igc", points=4, options={"permutations": 25, "null_points": 1})
    folders = [tmp_path / f"share{i}" for i in (1, 2)]
    for i, folder in enumerate(folders, start=1):
        write_request(folder, study["samples"], study["model"], settings, study["rois"], 0)
        attribute_files(
            **study,
            settings=settings,
            output=tmp_path / "none.zarr",
            checkpoint=folder,
            share=(i, 2),
            progress=False,
        )
    monkeypatch.setattr("igc.attribution.correlation.null.RegionNull.unit", None)
    merge(folders, tmp_path / "merged.zarr")
    np.testing.assert_array_equal(igc.open_result(tmp_path / "merged.zarr")["roi_null"], whole["roi_null"])


def test_a_unit_the_store_does_not_know_is_refused_before_anything_is_written(study, tmp_path):
    with pytest.raises(DataError, match=r"exchange: found 'blocks', allowed is fold, group, sample_id"):
        attributed(study, tmp_path / "x.zarr", exchange="blocks")
    assert not (tmp_path / "x.zarr").exists()
