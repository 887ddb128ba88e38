from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from igc.config import RoiSource, parse_block
from igc.errors import DataError, IgcError, MissingFileError, ShapeError
from igc.roi.parcellation import ward_labels
from igc.roi.sets import RoiSet
from igc.roi.sources import SOURCES, build_roi_set
from tests.roi.synthetic import make_samples, make_volume

REGIONS = {"regions": {"1": {"name": "one", "color": "#112233"}, "2": {"name": "two", "color": None}}}


def build(samples, **settings: object) -> RoiSet:
    return build_roi_set("x", parse_block(RoiSource, str(settings)), samples, seed=3)


def names(roi_set: RoiSet) -> list[str]:
    return [region.name for region in roi_set.regions.values()]


def test_every_kind_of_the_configuration_has_a_source() -> None:
    kinds = {"atlas", "rings", "quadrants", "hemispheres", "ward", "masks", "truth"}
    assert set(SOURCES) == kinds


# --- what came with the data


def test_an_atlas_keeps_its_labels_names_and_colours() -> None:
    labels = np.arange(48).reshape(1, 6, 8) % 3
    samples = make_samples(atlas_areas=(("channel", "row", "column"), labels, REGIONS))
    found = build(samples, kind="atlas", atlas="areas")
    assert np.array_equal(found.labels, labels)
    assert names(found) == ["one", "two"]
    assert found.region(1).color == "#112233"


def test_an_unknown_atlas_is_refused_with_the_known_ones() -> None:
    samples = make_samples(atlas_areas=(("channel", "row", "column"), np.zeros((1, 6, 8), int), REGIONS))
    with pytest.raises(DataError, match=r"'lobes', allowed is one of \['areas'\]"):
        build(samples, kind="atlas", atlas="lobes")


def test_an_atlas_with_a_label_without_a_name_is_refused() -> None:
    labels = np.full((1, 6, 8), 3)
    samples = make_samples(atlas_areas=(("channel", "row", "column"), labels, REGIONS))
    with pytest.raises(DataError, match="label 3 without a name"):
        build(samples, kind="atlas", atlas="areas")


def test_planted_regions_are_taken_from_the_truth() -> None:
    labels = np.arange(48).reshape(1, 6, 8) % 3
    samples = make_samples(truth_regions=(("channel", "row", "column"), labels, REGIONS))
    assert np.array_equal(build(samples, kind="truth").labels, labels)
    with pytest.raises(DataError, match="without planted regions"):
        build(make_samples(), kind="truth")


# --- geometry of images


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 7, 12), (1, 1, 1), (2, 5, 5)])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_rings_partition_the_image_and_grow_outwards(shape: tuple[int, int, int], count: int) -> None:
    labels = build(make_samples(shape), kind="rings", count=count).labels
    assert labels.shape == shape
    assert labels.min() >= 1
    assert labels.max() <= count
    row, column = np.indices(shape[1:])
    radius = np.hypot(row - (shape[1] - 1) / 2, column - (shape[2] - 1) / 2)
    width = max(radius.max(), 0.5) / count
    for channel in labels:
        assert np.all(radius >= (channel - 1) * width - 1e-9)
        assert np.all(radius <= channel * width + 1e-9)
        assert np.array_equal(channel, channel[::-1])
        assert np.array_equal(channel, channel[:, ::-1])


def test_quadrants_are_named_by_where_they_lie() -> None:
    found = build(make_samples((2, 4, 5)), kind="quadrants")
    by_name = {region.name: found.labels == index for index, region in found.regions.items()}
    assert by_name["upper left"][:, :2, :2].all()
    assert by_name["upper right"][:, :2, 3:].all()
    assert by_name["lower left"][:, 2:, :2].all()
    assert by_name["lower right"][:, 2:, 3:].all()
    assert np.array_equal(found.labels == 0, np.broadcast_to(np.arange(5) == 2, (2, 4, 5)))


@pytest.mark.parametrize("kind", ["rings", "quadrants", "ward"])
def test_shapes_of_images_are_refused_for_vectors(kind: str) -> None:
    with pytest.raises(DataError, match="images"):
        build(make_samples((9,)), kind=kind)


# --- geometry of volumes


