"""The figure of parts, interactions and principles says what the result holds."""

import numpy as np
import pytest
import xarray as xr

from igc.report.taylor import judged_methods, region_names, taylor_figure, taylor_results
from igc.roi.sets import from_labels
from tests.report.inspecting import clipped, overlapping, panels, words

PARTS = ["first", "independent", "interactive"]
SIZES = ["first", "independent", "interactive", "first_order_error", "hidden_zero"]


@pytest.fixture
def result():
    random = np.random.default_rng(0)
    parts = random.normal(size=(2, 3, 3)) * 0.1
    matrix = random.normal(size=(2, 3, 3)) * 0.02
    matrix = matrix + matrix.transpose(0, 2, 1)
    small = np.full((2, 3, 3), 1e-3)
    variables = {
        "part_attribution": (("target", "part", "region"), parts),
        "part_attribution_standard_error": (("target", "part", "region"), small),
        "part_attribution_estimator_error": (("target", "part", "region"), small),
        "interaction": (("target", "region", "other_region"), matrix),
        "interaction_standard_error": (("target", "region", "other_region"), small),
        "interaction_estimator_error": (("target", "region", "other_region"), small),
        "effect_size": (("target", "size"), np.tile([0.9, 0.3, 0.4, 0.6, 0.0], (2, 1))),
    }
    coordinates = {"target": ["a", "b"], "part": PARTS, "region": [0, 1, 2], "other_region": [0, 1, 2], "size": SIZES}
    settings = {"options": {"features": "lobes"}}
    return xr.Dataset(variables, coordinates, {"method": "taylor_igc", "settings": settings})


@pytest.fixture
def rois():
    labels = np.array([0, 1, 1, 2])
    return {"lobes": from_labels("lobes", labels, {1: "frontal", 2: "occipital"})}


def test_bars_are_the_parts_averaged_over_targets(result, rois):
    figure = taylor_figure({("net-seed0", "taylor_igc"): result}, rois, "Study")
    (axes,) = panels(figure, "parts net · Taylor IGC")
    heights = np.array([bar.get_height() for bar in axes.patches]).reshape(3, 3)
    np.testing.assert_allclose(heights, result["part_attribution"].mean("target"), atol=1e-12)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["rest", "frontal", "occipital"]


def test_diamonds_are_the_sums_of_the_parts(result, rois):
    (axes,) = panels(taylor_figure({("net-seed0", "taylor_igc"): result}, rois), "parts net · Taylor IGC")
    points = axes.collections[-1].get_offsets()
    expected = result["part_attribution"].mean("target").sum("part")
    np.testing.assert_allclose(points[:, 1], expected, atol=1e-12)


def test_matrix_shows_pairs_and_leaves_the_diagonal_out(result, rois):
    (axes,) = panels(taylor_figure({("net-seed0", "taylor_igc"): result}, rois), "interactions net · Taylor IGC")
    shown = np.asarray(axes.images[0].get_array().filled(np.nan), dtype=float)
    mean = result["interaction"].mean("target").values
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(shown[off], mean[off], atol=1e-12)
    assert np.isnan(np.diag(shown)).all()
    assert len(axes.texts) == 6


def test_certain_interactions_are_bold(result, rois):
    values = np.zeros((2, 3, 3))
    values[:, 0, 1] = values[:, 1, 0] = 0.5
    result["interaction"] = (("target", "region", "other_region"), values)
    (axes,) = panels(taylor_figure({("net-seed0", "taylor_igc"): result}, rois), "interactions net · Taylor IGC")
    bold = {text.get_position() for text in axes.texts if text.get_weight() == "bold"}
    assert bold == {(0, 1), (1, 0)}


def test_table_judges_methods_by_the_sizes_of_effects(result, rois):
    judged = {one.method: one for one in judged_methods(result)}
    assert judged["occlusion"].interactive == pytest.approx(0.4)
    assert judged["gradient_x_input"].approximation == pytest.approx(0.6)
    assert judged["integrated_gradients"].summary == "3 of 3"
    said = words(taylor_figure({("net-seed0", "taylor_igc"): result}, rois))
    assert "expected gradients" in said
    assert "1 of 3" in said


def test_other_results_are_no_decomposition(result):
    other = result.assign_attrs(method="interaction_aware")
    assert taylor_results({("net", "aware"): other, ("net", "parts"): result}).keys() == {("net", "parts")}
    assert "No result of taylor igc" in words(taylor_figure({("net", "aware"): other}, title="Study"))


def test_regions_without_a_set_are_called_by_their_labels(result):
    assert region_names(result, {}) == ["0", "1", "2"]


def test_no_text_is_cut_or_covers_another(result, rois):
    figure = taylor_figure({("a-seed0", "taylor_igc"): result, ("b-seed0", "taylor_igc"): result}, rois, "Study")
    assert clipped(figure) == []
    assert overlapping(figure) == []
