from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from igc.comparison.agreement import map_agreement
from igc.comparison.closure import closure_table, runtime_row
from igc.report.agreement import agreement_figure, agreement_matrix, diagnostics_figure
from igc.report.style import PALETTE
from tests.report.conftest import NAMES, results_of
from tests.report.inspecting import clipped, overlapping, panels, words


@pytest.fixture(scope="module")
def results():
    return results_of((1, 6, 6), NAMES[:4], methods=("igc", "integrated_gradients", "naive_correlation"))


@pytest.fixture(scope="module")
def pairs(results):
    rows = [
        map_agreement(results[a], results[b]).assign(model_a=a[0], method_a=a[1], model_b=b[0], method_b=b[1])
        for a, b in combinations(results, 2)
    ]
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def closure(results):
    return pd.concat([closure_table(one).assign(model=key[0], method=key[1]) for key, one in results.items()])


@pytest.fixture
def runtime(results):
    return pd.DataFrame([{"model": key[0], "method": key[1], **runtime_row(one)} for key, one in results.items()])


def test_the_matrix_is_symmetric_and_holds_the_average_of_each_pair(results, pairs):
    keys, matrix = agreement_matrix(pairs)
    assert set(keys) == set(results)
    assert [method for _, method in keys[:2]] == ["igc", "igc"]
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    a, b = keys[0], keys[4]
    expected = map_agreement(results[a], results[b]).set_index("target").loc["all", "pearson"]
    assert matrix[0, 4] == pytest.approx(expected)


def test_pearson_stands_below_the_diagonal_and_spearman_above(pairs):
    figure = agreement_figure(pairs, "Study")
    (axes,) = panels(figure, "agreement")
    (image,) = axes.get_images()
    shown = np.ma.filled(image.get_array(), np.nan)
    lower, upper = np.tril_indices(6, -1), np.triu_indices(6, 1)
    np.testing.assert_allclose(shown[lower], agreement_matrix(pairs, "pearson")[1][lower])
    np.testing.assert_allclose(shown[upper], agreement_matrix(pairs, "spearman")[1][upper])
    assert image.get_clim() == (-1, 1)
    assert f"{shown[1, 0]:.2f}".replace("-", "\N{MINUS SIGN}") in words(figure)
    assert not clipped(figure)
    assert not overlapping(figure)


def test_methods_without_a_sign_are_said_to_be_compared_by_magnitude(pairs):
    assert "by magnitude" not in words(agreement_figure(pairs, "Study"))
    assert "by magnitude" in words(agreement_figure(pairs.assign(compared="magnitude"), "Study"))


def test_many_maps_are_drawn_without_numbers():
    keys = [(f"model_{m}-seed0", f"method_with_a_name_{k}") for m in range(4) for k in range(12)]
    rows = [(*a, *b, "all", "signed", 0.1234, 0.4321) for a, b in combinations(keys, 2)]
    columns = ["model_a", "method_a", "model_b", "method_b", "target", "compared", "pearson", "spearman"]
    figure = agreement_figure(pd.DataFrame(rows, columns=columns), "Study")
    assert "0.12" not in words(figure)
    assert not clipped(figure)


def test_a_single_map_has_nothing_to_be_compared_with():
    assert "only one map" in words(agreement_figure(pd.DataFrame(), "Study"))


def test_gaps_are_drawn_in_standard_errors_over_the_allowed_band(closure, runtime):
    closure["gap"], closure["gap_se"] = np.where(closure["complete"], 0.002, np.nan), 0.001
    figure = diagnostics_figure(closure, runtime, "Study")
    (axes,) = panels(figure, "closure")
    (band,) = [patch for patch in axes.patches if patch.get_width() == 8]
    assert band.get_x() == -4
    dots = np.concatenate([np.asarray(one.get_offsets()) for one in axes.collections])
    np.testing.assert_allclose(dots[:, 0], 2.0)
    assert len(dots) == 2 * 4
    assert words(figure).count("n/a") == 1 + 4
    assert "±4" in words(figure)


def test_a_gap_outside_the_band_is_a_cross_of_another_colour(closure, runtime):
    closure["gap"], closure["gap_se"] = np.where(closure["complete"], 0.1, np.nan), 0.001
    (axes,) = panels(diagnostics_figure(closure, runtime, "Study"), "closure")
    crosses = [one for one in axes.collections if len(one.get_offsets())]
    colours = {tuple(np.round(one.get_facecolor()[0][:3], 3)) for one in crosses}
    expected = tuple(round(int(PALETTE[1][k : k + 2], 16) / 255, 3) for k in (1, 3, 5))
    assert colours == {expected}
    low, high = axes.get_xlim()
    assert low == -high
    assert high > 100
    assert not overlapping(axes.get_figure())


def test_a_deterministic_estimator_shows_its_gap_in_correlation_units(closure, runtime):
    closure["gap"], closure["gap_se"] = np.where(closure["complete"], 2e-5, np.nan), 0.0
    said = words(diagnostics_figure(closure, runtime, "Study"))
    assert "largest gap 2.0\N{MULTIPLICATION SIGN}10⁻⁵ (no sampling error)" in said


def test_an_error_as_small_as_rounding_makes_no_gap_large(closure, runtime):
    closure["gap"], closure["gap_se"] = np.where(closure["complete"], 1e-8, np.nan), 1e-17
    figure = diagnostics_figure(closure, runtime, "Study")
    (axes,) = panels(figure, "closure")
    assert not axes.collections
    assert axes.get_xlim() == (-6, 6)


def test_run_times_are_drawn_as_they_are(closure, runtime, results):
    figure = diagnostics_figure(closure, runtime, "Study")
    (axes,) = panels(figure, "runtime")
    assert axes.get_xscale() == "log"
    found = np.sort(axes.lines[0].get_xdata())
    np.testing.assert_allclose(found, np.sort([one.attrs["seconds"] for one in results.values()]))
    assert not clipped(figure)
    assert not overlapping(figure)


def test_a_study_that_recorded_no_times_is_drawn_all_the_same(closure, runtime):
    figure = diagnostics_figure(closure, runtime.assign(seconds=np.nan), "Study")
    assert "no run times recorded" in words(figure)


def test_recovery_is_a_panel_where_the_truth_is_known(closure, runtime, results):
    recovery = pd.DataFrame([{"model": a, "method": b, "target": "y", "pearson": 0.9} for a, b in results])
    figure = diagnostics_figure(closure, runtime, "Study", recovery)
    (axes,) = panels(figure, "recovery")
    assert len(axes.collections) == len(results)
    assert "planted truth" in words(figure)
    assert not clipped(figure)