@pytest.mark.parametrize("step", [2.0, -2.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_left_is_where_world_x_is_negative(step: float, axis: int) -> None:
    affine = np.zeros((4, 4))
    affine[0, axis], affine[1, 1 - axis], affine[2, 2], affine[3, 3] = step, 2.0, 2.0, 1.0
    affine[:3, 3] = [-step * 4, -8, -6]
    samples = make_volume((9, 9, 3), affine)
    found = build(samples, kind="hemispheres")
    world = nibabel.affines.apply_affine(affine, samples["voxel_index"].values)[:, 0]
    assert names(found) == ["left", "right"]
    assert np.array_equal(found.labels, np.select([world < 0, world > 0], [1, 2], 0))
    assert {0, 1, 2} == set(found.labels.tolist())


@pytest.mark.parametrize("step", [3.0, -3.0])
def test_the_middle_of_the_mask_divides_a_volume_off_centre(step: float) -> None:
    affine = np.diag([step, 3.0, 3.0, 1.0])
    affine[0, 1], affine[0, 3] = 0.1, 900.0
    index = np.array([[4, 0, 0], [5, 0, 0], [6, 5, 0], [7, 2, 1], [8, 0, 0]])
    samples = make_samples((5,), voxel_index=(("voxel", "axis"), index), affine=affine.tolist())
    expected = [1, 1, 0, 2, 2] if step > 0 else [2, 2, 0, 1, 1]
    assert build(samples, kind="hemispheres", middle="mask").labels.tolist() == expected
    assert set(build(samples, kind="hemispheres").labels.tolist()) == {2}


def test_hemispheres_of_an_image_are_refused() -> None:
    with pytest.raises(DataError, match="use this kind only for volumes"):
        build(make_samples(), kind="hemispheres")


# --- ward


def connected(index: np.ndarray, parcel: np.ndarray) -> bool:
    grid = np.zeros(index.max(axis=0) + 1, dtype=int)
    grid[tuple(index[parcel].T)] = 1
    return bool(ndimage.label(grid)[1] == 1)


@pytest.mark.parametrize("count", [2, 5, 17])
def test_parcels_of_a_volume_are_connected_and_all_there(count: int) -> None:
    samples = make_volume()
    found = build(samples, kind="ward", count=count)
    index = samples["voxel_index"].values
    assert names(found) == [f"parcel {i}" for i in range(1, count + 1)]
    assert all(connected(index, found.labels == i) for i in range(1, count + 1))
    grid = np.zeros((9, 10, 7))
    grid[tuple(index.T)] = 1
    pieces, _ = ndimage.label(grid)
    assert np.array_equal(found.labels == 0, pieces[tuple(index.T)] != 1)


def test_parcels_follow_the_signal_and_are_numbered_from_front_to_back() -> None:
    index = np.indices((6, 8, 3)).reshape(3, -1).T
    rng = np.random.default_rng(0)
    sources = rng.normal(size=(60, 4))
    quarter = index[:, 1] // 2
    inputs = sources[:, quarter] * 7 + 100 + rng.normal(size=(60, len(index)))
    samples = make_volume((6, 8, 3)).drop_vars(["inputs", "voxel_index", "responses", "fold", "group", "sample_id"])
    samples = samples.assign(inputs=(("sample", "voxel"), inputs), voxel_index=(("voxel", "axis"), index))
    # y grows to the front
    assert np.array_equal(build(samples, kind="ward", count=4).labels, 4 - quarter)


def test_parcels_of_an_image_hold_for_all_channels() -> None:
    samples = make_samples((3, 9, 8), n=50)
    found = build(samples, kind="ward", count=6)
    assert np.array_equal(found.labels[0], found.labels[2])
    index = np.indices((9, 8)).reshape(2, -1).T
    assert all(connected(index, found.labels[1].reshape(-1) == i) for i in range(1, 7))
    assert found.counts()[-1] == 0
    centres = [index[found.labels[0].reshape(-1) == i].mean(axis=0).tolist() for i in range(1, 7)]
    assert centres == sorted(centres)


def test_parcels_depend_on_the_seed_only_through_the_samples_looked_at() -> None:
    samples = make_volume()
    source = parse_block(RoiSource, "{kind: ward, count: 5}")
    first, again = (build_roi_set("x", source, samples, seed) for seed in (1, 2))
    assert np.array_equal(first.labels, again.labels)


def test_constant_inputs_are_parcelled_too() -> None:
    samples = make_samples((1, 6, 6), inputs=np.zeros((20, 1, 6, 6)))
    found = build(samples, kind="ward", count=36)
    assert sorted(found.labels.reshape(-1).tolist()) == list(range(1, 37))


def test_small_islands_stay_in_the_rest_and_large_ones_are_never_joined() -> None:
    index = np.array([[i, j] for i in range(5) for j in range(11) if j != 5] + [[20, 20]])
    inputs = make_samples((len(index),))["inputs"]
    labels = ward_labels(inputs, index, index.astype(float), 3, 0)
    assert labels[-1] == 0
    assert labels[:-1].min() == 1
    assert all(connected(index, labels == i) for i in (1, 2, 3))
    with pytest.raises(DataError, match="at least 2, one for each separate piece"):
        ward_labels(inputs, index, index.astype(float), 1, 0)


def test_a_mask_of_scattered_voxels_has_one_parcel_each_or_is_refused() -> None:
    index = np.array([[3 * i, 3 * j] for i in range(10) for j in range(10)])
    inputs = make_samples((len(index),))["inputs"]
    assert ward_labels(inputs, index, index.astype(float), 100, 0).tolist() == list(range(1, 101))
    with pytest.raises(DataError, match="100 separate pieces"):
        ward_labels(inputs, index, index.astype(float), 5, 0)


def test_more_parcels_than_voxels_are_refused() -> None:
    with pytest.raises(DataError, match=r"rois\.x\.count: found 99, allowed is at most 9"):
        build(make_samples((1, 3, 3)), kind="ward", count=99)


# --- masks


def write_mask(path: Path, mask: np.ndarray, affine: np.ndarray) -> str:
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), path)
    return str(path)


