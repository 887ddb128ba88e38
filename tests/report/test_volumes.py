from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from igc.report.style import new_figure
from igc.report.volumes import Geometry, MosaicPainter, SlicePainter, strongest_slices, write_volume
from tests.report.inspecting import drawn_texts
from tests.report.studies import AFFINE

LAS = np.array([[-3.0, 0, 0, 12], [0, 4, 0, -20], [0, 0, 4, 8], [0, 0, 0, 1]])
RAS = np.array([[3.0, 0, 0, -15], [0, 4, 0, -20], [0, 0, 4, 8], [0, 0, 0, 1]])
SWAPPED = np.array([[0, -3.0, 0, 15], [4, 0, 0, -20], [0, 0, 4, 8], [0, 0, 0, 1]])


def geometry_of(affine, shape=(10, 10, 1)) -> Geometry:
    index = np.argwhere(np.ones(shape, dtype=bool))
    return Geometry(affine, shape, index, np.full(shape, 100.0))


def world(geometry: Geometry, voxel: int) -> np.ndarray:
    return nib.affines.apply_affine(geometry.affine, geometry.voxel_index[voxel])


def test_nifti_has_the_affine_of_the_input_and_each_value_at_its_voxel(volume_samples, tmp_path):
    geometry = Geometry.of(volume_samples)
    values = np.random.default_rng(0).normal(size=(3, len(geometry.voxel_index)))
    write_volume(values, geometry, tmp_path / "maps" / "igc.nii.gz", "igc cnn")
    image = nib.load(tmp_path / "maps" / "igc.nii.gz")
    np.testing.assert_array_equal(image.affine, AFFINE)
    assert image.shape == (9, 10, 8, 3)
    data = np.asarray(image.dataobj)
    for k in (0, 17, len(geometry.voxel_index) - 1):
        np.testing.assert_allclose(data[tuple(geometry.voxel_index[k])], values[:, k], rtol=1e-6)
    assert np.count_nonzero(data[..., 0]) == len(geometry.voxel_index)
    np.testing.assert_allclose(data.sum(axis=(0, 1, 2)), values.sum(axis=1), atol=1e-4)
    assert image.header["descrip"].item() == b"igc cnn"
    assert image.header.get_xyzt_units()[0] == "mm"


def test_the_same_maps_give_the_same_file(slice_samples, tmp_path):
    geometry = Geometry.of(slice_samples)
    values = np.ones((1, len(geometry.voxel_index)))
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(values, geometry, tmp_path / name)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nii.gz"]


@pytest.mark.parametrize("affine", [LAS, RAS, SWAPPED], ids=["leftwards", "rightwards", "swapped"])
@pytest.mark.parametrize("voxel", [4, 37, 95])
def test_a_voxel_is_drawn_at_its_place_in_the_world(affine, voxel):
    geometry = geometry_of(affine)
    painter = SlicePainter(geometry)
    values = np.zeros(100)
    values[voxel] = 1.0
    axes = new_figure(2, 2).add_axes((0, 0, 1, 1))
    painter.draw(axes, 0, values, 1.0)
    image = axes.get_images()[1]
    assert image.get_clim() == (-1, 1)
    (row,), (column,) = np.where(np.asarray(image.get_array()) == 1)
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    x = left + (column + 0.5) * (right - left) / columns
    y = bottom + (row + 0.5) * (top - bottom) / rows
    assert image.origin == "lower"
    np.testing.assert_allclose([x, y], world(geometry, voxel)[:2])


@pytest.mark.parametrize("affine", [LAS, RAS, SWAPPED], ids=["leftwards", "rightwards", "swapped"])
def test_the_right_hemisphere_is_on_the_side_labelled_right(affine):
    geometry = geometry_of(affine)
    painter = SlicePainter(geometry)
    figure = new_figure(2, 2)
    axes = figure.add_axes((0, 0, 1, 1))
    right_side = np.array([world(geometry, k)[0] > 1 for k in range(100)], dtype=float)
    painter.draw(axes, 0, right_side, 1.0)
    image = np.asarray(axes.get_images()[1].get_array())
    assert image[:, -3:].min() == 1
    assert image[:, :3].max() == 0
    places = {text.get_text(): text.get_window_extent().x0 for text in drawn_texts(figure)}
    assert places["L"] < places["R"]


