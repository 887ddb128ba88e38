"""Maps on the cortical surface: sides, vertices, spaces and files."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from nilearn.datasets import load_fsaverage, load_fsaverage_data, load_mni152_template
from scipy.spatial import ConvexHull

from igc.report.maps import maps_surface, painters
from igc.report.meshes import LEVELS, Mesh, average_mesh
from igc.report.style import new_figure
from igc.report.surfaces import SurfacePainter, Surfaces, in_mni_space, why_no_surface, write_gifti
from igc.report.volumes import Geometry
from tests.report.conftest import results_of


def surface_samples(vertices: int, used: np.ndarray | None = None) -> xr.Dataset:
    """Return samples of which ``used`` (hemisphere, vertex) are measured; by default all."""
    both = np.stack([np.repeat([0, 1], vertices), np.tile(np.arange(vertices), 2)], axis=1)
    place = both if used is None else used
    return xr.Dataset(
        {"inputs": (("sample", "voxel"), np.zeros((2, len(place)))), "vertex_index": (("voxel", "axis"), place)},
        attrs={"kind": "vector", "hemisphere_vertices": [vertices, vertices], "title": "Surfaces"},
    )


def volume_samples(size: float = 4.0) -> xr.Dataset:
    """Return samples of all voxels of the MNI template, coarser."""
    template = load_mni152_template(resolution=int(size))
    mask = np.asarray(template.dataobj) > 0.1
    return xr.Dataset(
        {
            "inputs": (("sample", "voxel"), np.zeros((2, mask.sum()))),
            "voxel_index": (("voxel", "axis"), np.argwhere(mask)),
            "background": (("x", "y", "z"), np.asarray(template.dataobj)),
        },
        attrs={"kind": "volume", "affine": template.affine.tolist(), "volume_shape": list(mask.shape)},
    )


def native_samples(counts: tuple[int, int] = (700, 650)) -> xr.Dataset:
    """Return samples of a subject's own surface: two ellipsoids of different numbers of vertices."""
    parts, faces = [], []
    for side, n in enumerate(counts):
        k = np.arange(n) + 0.5
        z, turn = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
        sphere = np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], axis=1)
        parts.append(sphere * [35.0, 85.0, 55.0])
        faces.append(ConvexHull(sphere).simplices + side * counts[0])
    place = np.concatenate([np.stack([np.full(n, side), np.arange(n)], axis=1) for side, n in enumerate(counts)])
    return xr.Dataset(
        {
            "inputs": (("sample", "voxel"), np.zeros((2, sum(counts)))),
            "vertex_index": (("voxel", "axis"), place),
            "mesh_coordinates": (("mesh_vertex", "direction"), np.concatenate(parts)),
            "mesh_faces": (("face", "corner"), np.concatenate(faces)),
            "mesh_folds": (("mesh_vertex",), np.linspace(-1, 1, sum(counts))),
        },
        attrs={"kind": "vector", "hemisphere_vertices": list(counts), "title": "Own"},
    )


def colours(painter: SurfacePainter, values: np.ndarray) -> dict[str, np.ndarray]:
    """Draw a map and return the colours of the faces in each view."""
    figure = new_figure(9, 2)
    painter.draw(figure.add_axes((0, 0, 1, 1)), 0, values, 1.0)
    found = {}
    for axes in figure.axes[1:]:
        (mesh,) = [one for one in axes.collections if isinstance(one, Poly3DCollection)]
        found[axes.get_label()] = np.asarray(mesh.get_facecolor())[:, :3]
    return found


def redness(faces: np.ndarray) -> float:
    """Return the share of faces that are more red than blue."""
    return float(np.mean(faces[:, 0] > faces[:, 2] + 0.1))


def test_a_map_of_the_right_hemisphere_ends_in_the_panels_on_the_right() -> None:
    samples = surface_samples(LEVELS[0])
    surfaces = Surfaces.of(samples)
    assert surfaces is not None
    right = np.repeat([0.0, 1.0], LEVELS[0])
    figure = new_figure(9, 2)
    SurfacePainter(surfaces).draw(figure.add_axes((0, 0, 1, 1)), 0, right, 1.0)
    order = sorted(figure.axes[1:], key=lambda axes: axes.get_position().x0)
    assert [axes.get_label() for axes in order] == ["left lateral", "left medial", "right medial", "right lateral"]
    shares = {side: redness(faces) for side, faces in colours(SurfacePainter(surfaces), right).items()}
    assert min(shares["right lateral"], shares["right medial"]) > 0.99
    assert max(shares["left lateral"], shares["left medial"]) < 0.01


def test_a_volume_positive_on_the_right_of_the_world_is_red_on_the_right() -> None:
    samples = volume_samples()
    geometry = Geometry.of(samples)
    x = (geometry.voxel_index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3])[:, 0]
    surfaces = Surfaces.of(samples)
    assert surfaces is not None
    left, right = surfaces.project(np.sign(x))
    assert np.nanmean(left) < -0.95
    assert np.nanmean(right) > 0.95
    assert np.isfinite(left).mean() > 0.9


