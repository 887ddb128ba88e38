import numpy as np
import pytest
from scipy import stats

from igc.comparison.linear import COLUMNS, deep_against_linear
from igc.roi.sets import from_labels
from tests.roi.synthetic import make_result

SHAPE = (1, 6, 8)
A, B = (from_labels(name, np.arange(48).reshape(SHAPE) % n) for name, n in (("a", 3), ("b", 4)))


def test_differences_and_their_errors_are_those_of_independent_estimates() -> None:
    network = make_result(SHAPE, {"a": A, "b": B}, seed=1)
    linear = make_result(SHAPE, {"b": B, "a": A}, seed=2, targets=("c", "a"))
    table = deep_against_linear(network, linear)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * (3 + 4)
    row = table[(table["set"] == "b") & (table["index"] == 0) & (table["target"] == "c")].iloc[0]
    x, y = network["roi_attribution"].values[2, 6], linear["roi_attribution"].values[0, 3]
    se = np.hypot(network["roi_standard_error"].values[2, 6], linear["roi_standard_error"].values[0, 3])
    assert row["roi"] == "rest"
    assert row["difference"] == pytest.approx(x - y)
    assert row["difference_se"] == pytest.approx(se)
    assert row["p"] == pytest.approx(2 * stats.norm.cdf(-abs((x - y) / se)))
    assert row["network_score"] == pytest.approx(float(network["score"][2]))
    assert row["linear_score"] == pytest.approx(float(linear["score"][0]))


def test_differences_sum_to_the_difference_of_the_scores() -> None:
    table = deep_against_linear(make_result(SHAPE, {"a": A}, seed=1), make_result(SHAPE, {"a": A}, seed=2))
    for _, rows in table.groupby("target"):
        scores = rows["network_score"].iloc[0] - rows["linear_score"].iloc[0]
        assert rows["difference"].sum() == pytest.approx(scores, abs=1e-12)


def test_without_errors_there_is_no_test() -> None:
    bare = make_result(SHAPE, {"a": A}).drop_vars("roi_standard_error")
    table = deep_against_linear(bare, make_result(SHAPE, {"a": A}, seed=3))
    assert table["difference"].notna().all()
    assert table[["difference_se", "z", "p"]].isna().all().all()


def test_without_roi_sums_there_is_nothing_to_compare() -> None:
    assert deep_against_linear(make_result(SHAPE), make_result(SHAPE, {"a": A})).empty
