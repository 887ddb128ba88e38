"""Pooled maps in files: the shape of the input, even shares of the sums that were kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from igc.config import MethodSettings
from igc.errors import MethodError
from igc.models.files import save_model
from igc.models.registry import build_architecture
from igc.roi.aggregate import roi_table
from igc.roi.sets import from_labels, open_rois, save_rois
from igc.steps.attribute import attribute_files
from igc.store.arrays import create_store
from igc.store.results import open_result
from tests.steps.stored import FOLDS, TARGETS, write_model, write_rois, write_samples

SHAPE = (1, 8, 8)
LABELS = np.repeat([1, 1, 2, 0], 16).reshape(SHAPE)


def write_images(folder: Path, n: int = 60) -> None:
    """Write images, a convolution net for each fold, and a set of two regions."""
    random = np.random.default_rng(0)
    with create_store(folder / "samples.zarr") as store:
        store.put("inputs", ("sample", "channel", "row", "column"), random.random((n, *SHAPE)).astype(np.float32))
        store.put("responses", ("sample", "target"), np.eye(TARGETS, dtype=np.float32)[random.integers(0, TARGETS, n)])
        for name in ("group", "sample_id"):
            store.put(name, ("sample",), np.arange(n))
        store.put("fold", ("sample",), (np.arange(n) >= n // 2).astype(np.int64))
        names = ["a", "b", "c"]
        store.set_attributes(
            {"study": "small", "kind": "image", "folds": FOLDS, "target_names": names, "target_type": "categories"}
        )
    modules = []
    for fold in range(FOLDS):
        torch.manual_seed(fold)
        modules.append(build_architecture("convolutional_classifier", SHAPE, TARGETS, {"hidden": 8}).eval())
    small = write_model(folder / "other", "residual_mlp")
    description = json.loads((small / "model.json").read_text(encoding="utf-8"))
    changes = {"architecture": "convolutional_classifier", "arguments": {"hidden": 8}, "input_shape": list(SHAPE)}
    save_model(folder / "model", modules, {**description, **changes, "target_type": "categories"})
    save_rois({"bands": from_labels("bands", LABELS, {1: "top", 2: "middle"})}, folder / "rois.zarr")


def attributed(folder: Path, method: str = "igc", **settings):
    chosen = MethodSettings(method=method, **({"points": 2} if method == "igc" else {}), **settings)
    output = folder / "result.zarr"
    attribute_files(
        folder / "samples.zarr", folder / "model", chosen, folder / "rois.zarr", output, workers=1, progress=False
    )
    result = open_result(output).load()
    result.close()
    return result


def test_sums_over_regions_that_cut_through_cells_are_those_of_the_whole_map(tmp_path):
    write_images(tmp_path)
    sets = open_rois(tmp_path / "rois.zarr")
    whole, pooled = (roi_table(attributed(tmp_path, pool=pool), sets) for pool in (None, 4))
    for column in ("attribution", "se"):
        np.testing.assert_allclose(pooled[column], whole[column], rtol=0, atol=1e-5 * np.abs(whole[column]).max())
    assert np.all(np.isfinite(whole["positive"]))
    assert np.all(np.isnan(pooled["positive"]))


def squares(values, side):
    n = 8 // side
    return values.reshape(TARGETS, n, side, n, side).sum(axis=(2, 4))


@pytest.mark.parametrize("method", ["igc", "gradient_x_input"])
def test_a_pooled_map_holds_even_shares_of_the_sums_of_the_whole_one(tmp_path, method):
    write_images(tmp_path)
    whole, pooled = attributed(tmp_path, method), attributed(tmp_path, method, pool=[2, "channels"])
    assert pooled["attribution"].dims == whole["attribution"].dims
    expected = squares(whole["attribution"].values, 2)
    found = pooled["attribution"].values[:, 0]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(4 * found[:, ::2, ::2], expected, rtol=0, atol=1e-5 * scale)
    np.testing.assert_array_equal(found, found[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2))
    np.testing.assert_allclose(pooled["roi_attribution"], whole["roi_attribution"], rtol=0, atol=1e-5 * scale)
    for name in ("standard_error", "estimator_error"):
        assert pooled[name].shape == whole[name].shape
    if "example_attribution" in whole:
        np.testing.assert_array_equal(pooled["example_attribution"], whole["example_attribution"])


def test_of_regions_alone_the_map_holds_even_shares_of_the_first_set(tmp_path):
    write_images(tmp_path)
    whole, pooled = attributed(tmp_path), attributed(tmp_path, pool="rois")
    np.testing.assert_allclose(pooled["roi_attribution"], whole["roi_attribution"], rtol=0, atol=1e-5)
    for label, region in ((1, "bands/top"), (2, "bands/middle"), (0, "bands/rest")):
        inside = pooled["attribution"].values[:, label == LABELS]
        assert np.ptp(inside, axis=1).max() == 0
        expected = pooled["roi_attribution"].sel(roi=pooled["roi"] == region).values[:, 0]
        np.testing.assert_allclose(inside.sum(axis=1), expected, rtol=1e-12)


def test_vectors_are_pooled_to_regions_alone(tmp_path):
    write_samples(tmp_path / "samples.zarr")
    write_model(tmp_path / "model")
    write_rois(tmp_path / "rois.zarr")
    pooled = attributed(tmp_path, pool="rois")["attribution"].values
    np.testing.assert_array_equal(pooled[:, 0], pooled[:, 1])
    with pytest.raises(MethodError, match="pool"):
        attributed(tmp_path, pool=2)