def test_masks_are_read_at_the_voxels_of_the_samples(tmp_path: Path) -> None:
    samples = make_volume()
    x = np.indices((9, 10, 7))[0]
    low = write_mask(tmp_path / "low.nii.gz", x < 2, np.asarray(samples.attrs["affine"]))
    np.save(tmp_path / "high.npy", x > 6)
    np.save(tmp_path / "flat.npy", samples["voxel_index"].values[:, 0] == 4)
    paths = {"low": low, "high": str(tmp_path / "high.npy"), "flat": str(tmp_path / "flat.npy")}
    found = build(samples, kind="masks", masks=paths)
    column = samples["voxel_index"].values[:, 0]
    assert names(found) == ["low", "high", "flat"]
    assert np.array_equal(found.labels, np.select([column < 2, column > 6, column == 4], [1, 2, 3], 0))


def test_a_mask_of_pixels_holds_for_all_channels(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.eye(6, 8))
    found = build(make_samples((2, 6, 8)), kind="masks", masks={"m": str(tmp_path / "m.npy")})
    assert found.counts().tolist() == [12, 84]


BAD_MASKS = {
    "another grid": (lambda p: write_mask(p, np.ones((9, 10, 8)), np.diag([2.0, 2, 2, 1])), ShapeError, "resample"),
    "another affine": (lambda p: write_mask(p, np.ones((9, 10, 7)), np.diag([2.5, 2, 2, 1])), DataError, "affine"),
    "several volumes": (lambda p: write_mask(p, np.ones((9, 10, 7, 2)), np.diag([2.0, 2, 2, 1])), ShapeError, "grid"),
    "not an image": (lambda p: p.write_bytes(b"no image at all") and str(p), DataError, "unreadable"),
    "no file": (lambda p: str(p), MissingFileError, "no such file"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_a_mask_that_does_not_fit_is_refused(case: str, tmp_path: Path) -> None:
    make, error, message = BAD_MASKS[case]
    path = make(tmp_path / "mask.nii")
    with pytest.raises(error, match=message) as caught:
        build(make_volume(), kind="masks", masks={"m": path})
    assert isinstance(caught.value, IgcError)
    assert "mask.nii" in str(caught.value)


def test_an_array_of_another_shape_or_kind_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.zeros((5, 5)))
    with pytest.raises(ShapeError, match=r"shape \(5, 5\)"):
        build(make_samples(), kind="masks", masks={"m": str(tmp_path / "m.npy")})
    (tmp_path / "m.npy").write_bytes(b"")
    with pytest.raises(DataError, match="unreadable"):
        build(make_samples(), kind="masks", masks={"m": str(tmp_path / "m.npy")})


def test_an_image_mask_for_a_vector_is_refused(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "m.nii", np.ones((3, 3, 1)), np.eye(4))
    with pytest.raises(DataError, match="volume"):
        build(make_samples((9,)), kind="masks", masks={"m": path})