@pytest.mark.parametrize("axis", [1, 2], ids=["front", "top"])
def test_a_volume_keeps_front_and_top(axis: int) -> None:
    samples = volume_samples()
    geometry = Geometry.of(samples)
    world = geometry.voxel_index @ geometry.affine[:3, :3].T + geometry.affine[:3, 3]
    surfaces = Surfaces.of(samples)
    assert surfaces is not None
    for side, values in zip(("left", "right"), surfaces.project(world[:, axis]), strict=True):
        average = load_fsaverage("fsaverage5")
        middle = [average[part].parts[side].coordinates[:, axis] for part in ("pial", "white_matter")]
        known = np.isfinite(values)
        assert np.corrcoef(values[known], np.mean(middle, axis=0)[known])[0, 1] > 0.99


def test_the_background_is_the_folding_of_the_same_hemisphere(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("nilearn.plotting.plot_surf_stat_map", lambda **options: asked.append(options))
    surfaces = Surfaces.of(surface_samples(LEVELS[-1]))
    assert surfaces is not None
    SurfacePainter(surfaces).draw(new_figure(9, 2).add_axes((0, 0, 1, 1)), 0, np.zeros(2 * LEVELS[-1]), 1.0)
    assert len(asked) == 4
    sulci = load_fsaverage_data(mesh="fsaverage5", data_type="sulcal").data.parts
    meshes = load_fsaverage("fsaverage5")["inflated"].parts
    for options in asked:
        np.testing.assert_array_equal(options["bg_map"], sulci[options["hemi"]])
        np.testing.assert_array_equal(options["surf_mesh"].coordinates, meshes[options["hemi"]].coordinates)
        assert options["vmin"] == -options["vmax"]


def test_small_meshes_are_the_first_vertices_with_faces_of_their_own() -> None:
    whole = {tuple(sorted(face)) for face in load_fsaverage("fsaverage5")["inflated"].parts["left"].faces.tolist()}
    assert {tuple(sorted(face)) for face in average_mesh(LEVELS[-1], "left").faces.tolist()} == whole
    for n in LEVELS:
        for side in ("left", "right"):
            faces = average_mesh(n, side).faces
            # Euler: every triangulation of a sphere with n vertices has so many faces
            assert len(faces) == 2 * n - 4
            assert set(faces.ravel().tolist()) == set(range(n))


def test_large_surfaces_show_their_first_vertices_and_files_keep_all(tmp_path: Path) -> None:
    used = np.array([[0, 5], [0, 10241], [0, 10242], [1, 7], [1, 163841]])
    samples = surface_samples(163842, used)
    surfaces = Surfaces.of(samples)
    assert surfaces is not None
    sides = surfaces.project(np.arange(1.0, 6.0))
    assert [side.shape for side in sides] == [(163842,), (163842,)]
    drawn = surfaces.drawn(LEVELS[-1])
    left, right = (sides[k][drawn[side].vertex] for k, side in enumerate(("left", "right")))
    assert (left.shape, right.shape) == ((10242,), (10242,))
    assert (left[5], left[10241], right[7]) == (1, 2, 4)
    assert np.isfinite(left).sum() == 2
    paths = write_gifti((sides[0][None], sides[1][None]), ["contrast"], tmp_path, "igc")
    assert [path.name for path in paths] == ["igc_hemi-L.shape.gii", "igc_hemi-R.shape.gii"]
    for path, side, structure in zip(paths, sides, ("CortexLeft", "CortexRight"), strict=True):
        image = nib.load(path)
        assert image.meta["AnatomicalStructurePrimary"] == structure
        assert image.darrays[0].meta["Name"] == "contrast"
        np.testing.assert_array_equal(image.darrays[0].data, side.astype(np.float32))


def test_grids_of_templates_are_known_and_those_of_scanners_are_not() -> None:
    for resolution in (1, 2, 4):
        template = load_mni152_template(resolution=resolution)
        assert in_mni_space(template.affine, template.shape)
    spm = np.diag([-2.0, 2, 2, 1])
    spm[:3, 3] = 78, -112, -70
    assert in_mni_space(spm, (79, 95, 79))
    centred = np.diag([1.8, 1.8, 1.8, 1])
    centred[:3, 3] = -(np.array([81, 104, 83]) - 1) / 2 * 1.8
    assert not in_mni_space(centred, (81, 104, 83))
    assert not in_mni_space(np.diag([3.5, 3.75, 3.75, 1]), (40, 64, 1))
    tilted = np.asarray(load_mni152_template(resolution=2).affine).copy()
    tilted[:3, :3] @= np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    assert not in_mni_space(tilted, (99, 117, 95))


def test_what_cannot_be_shown_on_the_surface_says_why(slice_samples, image_samples) -> None:
    reasons = [why_no_surface(one) for one in (slice_samples, image_samples, surface_samples(320))]
    assert ["MNI" in reasons[0], "no place in a brain" in reasons[1], "320 vertices" in reasons[2]] == [True] * 3
    figure = maps_surface(slice_samples, results_of((120,), ["face", "house"]))
    assert any("MNI" in text.get_text() for text in figure.texts)


def test_regions_have_their_colours_on_their_side() -> None:
    surfaces = Surfaces.of(surface_samples(LEVELS[0]))
    assert surfaces is not None
    figure = new_figure(9, 2)
    labels = np.repeat([0, 3], LEVELS[0])
    SurfacePainter(surfaces).draw_regions(figure.add_axes((0, 0, 1, 1)), labels, {3: "#d55e00", 1: "#0072b2"})
    for axes in figure.axes[1:]:
        (mesh,) = [one for one in axes.collections if isinstance(one, Poly3DCollection)]
        near = np.abs(np.asarray(mesh.get_facecolor())[:, :3] - to_rgb("#d55e00")).max(axis=1) < 0.02
        assert near.mean() == pytest.approx(1.0 if "right" in axes.get_label() else 0.0)


def test_studies_on_a_surface_are_drawn_on_it() -> None:
    draw = painters(surface_samples(LEVELS[0]), results_of((2 * LEVELS[0],), ["contrast"]))
    assert isinstance(draw.large, SurfacePainter)
    assert isinstance(draw.small, SurfacePainter)
    assert "left hemisphere" in draw.hint


def test_a_native_map_is_drawn_on_the_own_mesh_with_the_right_on_the_right() -> None:
    samples = native_samples()
    surfaces = Surfaces.of(samples)
    assert surfaces is not None
    assert why_no_surface(samples) == ""
    right = np.repeat([0.0, 1.0], [700, 650])
    shares = {side: redness(faces) for side, faces in colours(SurfacePainter(surfaces), right).items()}
    assert min(shares["right lateral"], shares["right medial"]) > 0.99
    assert max(shares["left lateral"], shares["left medial"]) < 0.01
    own = surfaces.drawn(LEVELS[-1])
    folds = [own[side].folds for side in ("left", "right")]
    assert [len(one) for one in folds] == [700, 650]
    assert folds[0].max() < folds[1].min()


@pytest.mark.parametrize("count", [700, 12_000])
def test_the_back_of_a_native_map_is_drawn_at_the_back(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("nilearn.plotting.plot_surf_stat_map", lambda **options: asked.append(options))
    samples = native_samples((count, 650))
    surfaces = Surfaces.of(samples)
    assert surfaces is not None
    behind = (samples["mesh_coordinates"].values[:, 1] < 0).astype(float)
    SurfacePainter(surfaces).draw(new_figure(9, 2).add_axes((0, 0, 1, 1)), 0, behind, 1.0)
    assert [len(one["stat_map"]) for one in asked][2:] == [650, 650]
    for options in asked:
        np.testing.assert_array_equal(options["stat_map"] == 1, options["surf_mesh"].coordinates[:, 1] < 0)
        assert len(options["bg_map"]) == len(options["stat_map"]) <= LEVELS[-1]


def test_a_thinned_mesh_keeps_its_shape_and_its_vertices() -> None:
    samples = native_samples((20_000, 650))
    surfaces = Surfaces.of(samples)
    assert surfaces is not None
    whole, thin = surfaces.drawn(100_000)["left"], surfaces.drawn(LEVELS[1])["left"]
    assert len(whole.vertex) == 20_000
    assert 0.5 * LEVELS[1] < len(thin.vertex) <= LEVELS[1]
    np.testing.assert_array_equal(thin.coordinates, whole.coordinates[thin.vertex])
    np.testing.assert_array_equal(thin.folds, whole.folds[thin.vertex])
    assert len(np.unique(thin.vertex)) == len(thin.vertex)
    # a closed surface of about the same area, without a hole or a face that comes twice
    assert len(np.unique(np.sort(thin.faces, axis=1), axis=0)) == len(thin.faces)

    def area(mesh: Mesh) -> float:
        corners = mesh.coordinates[mesh.faces]
        return float(
            np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
        )

    assert area(thin) == pytest.approx(area(whole), rel=0.05)


def test_values_without_a_mean_are_those_of_a_corner_and_nothing_is_drawn_where_there_is_none() -> None:
    surfaces = Surfaces.of(native_samples())
    assert surfaces is not None
    alternating = np.where(np.arange(1350) % 2 == 0, -180.0, 180.0)
    alternating[700:] = np.nan
    figure = new_figure(9, 2)
    SurfacePainter(surfaces).draw_values(figure.add_axes((0, 0, 1, 1)), alternating, "twilight", (-180, 180), True)
    for axes in figure.axes[1:]:
        (mesh,) = [one for one in axes.collections if isinstance(one, Poly3DCollection)]
        found = np.asarray(mesh.get_facecolor())[:, :3]
        ends = np.abs(found - colormaps["twilight"](0.0)[:3]).max(axis=1) < 0.03
        # the mean of both ends, 0, would be the darkest of the colours
        assert ends.all() if "left" in axes.get_label() else np.ptp(found, axis=1).max() < 1e-6
