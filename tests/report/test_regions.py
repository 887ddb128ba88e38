from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import BarContainer

from igc.report.images import ImagePainter
from igc.report.regions import MAX_REGIONS, roi_bars, roi_figure
from igc.report.style import GREY
from igc.roi.sets import from_labels
from tests.report.conftest import NAMES, results_of
from tests.report.inspecting import clipped, overlapping, panels, words


def heights_and_errors(axes):
    """Return the height of every bar, and half the length of the error bar on it (0 without one)."""
    bars = [one for one in axes.containers if isinstance(one, BarContainer)]
    heights = np.array([one.patches[0].get_height() for one in bars])
    errors = np.zeros(len(bars))
    for k, one in enumerate(bars):
        if one.errorbar is not None:
            (low, high) = one.errorbar.lines[2][0].get_segments()[0][:, 1]
            errors[k] = (high - low) / 2
    return heights, errors


def test_bars_are_the_table_and_error_bars_its_errors(rings):
    results = results_of((1, 8, 8), ["sum"], rings, models=("cnn-seed0",))
    result = results["cnn-seed0", "igc"]
    (axes,) = panels(roi_figure(results, rings), "bars rings")
    heights, errors = heights_and_errors(axes)
    np.testing.assert_allclose(heights, [*result["roi_attribution"].values[0], result["score"].values[0]])
    np.testing.assert_allclose(errors, [*result["roi_standard_error"].values[0], 0], atol=1e-12)
    assert [tick.get_text() for tick in axes.get_xticklabels()][:3] == ["inner", "outer", "rest"]
    np.testing.assert_allclose(heights[:-1].sum(), heights[-1])


def test_over_several_targets_bars_are_means_and_every_target_is_a_dot(rings):
    results = results_of((1, 8, 8), NAMES, rings)
    (axes,) = panels(roi_figure(results, rings), "bars rings")
    heights, errors = heights_and_errors(axes)
    for m, model in enumerate(("cnn-seed0", "linear-seed0")):
        result = results[model, "igc"]
        values = np.column_stack([result["roi_attribution"].values, result["score"].values])
        np.testing.assert_allclose(heights[4 * m : 4 * m + 4], values.mean(axis=0))
        np.testing.assert_allclose(errors[4 * m : 4 * m + 3], result["roi_standard_error"].values.mean(axis=0))
        dots = [np.asarray(one.get_offsets())[:, 1] for one in axes.collections if len(one.get_offsets()) == 10]
        for column in values.T:
            assert any(np.allclose(found, column) for found in dots)


def test_the_rest_is_grey_and_regions_have_the_colours_of_their_set(rings):
    results = results_of((1, 8, 8), ["sum"], rings, models=("cnn-seed0",))
    (axes,) = panels(roi_figure(results, rings), "bars rings")
    colours = [to_hex(bar.get_edgecolor()) for bar in axes.patches]
    assert colours[:2] == [region.color for region in rings["rings"].regions.values()]
    assert colours[2] == GREY


def test_without_sampling_errors_the_bars_show_those_of_the_estimator_and_say_so(rings):
    results = results_of((1, 8, 8), ["sum"], rings, models=("cnn-seed0",))
    result = results["cnn-seed0", "igc"]
    result["roi_standard_error"][:] = np.nan
    figure = roi_figure(results, rings)
    _, errors = heights_and_errors(panels(figure, "bars rings")[0])
    np.testing.assert_allclose(errors[:3], result["roi_estimator_error"].values[0])
    assert "error of the estimator" in words(figure)


def test_without_any_errors_there_are_no_error_bars(rings):
    results = results_of((1, 8, 8), ["sum"], rings, models=("cnn-seed0",))
    only = {key: one.drop_vars(["roi_standard_error", "roi_estimator_error"]) for key, one in results.items()}
    figure = roi_figure(only, rings)
    assert not heights_and_errors(panels(figure, "bars rings")[0])[1].any()
    assert "Error bars" not in words(figure)


def test_of_many_regions_the_largest_are_shown_and_the_others_summed():
    labels = np.arange(64).reshape(1, 8, 8) % 40
    sets = {"atlas": from_labels("atlas", labels, {k: f"area {k}" for k in range(1, 40)})}
    results = results_of((1, 8, 8), ["sum"], sets, models=("cnn-seed0",))
    result = results["cnn-seed0", "igc"]
    (axes,) = panels(roi_figure(results, sets), "bars atlas")
    heights, errors = heights_and_errors(axes)
    values = result["roi_attribution"].values[0, :39]
    largest = np.sort(np.argsort(-np.abs(values))[:MAX_REGIONS])
    np.testing.assert_allclose(heights[:MAX_REGIONS], values[largest])
    np.testing.assert_allclose(heights[MAX_REGIONS], np.delete(values, largest).sum())
    assert errors[MAX_REGIONS] == 0
    np.testing.assert_allclose(heights[:-1].sum(), heights[-1])
    assert axes.get_xticklabels()[MAX_REGIONS].get_text().split() == ["27", "others"]


def test_a_set_of_an_incomplete_method_sums_to_its_own_map(rings):
    result = results_of((1, 8, 8), ["sum"], rings)["cnn-seed0", "integrated_gradients"]
    bars = roi_bars(result, "rings")
    np.testing.assert_allclose(bars.total, result["attribution"].values.sum(axis=(1, 2, 3)))


@pytest.mark.parametrize("count", [3, 14])
def test_long_region_names_neither_overlap_nor_leave_the_figure(count):
    labels = np.arange(64).reshape(1, 8, 8) % (count + 1)
    names = {k: f"7Networks_LH_SomatomotorAndAuditory_{k}" for k in range(1, count + 1)}
    sets = {name: from_labels(name, labels, names) for name in ("atlas", "atlas_again")}
    results = results_of((1, 8, 8), NAMES, sets)
    figure = roi_figure(results, sets, ImagePainter((8, 8), {}), "A study")
    assert len(panels(figure, "key atlas")) == 1
    assert not clipped(figure)
    assert not overlapping(figure)


def test_a_study_without_regions_says_so():
    assert "No ROI sets" in words(roi_figure(results_of((1, 8, 8), ["sum"]), {}, None, "A study"))
