from pathlib import Path

import numpy as np
import pytest

from igc.config import RoiSource, parse_block
from igc.errors import DataError, MissingFileError
from igc.roi.sets import open_rois
from igc.steps.rois import define_rois
from tests.roi.synthetic import make_samples, make_volume, write


def sources(**blocks: dict[str, object]) -> dict[str, RoiSource]:
    return {name: parse_block(RoiSource, str(block)) for name, block in blocks.items()}


def test_all_sets_of_an_image_study_are_written(tmp_path: Path) -> None:
    samples = write(make_samples((1, 8, 8), n=20), tmp_path / "samples.zarr")
    wanted = sources(rings={"kind": "rings"}, quadrants={"kind": "quadrants"}, parcels={"kind": "ward", "count": 4})
    define_rois(samples / "zarr.json", wanted, tmp_path / "rois.zarr", seed=0)
    found = open_rois(tmp_path / "rois.zarr")
    assert list(found) == ["rings", "quadrants", "parcels"]
    assert all(roi_set.labels.shape == (1, 8, 8) for roi_set in found.values())
    assert len(found["parcels"].regions) == 4


def test_the_same_seed_gives_the_same_sets(tmp_path: Path) -> None:
    samples = write(make_volume(), tmp_path / "samples.zarr")
    wanted = sources(parcels={"kind": "ward", "count": 6}, sides={"kind": "hemispheres", "middle": "mask"})
    for name in ("one", "two"):
        define_rois(samples, wanted, tmp_path / f"{name}.zarr", seed=5)
    one, two = (open_rois(tmp_path / f"{name}.zarr") for name in ("one", "two"))
    assert all(np.array_equal(one[name].labels, two[name].labels) for name in wanted)


def test_one_set_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path) -> None:
    samples = write(make_samples(), tmp_path / "samples.zarr")
    wanted = sources(rings={"kind": "rings"}, sides={"kind": "hemispheres"})
    with pytest.raises(DataError, match=r"rois\.sides"):
        define_rois(samples, wanted, tmp_path / "rois.zarr", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["samples.zarr"]


def test_missing_samples_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"none\.zarr"):
        define_rois(tmp_path / "none.zarr", {}, tmp_path / "rois.zarr", seed=0)


def test_a_study_without_sets_has_an_empty_store(tmp_path: Path) -> None:
    samples = write(make_samples(), tmp_path / "samples.zarr")
    define_rois(samples, {}, tmp_path / "rois.zarr", seed=0)
    assert open_rois(tmp_path / "rois.zarr") == {}
