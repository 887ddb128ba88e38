"""Receptive fields and localisers of small made-up encoders, from stores to tables and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from igc.config_results import FieldSettings
from igc.errors import DataError, ShapeError
from igc.roi.field_table import FIELD_COLUMNS, LOCALISER_COLUMNS
from igc.steps.fields import fields
from igc.store.arrays import create_store
from igc.store.results import save_result

SHAPE = (3, 16, 16)
PLACES = np.array([[4.0, 5.0, 1.5], [10.0, 3.0, 2.0], [7.5, 11.0, 2.5]])  # row, column, size
NAMES = ["voxel 1", "voxel 2", "voxel 3"]
PARTS = np.array([[0.3, 0.1], [-0.1, 0.05], [0.0, 0.2]])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Channel 0 is light; channels 1 and 2 show categories that are everywhere."""
    random = np.random.default_rng(0)
    with create_store(tmp_path / "samples.zarr") as store:
        store.put("inputs", ("sample", "channel", "row", "column"), random.random((6, *SHAPE)).astype(np.float32))
        store.put("responses", ("sample", "target"), random.random((6, 3)).astype(np.float32))
        for name in ("fold", "group", "sample_id"):
            store.put(name, ("sample",), np.arange(6) % 2 if name == "fold" else np.arange(6))
        middle = np.stack([PLACES[:, 1] - 7.5, 7.5 - PLACES[:, 0], PLACES[:, 2]], axis=1)
        middle[2] = np.nan
        store.put("target_field", ("target", "property"), middle * 0.5)
        store.put("target_ncsnr", ("target",), np.array([1.0, 0.5, 0.1]), ceiling_floor=10.0)
        store.put("trials", ("sample",), np.full(6, 3))
        store.set_attributes(
            {
                "study": "made",
                "target_names": NAMES,
                "kind": "image",
                "field_of_view": 8.0,
                "target_hemisphere_vertices": [642, 642],
            }
        )
    row, column = np.indices(SHAPE[1:])
    light = np.stack([np.exp(-((row - r) ** 2 + (column - c) ** 2) / (2 * s**2)) for r, c, s in PLACES])
    light *= 0.4 / light.sum(axis=(1, 2), keepdims=True)
    spread = random.random((3, 2, *SHAPE[1:]))
    spread *= (PARTS / spread.sum(axis=(2, 3)))[..., None, None]
    maps = np.concatenate([light[:, None], spread], axis=1)
    result = xr.Dataset(
        {
            "attribution": (("target", "channel", "row", "column"), maps),
            "score": (("target",), maps.sum(axis=(1, 2, 3))),
            "n_fold": (("fold",), [100]),
        },
        coords={"target": ("target", np.array(NAMES, dtype=object))},
        attrs={"method": "igc", "model": "net", "complete": True},
    )
    save_result(result, tmp_path / "net-seed0" / "igc.zarr")
    return tmp_path


def run(study: Path, **settings) -> Path:
    fields(study / "samples.zarr", [study / "net-seed0" / "igc.zarr"], FieldSettings(**settings), study / "fields")
    return study / "fields" / "net-seed0"


