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
