"""Ranks against hand-made tables, the published critical differences, and tests against chance."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import friedmanchisquare

from igc.comparison.criteria import YARDSTICKS
from igc.comparison.ranking import RANKED, SHOWN, nemenyi_difference, rank_methods, rank_test
from igc.comparison.summary import METRICS, SUMMARY_COLUMNS


def row(method: str, value: float, *, metric: str = "insertion", se: float = 0.0, **other: object) -> dict:
    fixed = {"study": "s", "model": "m", "seed": 0, "roi_set": None, "reference": "zero", "n": 9}
    better = "lower" if metric == "deletion" else "higher"
    return {**fixed, "method": method, "value": value, "metric": metric, "se": se, "better": better, **other}


def table(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def test_ranks_run_from_the_best_to_the_worst_whichever_way_is_better():
    rows = [
        row(m, v, metric=metric) for metric in ("insertion", "deletion") for m, v in zip("abc", (3, 2, 1), strict=True)
    ]
    verdict = rank_methods(table(rows))
    assert verdict.cells["insertion"].to_dict() == {"a": 0, "b": 0.5, "c": 1}
    assert verdict.cells["deletion"].to_dict() == {"a": 1, "b": 0.5, "c": 0}
    np.testing.assert_allclose(verdict.average, 0.5)


def test_references_count_as_one_yardstick_and_yardsticks_as_one_model():
    order = {"zero": "abc", "mean": "abc", "blurred": "cba"}
    rows = [row(m, -i, reference=ref) for ref, methods in order.items() for i, m in enumerate(methods)]
    rows += [row(m, i, metric="keep_retrain") for i, m in enumerate("abc")]
    verdict = rank_methods(table(rows))
    assert verdict.cells.loc["a", "insertion"] == pytest.approx(1 / 3)
    average = dict(zip(verdict.cells.index, verdict.average, strict=True))
    assert average == pytest.approx({"a": (1 / 3 + 1) / 2, "b": 0.5, "c": (2 / 3 + 0) / 2})
    assert list(verdict.cells.index) == ["c", "b", "a"]


def test_a_method_is_ranked_only_where_it_is_judged_with_two_others():
    rows = [row(m, i) for i, m in enumerate("abc")] + [
        row("d", 5, metric="keep_retrain"),
        row("a", 1, metric="keep_retrain"),
    ]
    verdict = rank_methods(table(rows))
    assert set(verdict.cells.index) == set("abc")
    assert list(verdict.cells.columns) == ["insertion"]


def test_what_costs_or_agrees_does_not_count():
    rows = [
        row(m, i, metric=metric) for metric in ("seconds", "agreement", "completeness_gap") for i, m in enumerate("abc")
    ]
    assert rank_methods(table(rows)) is None
    assert rank_methods(table([])) is None


def test_costs_and_gaps_are_ranked_beside_the_yardsticks_and_leave_the_averages_alone():
    judged = [row(name, value) for name, value in (("a", 0.9), ("b", 0.5), ("c", 0.1))]
    seconds = [row(m, v, metric="seconds", better="lower") for m, v in (("a", 9.0), ("b", 1.0), ("c", 5.0), ("d", 0.1))]
    alone, both = rank_methods(table(judged)), rank_methods(table([*judged, *seconds]))
    np.testing.assert_array_equal(both.average, alone.average)
    assert list(both.cells.columns) == ["insertion", "seconds"]
    assert both.cells["seconds"].to_dict() == pytest.approx({"a": 1.0, "b": 1 / 3, "c": 2 / 3})
    sided = {name for name, side in METRICS.items() if side != "none"}
    assert {name for names in SHOWN.values() for name in names} <= sided


def test_methods_judged_by_few_yardsticks_come_last_however_good_they_look():
    rows = [row(m, v, metric=metric) for metric in ("insertion", "roi_rank") for m, v in (("b", 0.5), ("c", 0.1))]
    rows += [row(m, v, metric=k) for k in ("recovery", "heat_ratio") for m, v in (("a", 0.9), ("b", 0.6), ("c", 0.2))]
    rows += [row("d", 0.3, metric="insertion"), row("d", 0.3, metric="roi_rank"), row("e", 9.0, metric="insertion")]
    verdict = rank_methods(table(rows))
    assert list(verdict.cells.index) == ["a", "b", "d", "c", "e"]
    assert verdict.few.tolist() == [False, False, False, False, True]


def test_errors_between_models_are_those_of_the_mean_and_of_one_model_follow_the_yardsticks():
    values = {"one": "abc", "two": "acb", "three": "abc"}
    rows = [row(m, -i, model=model) for model, methods in values.items() for i, m in enumerate(methods)]
    verdict = rank_methods(table(rows))
    assert verdict.between_blocks
    found = dict(zip(verdict.cells.index, verdict.error, strict=True))
    assert found["a"] == 0
    assert found["b"] == pytest.approx(np.std([0.5, 1, 0.5], ddof=1) / np.sqrt(3))
    exact, blurred = (rank_methods(table([row(m, i, se=se) for i, m in enumerate("abc")])) for se in (0.0, 50.0))
    assert not exact.between_blocks
    np.testing.assert_array_equal(exact.error, 0)
    # ranks of three values that say nothing are 0, 1/2 or 1 at random
    np.testing.assert_allclose(blurred.error, np.std([0, 0.5, 1]), atol=0.05)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_the_published_ones(k, q):
    assert nemenyi_difference(k, 14) == pytest.approx(q * np.sqrt(k * (k + 1) / (6 * 14)), rel=2e-3)


def test_the_test_is_friedmans_on_the_largest_table_without_gaps():
    random = np.random.default_rng(0)
    values = pd.DataFrame(random.random((8, 5)) + 0.3 * np.arange(5), columns=list("abcde"))
    values.loc[:5, "e"] = np.nan
    test = rank_test(values)
    assert test.methods == tuple("abcd")
    assert test.n_blocks == 8
    assert test.p == pytest.approx(friedmanchisquare(*values[list("abcd")].to_numpy().T).pvalue)


def test_methods_far_from_the_best_are_called_worse():
    values = pd.DataFrame(np.tile(np.arange(4.0), (12, 1)), columns=list("abcd"))
    test = rank_test(values)
    # four methods and twelve blocks: 2.569 * sqrt(20 / 72) = 1.35 ranks
    assert test.worse == {"c", "d"}
    assert rank_test(pd.DataFrame(np.ones((12, 4)), columns=list("abcd"))).worse == frozenset()


def test_few_models_or_methods_are_not_tested():
    values = pd.DataFrame(np.tile(np.arange(4.0), (4, 1)), columns=list("abcd"))
    assert rank_test(values) is None
    assert rank_test(pd.DataFrame(np.tile(np.arange(2.0), (20, 1)), columns=list("ab"))) is None


def test_chance_is_rejected_about_as_often_as_the_level_says():
    random = np.random.default_rng(1)
    found = [rank_test(pd.DataFrame(random.random((10, 5)))).p < 0.05 for _ in range(300)]
    assert np.mean(found) < 0.09


def test_every_ranked_metric_exists_and_has_a_better_side():
    sides = {**{name: one.categories for name, one in YARDSTICKS.items()}, **METRICS}
    assert {sides[name] for names in RANKED.values() for name in names} == {"higher", "lower"}