def test_fields_are_those_of_the_light_alone_in_pixels_and_degrees(study: Path) -> None:
    folder = run(study, categories={"person": 1, "word": 2})
    table = pd.read_csv(folder / "igc.tsv", sep="\t", na_values=["n/a"])
    assert list(table.columns) == list(FIELD_COLUMNS)
    np.testing.assert_allclose(table[["row", "column", "size"]], PLACES, atol=1e-4)
    np.testing.assert_allclose(table["size_degrees"], PLACES[:, 2] * 0.5, atol=1e-4)
    np.testing.assert_allclose(table["x_degrees"], (PLACES[:, 1] - 7.5) * 0.5, atol=1e-4)
    np.testing.assert_allclose(table["y_degrees"], (7.5 - PLACES[:, 0]) * 0.5, atol=1e-4)
    np.testing.assert_allclose(table["eccentricity"] * 0.5, np.hypot(table["x_degrees"], table["y_degrees"]))
    np.testing.assert_allclose(table["angle"], np.degrees(np.arctan2(table["y_degrees"], table["x_degrees"])))
    np.testing.assert_allclose(table[["planted_row", "planted_column", "planted_size"]][:2], PLACES[:2])
    np.testing.assert_allclose(table["distance"][:2], 0, atol=1e-4)
    assert np.isnan(table["distance"][2])
    # 100 s^2 / (s^2 + 1/3), and nothing is divided by what counts as noise
    np.testing.assert_allclose(table["ceiling"], [75, 300 / 7, 300 / 103], rtol=1e-5)
    best = table["score"] / np.sqrt(table["ceiling"] / 100)
    np.testing.assert_allclose(table["normalized_score"], [best[0], best[1], np.nan])
    assert (folder / "igc.png").stat().st_size > 10_000
    # targets without a place in a brain have no maps there
    assert not (folder / "igc-brain.png").exists()


def test_localisers_are_sums_over_space_of_the_channels_of_categories(study: Path) -> None:
    table = pd.read_csv(run(study, categories={"person": 1, "word": 2}) / "igc-localisers.tsv", sep="\t")
    assert list(table.columns) == list(LOCALISER_COLUMNS)
    assert table["target"].tolist() == [name for name in NAMES for _ in range(2)]
    assert table["category"].tolist() == ["person", "word"] * 3
    np.testing.assert_allclose(table["attribution"], PARTS.ravel(), atol=1e-12)
    np.testing.assert_allclose(table["share"], (PARTS / (0.4 + PARTS.sum(axis=1, keepdims=True))).ravel())
    assert table["largest"].tolist() == [True, False, False, True, False, True]


def test_a_localiser_has_no_share_of_a_score_that_may_be_zero(study: Path) -> None:
    from igc.roi.field_table import localiser_table
    from igc.store.results import open_result

    result = open_result(study / "net-seed0" / "igc.zarr").load()
    few = result.assign(n_fold=("fold", [20]))
    share = localiser_table(few, {"person": 1, "word": 2})["share"].to_numpy().reshape(3, 2)
    # 0.8, 0.35 and 0.6 from 20 samples: only the second may be 0
    np.testing.assert_array_equal(np.isnan(share), [[False, False], [True, True], [False, False]])
    assert localiser_table(few.assign_attrs(complete=False), {"person": 1})["share"].isna().all()


def test_without_categories_all_channels_count_and_there_are_no_localisers(study: Path) -> None:
    folder = run(study, channels=[0, 1])
    blurred = pd.read_csv(folder / "igc.tsv", sep="\t", na_values=["n/a"])
    # the third voxel has nothing in the first category
    assert blurred["r2"][:2].max() < 0.998
    assert blurred["r2"][2] > 1 - 1e-9
    assert not (folder / "igc-localisers.tsv").exists()


def test_a_field_of_view_that_is_given_comes_before_that_of_the_data(study: Path) -> None:
    table = pd.read_csv(run(study, channels=[0], field_of_view=16) / "igc.tsv", sep="\t", na_values=["n/a"])
    np.testing.assert_allclose(table["size_degrees"], PLACES[:, 2], atol=1e-4)


def test_a_channel_that_is_not_there_is_refused_before_anything_is_written(study: Path) -> None:
    with pytest.raises(DataError, match="channel 5"):
        run(study, categories={"face": 5})
    assert not (study / "fields").exists()


def test_maps_over_voxels_have_no_fields(study: Path, tmp_path: Path) -> None:
    maps = xr.Dataset({"attribution": (("target", "voxel"), np.zeros((1, 5))), "score": (("target",), [0.5])})
    from igc.roi.field_table import field_table

    with pytest.raises(ShapeError, match="predict from images"):
        field_table(maps, xr.Dataset())
