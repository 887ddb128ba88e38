"""Deletion of ROIs against closed forms of a linear model and a slow computation."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from igc.attribution.information.infill import neighbour_infill
from igc.comparison.criteria import RANDOM
from igc.comparison.judged import Judged, constant_reference
from igc.comparison.perturbation import block_labels
from igc.comparison.regions import (
    RegionDeletion,
    area_between,
    block_scores,
    conditional_reference,
    judge_regions,
    rank_agreement,
    resampled_reference,
    steps_of,
)
from igc.comparison.yardsticks import Table
from igc.errors import ShapeError

WEIGHTS = np.array([3.0, 2.0, 1.0, 0.0])


def independent(n: int = 400, seed: int = 0) -> tuple[Judged, np.ndarray, list[int]]:
    """Return exactly uncorrelated inputs (sample, 4) of unit variance, a weighted sum as the model and its response."""
    random = np.random.default_rng(seed)
    raw = random.normal(size=(n, 4))
    inputs = np.linalg.qr(raw - raw.mean(axis=0))[0] * np.sqrt(n)
    calls = []

    def predict(changed, origin):
        calls.append(len(changed))
        return (changed @ WEIGHTS)[:, None]

    judged = Judged(inputs, np.zeros(n, dtype=np.int64), predict, False, np.arange(n))
    return judged, (inputs @ WEIGHTS)[:, None], calls


def deletion(reference=None, folds=None, **options):
    judged, responses, calls = independent(**options)
    folds = np.zeros(len(responses), dtype=np.int64) if folds is None else folds
    one = RegionDeletion(judged, responses, folds, np.arange(4), reference or constant_reference(0.0))
    return one, calls


def without(weights: np.ndarray) -> float:
    """Return the correlation of the whole sum with that of some terms, all being independent."""
    return float(weights @ WEIGHTS / np.sqrt((weights @ weights) * (WEIGHTS @ WEIGHTS))) if weights.any() else 0.0


def test_scores_without_a_region_of_a_weighted_sum_follow_the_closed_form():
    one, _ = deletion()
    falls = one.falls(4)[0, 0]
    expected = [1 - without(np.where(np.arange(4) == k, 0, WEIGHTS)) for k in range(4)]
    np.testing.assert_allclose(falls, expected, atol=1e-12)


def test_each_combination_of_regions_is_asked_for_once():
    one, calls = deletion()
    for order in ([0, 1, 2, 3], [0, 1, 3, 2], [1, 0, 2, 3]):
        one.curve(np.array(order), 0)
    one.falls(4)
    # none, all, {0}, {1}, {2}, {3}, {0,1}, {0,1,2}, {0,1,3}
    assert len(calls) == 9


def test_the_area_between_orders_is_that_of_the_closed_form_and_changes_its_sign_with_the_shares():
    one, _ = deletion()
    shares = WEIGHTS[None] ** 2
    best = [without(np.where(np.arange(4) < k, 0, WEIGHTS)) for k in range(5)]
    worst = [without(np.where(np.arange(4) >= 4 - k, 0, WEIGHTS)) for k in range(5)]
    expected = np.trapezoid(np.subtract(worst, best), np.linspace(0, 1, 5))
    assert expected > 0.3
    assert area_between(one, shares, [0])[0, 0] == pytest.approx(expected, abs=1e-12)
    assert area_between(one, -shares, [0])[0, 0] == pytest.approx(-expected, abs=1e-12)


def test_scores_without_blocks_are_those_of_a_slow_computation():
    random = np.random.default_rng(1)
    p, y = random.normal(size=(57, 3)), random.normal(size=(57, 3))
    p[:, 2] = 4.2
    folds = np.repeat([0, 1], [20, 37])
    y[folds == 0, 1] = 0.5
    blocks = block_labels(folds)
    found = block_scores(p, y, folds, blocks)
    for row, left in enumerate([-1, *np.unique(blocks)]):
        kept = blocks != left
        for k, used in ((0, [0, 1]), (1, [1])):
            parts = [kept & (folds == fold) for fold in used]
            expected = sum(part.sum() * np.corrcoef(p[part, k], y[part, k])[0, 1] for part in parts)
            assert found[row, k] == pytest.approx(expected / sum(part.sum() for part in parts), abs=1e-10)
    np.testing.assert_array_equal(found[:, 2], 0)


def test_a_response_that_never_varies_has_no_score():
    p = np.random.default_rng(0).normal(size=(30, 1))
    folds = np.zeros(30, dtype=np.int64)
    assert np.isnan(block_scores(p, np.ones((30, 1)), folds, block_labels(folds))).all()


def test_rank_agreement_is_spearmans():
    random = np.random.default_rng(0)
    shares, falls = random.normal(size=(2, 6)), random.normal(size=(4, 2, 6))
    shares[0, 1] = shares[0, 2]
    found = rank_agreement(shares, falls)
    expected = [[spearmanr(shares[k], falls[b, k]).statistic for k in range(2)] for b in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_rank_agreement_is_not_defined_for_two_regions_and_zero_for_equal_shares():
    assert np.isnan(rank_agreement(np.ones((1, 2)), np.ones((3, 1, 2)))).all()
    np.testing.assert_array_equal(rank_agreement(np.ones((1, 4)), np.arange(4.0)[None, None]), 0)


def test_resampled_parts_come_from_another_sample_of_the_same_fold_and_keep_their_distribution():
    inputs = np.arange(24.0).reshape(12, 2)
    folds = np.repeat([0, 1], [5, 7])
    changed = resampled_reference(folds, 3)(inputs)(np.tile([True, False], (12, 1)), np.arange(12))
    np.testing.assert_array_equal(changed[:, 1], inputs[:, 1])
    assert (changed[:, 0] != inputs[:, 0]).all()
    for fold in (0, 1):
        assert set(changed[folds == fold, 0]) == set(inputs[folds == fold, 0])


def test_resampling_a_region_takes_its_share_but_keeps_the_noise_it_adds():
    judged, responses, _ = independent(n=4000)
    folds = np.zeros(4000, dtype=np.int64)
    one = RegionDeletion(judged, responses, folds, np.arange(4), resampled_reference(folds, 0))
    # a permuted part has the same variance but nothing to do with the response
    expected = 1 - (WEIGHTS @ WEIGHTS - WEIGHTS**2) / (WEIGHTS @ WEIGHTS)
    np.testing.assert_allclose(one.falls(4)[0, 0], expected, atol=0.05)


def test_conditional_parts_are_filled_in_by_what_was_fitted_without_the_fold():
    inputs = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]])
    banks = {0: np.array([[1.1, 50.0], [2.9, 70.0]]), 1: np.array([[0.0, -1.0], [3.2, -7.0]])}
    by_fold = {fold: neighbour_infill(bank) for fold, bank in banks.items()}
    prepare = conditional_reference(by_fold, np.array([0, 1, 0]))
    removed, origin = np.tile([False, True], (4, 1)), np.array([2, 1, 0, 0])
    changed = prepare(inputs)(removed, origin)
    np.testing.assert_array_equal(changed, [[3, 70], [2, -7], [1, 50], [1, 50]])


def test_a_redundant_copy_is_filled_in_so_that_only_conditional_deletion_sees_no_loss():
    random = np.random.default_rng(0)
    first = random.normal(size=300)
    inputs = np.stack([first, first], axis=1)
    folds = np.zeros(300, dtype=np.int64)
    bank = random.normal(size=20000)
    bank = np.stack([bank, bank], axis=1)
    judged = Judged(inputs, folds, lambda changed, origin: changed[:, :1], False, np.arange(300))
    falls = {}
    for name, reference in {
        "zero": constant_reference(0.0),
        "conditional": conditional_reference({0: neighbour_infill(bank)}, folds),
    }.items():
        falls[name] = RegionDeletion(judged, first[:, None], folds, np.arange(2), reference).falls(2)[0, 0]
    np.testing.assert_allclose(falls["zero"], [1, 0], atol=1e-9)
    np.testing.assert_allclose(falls["conditional"], [0, 0], atol=1e-3)


def test_many_regions_are_deleted_in_a_few_steps_that_end_with_all():
    assert steps_of(3) == [0, 1, 2, 3]
    assert len(steps_of(500)) == 11
    assert steps_of(500)[-1] == 500


def test_all_methods_are_judged_with_the_random_shares_as_the_floor():
    one, _ = deletion(n=200)
    table = Table({"good": "dataset", "bad": "dataset"}, False)
    judge_regions({"good": WEIGHTS[None], "bad": -WEIGHTS[None]}, one, [0], "parts/zero", 0, table)
    rows = table.tables()[0].set_index(["method", "yardstick"])
    assert set(rows["reference"]) == {"parts/zero"}
    assert rows.loc[("good", "roi_rank"), "value"] == pytest.approx(1)
    assert rows.loc[("bad", "roi_rank"), "value"] == pytest.approx(-1)
    for stick in ("roi_rank", "roi_area"):
        values = rows["value"].xs(stick, level="yardstick")
        assert values["bad"] < values[RANDOM] < values["good"]
        assert rows.loc[("good", stick), "gain"] == pytest.approx(values["good"] - values[RANDOM])


def test_labels_of_another_input_are_refused():
    judged, responses, _ = independent()
    with pytest.raises(ShapeError, match="label the components"):
        RegionDeletion(judged, responses, np.zeros(400, dtype=np.int64), np.arange(5), constant_reference(0.0))
