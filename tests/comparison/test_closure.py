import numpy as np
import pytest

from igc.comparison.closure import closure_table, roi_gap, runtime_row
from igc.roi.sets import from_labels
from tests.roi.synthetic import make_result

SHAPE = (1, 6, 8)
SETS = {"a": from_labels("a", np.arange(48).reshape(SHAPE) % 3), "b": from_labels("b", np.eye(6, 8)[None])}


def test_a_result_that_closes_passes() -> None:
    table = closure_table(make_result(SHAPE, SETS))
    assert table["passed"].tolist() == [True] * 3
    np.testing.assert_allclose(table["closed_gap"], 0, atol=1e-12)
    np.testing.assert_allclose(table["roi_gap"], 0, atol=1e-12)
    np.testing.assert_allclose(table["gap_ratio"], table["gap"].abs() / 0.001)


@pytest.mark.parametrize("baselines", ["data", None])
@pytest.mark.parametrize(("gap", "passed"), [(0.0039, True), (0.0041, False), (-0.0041, False)])
def test_the_gap_before_closure_may_be_four_standard_errors(gap: float, passed: bool, baselines: str | None) -> None:
    result = make_result(SHAPE, baselines=baselines)
    result["completeness_error"][:] = gap
    assert closure_table(result)["passed"].tolist() == [passed] * 3


@pytest.mark.parametrize("error", [np.nan, 0.0, 0.5])
def test_the_gap_of_shared_baselines_may_be_a_thousandth(error: float) -> None:
    result = make_result(SHAPE, baselines="zero")
    result["completeness_standard_error"][:] = error
    result["completeness_error"][:] = [0.0009, -0.0011, np.nan]
    assert closure_table(result)["passed"].tolist() == [True, False, False]
    without = result.drop_vars(["completeness_error", "completeness_standard_error"])
    assert closure_table(without)["passed"].tolist() == [True] * 3


def test_a_finished_map_or_set_that_does_not_sum_to_the_score_fails() -> None:
    result = make_result(SHAPE, SETS)
    result["attribution"][0, 0, 0, 0] += 1e-5
    result["roi_attribution"][1, 3] += 1e-5
    table = closure_table(result)
    assert table["passed"].tolist() == [False, False, True]
    np.testing.assert_allclose(table["closed_gap"], [1e-5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(table["roi_gap"], [0, 1e-5, 0], atol=1e-9)


def test_methods_that_promise_no_sum_are_not_judged_but_their_sets_still_add_up() -> None:
    result = make_result(SHAPE, SETS, complete=False)
    result["score"][:] = 7
    table = closure_table(result)
    assert table[["gap", "gap_ratio", "closed_gap"]].isna().all().all()
    assert table["passed"].tolist() == [None] * 3
    np.testing.assert_allclose(roi_gap(result), 0, atol=1e-12)


def test_a_target_without_a_score_is_not_a_failure() -> None:
    result = make_result(SHAPE, SETS)
    for name in ("score", "attribution", "roi_attribution", "completeness_error"):
        result[name][2] = np.nan
    assert closure_table(result)["passed"].tolist() == [True] * 3


def test_run_time_is_given_per_sample_and_second() -> None:
    row = runtime_row(make_result(SHAPE))
    assert row == {
        "samples": 200,
        "seconds": 2,
        "evaluations": 3200,
        "evaluations_per_sample": 16,
        "evaluations_per_second": 1600,
    }
    unknown = runtime_row(make_result(SHAPE, seconds=None, evaluations=None).drop_vars("n_fold"))
    assert np.isnan(list(unknown.values())).all()