def test_weak_values_fade_and_voxels_outside_are_transparent():
    geometry = geometry_of(RAS)
    painter = SlicePainter(geometry)
    values = np.zeros(100)
    values[[11, 12]] = [1.0, 0.01]
    axes = new_figure(2, 2).add_axes((0, 0, 1, 1))
    painter.draw(axes, 0, values, 1.0)
    alpha = np.sort(axes.get_images()[1].get_alpha().ravel())
    assert alpha[-1] == 1
    assert 0 < alpha[-2] < 0.1
    assert alpha[-3] == 0


def test_a_coronal_slice_is_recognised_and_a_sagittal_one_has_no_left_and_right():
    coronal, sagittal = geometry_of(RAS, (10, 1, 10)), geometry_of(RAS, (1, 10, 10))
    assert (coronal.flat_axis, sagittal.flat_axis, geometry_of(RAS, (5, 5, 5)).flat_axis) == (1, 0, None)
    assert SlicePainter(coronal, 1).sides == "LR"
    assert SlicePainter(sagittal, 0).sides == "PA"


def test_strongest_slices_are_those_with_the_largest_sum_of_magnitudes():
    geometry = geometry_of(RAS, (4, 4, 12))
    values = np.zeros((2, len(geometry.voxel_index)))
    z = geometry.voxel_index[:, 2]
    values[0, z == 3], values[1, z == 9] = -2.0, 1.0
    values[0, z == 6] = 0.1
    assert strongest_slices(values, geometry, 2, 1) == [3]
    assert strongest_slices(values, geometry, 2, 2) == [3, 9]
    assert strongest_slices(values, geometry, 2, 8) == [3, 6, 9]
    assert strongest_slices(np.zeros_like(values), geometry, 2, 2) == [6]


def test_slices_are_counted_upwards_where_the_volume_is_stored_downwards():
    flipped = RAS @ np.diag([1, 1, -1, 1])
    geometry = geometry_of(flipped, (4, 4, 6))
    values = (geometry.voxel_index[None, :, 2] == 1).astype(float)
    (index,) = strongest_slices(values, geometry, 2, 1)
    assert SlicePainter(geometry, 2, index).millimetres == pytest.approx(flipped[2, 3] + flipped[2, 2] * 1)


def test_a_mosaic_cuts_the_chosen_slices(volume_samples):
    geometry = Geometry.of(volume_samples)
    painter = MosaicPainter(geometry, [1, 5], outlines=np.ones(len(geometry.voxel_index), dtype=np.int64))
    figure = new_figure(6, 2)
    painter.draw(figure.add_axes((0, 0, 1, 1)), 0, np.ones(len(geometry.voxel_index)), 1.0)
    said = [text.get_text() for text in drawn_texts(figure)]
    assert {f"z={cut:.0f}" for cut in painter.cuts} <= set(said)
    assert painter.cuts == [12.0, 28.0]
    assert said.count("L") == said.count("R") == 2


def test_regions_are_drawn_in_their_colours_where_they_lie():
    geometry = geometry_of(RAS)
    labels = (geometry.voxel_index[:, 0] >= 5).astype(np.int64)
    axes = new_figure(2, 2).add_axes((0, 0, 1, 1))
    SlicePainter(geometry).draw_regions(axes, labels, {1: "#ff0000"})
    picture = np.asarray(axes.get_images()[1].get_array())
    np.testing.assert_allclose(picture[:, 5:], np.broadcast_to([1, 0, 0, 1], (10, 5, 4)))
    assert not picture[:, :5].any()
