"""Meshes of native surfaces: where they lie, what they hold, and what is refused."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.datasets import load_fsaverage

from igc.config_nsd import NsdData
from igc.data.nsd.betas import open_betas
from igc.data.nsd.layout import Layout
from igc.data.nsd.meshes import read_meshes
from igc.data.nsd.planted import AVERAGE_SIZES, layout_of_average
from igc.data.nsd.source import open_nsd
from igc.errors import DataError, ShapeError


@pytest.mark.parametrize("subject", [1, 2])
def test_meshes_lie_where_freesurfer_puts_them_and_have_a_vertex_for_each_response(small, subject):
    folder = small / f"nsddata/freesurfer/subj0{subject}/surf"
    counts = [len(nib.freesurfer.read_geometry(folder / f"{side}.inflated")[0]) for side in ("lh", "rh")]
    assert counts == [110 + 10 * subject + 3, 110 + 10 * subject]
    layout = Layout(small, subject, "nativesurface")
    grid = open_betas(layout).grid
    found = {name: one.values for name, one in read_meshes(layout, grid).items()}
    assert len(found["mesh_coordinates"]) == len(found["mesh_folds"]) == grid.shape[0] == sum(counts)
    faces = found["mesh_faces"]
    left = np.all(faces < grid.n_left, axis=1)
    # no face joins the hemispheres, and each is a closed surface (Euler), seen from outside
    assert np.all(left | np.all(faces >= grid.n_left, axis=1))
    for part, count in ((faces[left], counts[0]), (faces[~left], counts[1])):
        assert len(part) == 2 * count - 4
        assert len(np.unique(part)) == count
        assert np.all(np.linalg.det(found["mesh_coordinates"][part].astype(float)) > 0)


@pytest.mark.parametrize("predict", ["statistics", "responses"])
def test_samples_of_a_native_surface_hold_its_mesh_and_those_of_other_spaces_none(small, predict):
    for space in ("nativesurface", "fsaverage", "func1pt8mm"):
        data = NsdData(kind="nsd", folder=str(small), space=space, predict=predict, test="none")
        with open_nsd(data, 0) as source:
            names = {name for name in source.variables if name.startswith("mesh_")}
        expected = {"mesh_coordinates", "mesh_faces", "mesh_folds"} if space == "nativesurface" else set()
        assert names == expected


def copied(small: Path, tmp_path: Path) -> Layout:
    shutil.copytree(small / "nsddata/freesurfer", tmp_path / "nsddata/freesurfer")
    return Layout(tmp_path, 1, "nativesurface")


def test_a_study_without_mesh_files_is_read_without_them(small, tmp_path):
    layout = copied(small, tmp_path)
    grid = open_betas(Layout(small, 1, "nativesurface")).grid
    assert read_meshes(layout, grid)
    layout.meshes[3].unlink()
    assert read_meshes(layout, grid) == {}


def test_meshes_of_somebody_else_and_damaged_ones_are_refused(small, tmp_path):
    layout = copied(small, tmp_path)
    grid = open_betas(Layout(small, 1, "nativesurface")).grid
    shutil.copyfile(Layout(small, 2, "nativesurface").meshes[2], layout.meshes[2])
    with pytest.raises(ShapeError, match=r"rh\.inflated: found 130 vertices, allowed is 120"):
        read_meshes(layout, grid)
    layout.meshes[0].write_bytes(layout.meshes[0].read_bytes()[:100])
    with pytest.raises(DataError, match=r"lh\.inflated"):
        read_meshes(layout, grid)


def test_made_average_surface_has_its_vertices_where_the_real_one_has_them():
    position, right = layout_of_average(642)
    spheres = load_fsaverage("fsaverage5")["sphere"].parts
    for part, side in ((~right, "left"), (right, "right")):
        np.testing.assert_allclose(100 * position[part], spheres[side].coordinates[:642], atol=0.01)
    assert tuple(10 * 4**k + 2 for k in range(2, 6)) == AVERAGE_SIZES
    other, _ = layout_of_average(643)
    assert other.shape == (1286, 3)
