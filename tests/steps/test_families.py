"""Methods of every kind on stored samples and models: folds, regions as features, interruption, tables."""

import numpy as np
import pytest
from scipy import stats

import igc
from igc.config import MethodSettings
from igc.errors import MethodError
from igc.steps.aggregate import aggregate
from igc.steps.attribute import attribute_files
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


def run(study, path, method, **settings):
    attribute_files(**study, settings=MethodSettings(method=method, **settings), output=path, progress=False)
    return igc.open_result(path).load()


@pytest.mark.parametrize(("method", "total"), [("igac", "one"), ("bsc", "score"), ("igc", "score")])
def test_maps_and_tables_of_files_close(study, tmp_path, method, total):
    result = run(study, tmp_path / "map.zarr", method, points=12)
    expected = result["score"] if total == "score" else 1
    np.testing.assert_allclose(result["attribution"].sum("voxel"), expected, rtol=0, atol=1e-6)
    assert (result.attrs["closes_to"], result.attrs["complete"]) == (total, total == "score")
    aggregate([tmp_path / "map.zarr"], [tmp_path / "map.tsv"])
    assert "parts" in (tmp_path / "map.tsv").read_text()


def test_regions_of_a_set_can_be_the_features(study, tmp_path):
    result = run(study, tmp_path / "map.zarr", "bsc", options={"features": "parts", "orders": 4})
    values = result["attribution"].values
    np.testing.assert_allclose(values[:, [0, 2, 4]], values[:, [1, 3, 5]], rtol=0, atol=1e-4)
    assert np.abs(values[:, 0] - values[:, 2]).max() > 1e-3
    # two orders of three features, forth and back: both ends and two points between, each
    assert result.attrs["evaluations"] == 2 * 2 * 3 * int(result["n_fold"].sum())
    with pytest.raises(MethodError, match="'lobes'"):
        run(study, tmp_path / "no.zarr", "bsc", options={"features": "lobes"})


@pytest.mark.parametrize("method", ["expected_gradients", "bsc", "igac", "naive_ttest"])
def test_states_kept_in_a_checkpoint_give_the_same_bits(study, tmp_path, method):
    whole = run(study, tmp_path / "whole.zarr", method, points=4)
    for share in (1, 2):
        attribute_files(
            **study,
            settings=MethodSettings(method=method, points=4),
            output=tmp_path / "none.zarr",
            checkpoint=tmp_path / "kept",
            share=(share, 2),
            progress=False,
        )
    assert any((tmp_path / "kept").iterdir())
    attribute_files(
        **study,
        settings=MethodSettings(method=method, points=4),
        output=tmp_path / "map.zarr",
        checkpoint=tmp_path / "kept",
        progress=False,
    )
    np.testing.assert_array_equal(igc.open_result(tmp_path / "map.zarr")["attribution"], whole["attribution"])


def test_probabilities_of_folds_are_combined_without_claiming_too_much(study, tmp_path):
    result = run(study, tmp_path / "map.zarr", "naive_ttest", options={"quantile": 0.3})
    samples = igc.open_samples(study["samples"])
    total, count = 0.0, 0
    for fold in range(FOLDS):
        rows = np.flatnonzero(samples["fold"].values == fold)
        inputs, responses = (read_values(samples[name], rows).astype(float) for name in ("inputs", "responses"))
        low, high = np.quantile(responses[:, 0], [0.3, 0.7])
        groups = inputs[responses[:, 0] >= high], inputs[responses[:, 0] <= low]
        total = total + len(rows) * stats.ttest_ind(*groups, equal_var=False).pvalue
        count += len(rows)
    np.testing.assert_allclose(result["p_value"][0], np.minimum(1, 2 * total / count), rtol=1e-6)
