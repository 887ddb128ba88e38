"""Receptive fields on the brain: which values, in which colours, at which place."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps

from igc.report.field_maps import ANGLES, field_map_figure, field_maps
from igc.report.places import located_targets
from igc.roi.field_table import FIELD_COLUMNS
from tests.report.inspecting import clipped, overlapping

SHAPE = (6, 5, 4)


def table(angles: np.ndarray, ceiling: bool = True) -> pd.DataFrame:
    n = len(angles)
    values = {
        "target": [f"voxel {k}" for k in range(n)],
        "angle": angles,
        "eccentricity": 4.0,
        "size": 2.0,
        "eccentricity_degrees": np.nan,
        "size_degrees": np.nan,
        "r2": 0.8,
        "score": 0.5,
        "normalized_score": 0.9 if ceiling else np.nan,
    }
    return pd.DataFrame(values).reindex(columns=list(FIELD_COLUMNS))


def volume() -> xr.Dataset:
    """Return samples whose targets are all voxels of a small grid whose first axis runs to the left."""
    index = np.argwhere(np.ones(SHAPE, dtype=bool))
    return xr.Dataset(
        {
            "inputs": (("sample", "channel", "row", "column"), np.zeros((2, 1, 4, 4))),
            "target_voxel_index": (("target", "axis"), index),
            "target_background": (("x", "y", "z"), np.ones(SHAPE)),
        },
        attrs={"kind": "image", "target_affine": np.diag([-2.0, 2, 2, 1]).tolist(), "target_volume_shape": list(SHAPE)},
    )


def test_colours_of_angles_go_round_without_a_step() -> None:
    wheel = colormaps[ANGLES]
    np.testing.assert_allclose(wheel(0.0), wheel(1.0), atol=0.01)
    around = wheel(np.linspace(0, 1, 257))[:, :3]
    assert np.abs(np.diff(around, axis=0)).max() < 0.03
    # right, up, left and down differ from each other
    four = wheel([0.5, 0.75, 0.0, 0.25])[:, :3]
    apart = np.linalg.norm(four[:, None] - four[None], axis=-1)[np.triu_indices(4, 1)]
    assert apart.min() > 0.35


def test_angles_are_red_right_of_the_middle_of_the_image_and_blue_green_left_of_it() -> None:
    right, left = colormaps[ANGLES]([0.5, 0.0])
    assert right[0] > right[2] + 0.2
    assert left[2] > left[0] + 0.2


def test_only_fields_that_fit_and_targets_that_are_predicted_have_an_angle() -> None:
    rows = table(np.array([10.0, 20.0, 30.0]))
    rows.loc[0, "r2"], rows.loc[1, "score"] = 0.1, 0.05
    maps = {one.name: one for one in field_maps(rows)}
    np.testing.assert_array_equal(maps["polar angle"].values, [np.nan, np.nan, 30.0])
    np.testing.assert_array_equal(maps["score"].values, [0.5, 0.05, 0.5])
    assert maps["eccentricity"].unit == "pixels"
    assert "normalised score" in maps
    assert "normalised score" not in {one.name for one in field_maps(table(np.zeros(2), ceiling=False))}


def test_the_right_of_the_world_is_drawn_on_the_right_in_the_colour_of_its_angle() -> None:
    samples = volume()
    places = located_targets(samples)
    assert places is not None
    world_x = samples["target_voxel_index"].values[:, 0] * -2.0
    angles = np.where(world_x > world_x.mean(), 180.0, 0.0)
    figure = field_map_figure(table(angles), places, "A study")
    first = next(axes for axes in figure.axes if axes.get_label() == "polar angle")
    shown = first.images[-1]
    values = np.asarray(shown.get_array())
    assert np.all(values[:, : values.shape[1] // 2] == 0)
    assert np.all(values[:, values.shape[1] // 2 :] == 180)
    assert (shown.get_cmap().name, shown.get_clim()) == (ANGLES, (-180, 180))
    assert shown.get_extent()[0] < shown.get_extent()[1]
    assert not clipped(figure)
    assert not overlapping(figure)


def test_targets_without_a_place_have_no_maps_and_unknown_surfaces_say_so() -> None:
    samples = volume()
    assert located_targets(samples.drop_vars("target_voxel_index")) is None
    vertices = xr.Dataset(
        {"target_vertex_index": (("target", "axis"), np.array([[0, 1], [1, 2]]))},
        attrs={"target_hemisphere_vertices": [300, 310]},
    )
    places = located_targets(vertices)
    assert places is not None
    figure = field_map_figure(table(np.zeros(2)), places, "A study")
    assert any("300 and 310 vertices" in text.get_text().replace("\n", " ") for text in figure.texts)


def test_fields_of_vertices_are_drawn_on_both_hemispheres() -> None:
    place = np.stack([np.repeat([0, 1], 642), np.tile(np.arange(642), 2)], axis=1)
    vertices = xr.Dataset(
        {"target_vertex_index": (("target", "axis"), place)}, attrs={"target_hemisphere_vertices": [642, 642]}
    )
    places = located_targets(vertices)
    assert places is not None
    figure = field_map_figure(table(np.zeros(1284)), places)
    assert sum(axes.get_label() == "left lateral" for axes in figure.axes) == 6
