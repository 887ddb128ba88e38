import numpy as np
import pytest
from scipy.special import expit

from igc.comparison.judged import (
    Judged,
    blurred_reference,
    constant_reference,
    random_maps,
    ranks,
    unit_maps,
)
from igc.comparison.perturbation import (
    area,
    block_labels,
    kept_fractions,
    perturbation_curves,
    score_areas,
    score_curves,
)
from igc.errors import DataError, ShapeError
from tests.comparison.judging import linear_judged, softmax_judged

ZERO = constant_reference(0.0)


def test_deletion_by_true_contributions_gives_the_curve_of_their_sorted_sums() -> None:
    judged, contributions = softmax_judged(d=10)
    fractions = kept_fractions(10)
    curves = perturbation_curves(judged, ranks(contributions, judged.numbers, 0), ZERO, fractions, False)
    # the log odds are what is left of the sum, the largest contributions gone first
    left = np.cumsum(np.sort(contributions, axis=1), axis=1)[:, ::-1]
    np.testing.assert_allclose(curves, expit(np.concatenate([left, np.zeros((len(left), 1))], axis=1)), rtol=1e-12)


def test_the_change_of_a_value_is_squared_and_in_units_of_its_variance() -> None:
    judged, contributions = linear_judged(d=10)
    rank = ranks(np.abs(contributions), judged.numbers, 0)
    curves = perturbation_curves(judged, rank, ZERO, kept_fractions(10), False)
    order = np.argsort(rank, axis=1)
    gone = np.cumsum(np.take_along_axis(contributions, order, axis=1), axis=1)
    expected = np.concatenate([np.zeros((len(gone), 1)), (gone / 2.0) ** 2], axis=1)
    np.testing.assert_allclose(curves, expected, rtol=1e-9, atol=1e-12)


def test_without_a_given_spread_it_is_that_of_the_same_target_over_the_samples() -> None:
    judged, contributions = linear_judged()
    free = Judged(judged.inputs, judged.targets, judged.predict, False, judged.numbers)
    rank, ends = ranks(contributions, judged.numbers, 0), [0.0, 0.5]
    given, own = (perturbation_curves(j, rank, ZERO, ends, False)[:, 1] for j in (judged, free))
    whole = judged.raw(judged.inputs, np.arange(len(rank)))
    spread = np.array([whole[judged.targets == k].std() for k in judged.targets])
    np.testing.assert_allclose(own, given * (2.0 / spread) ** 2, rtol=1e-9)


@pytest.mark.parametrize("insertion", [False, True])
def test_curves_start_and_end_at_the_whole_and_at_the_empty_input(insertion: bool) -> None:
    judged, contributions = softmax_judged()
    curves = perturbation_curves(judged, ranks(contributions, judged.numbers, 0), ZERO, kept_fractions(4), insertion)
    origin = np.arange(len(contributions))
    whole, empty = (judged.answer(x, origin) for x in (judged.inputs, np.zeros_like(judged.inputs)))
    first, last = (empty, whole) if insertion else (whole, empty)
    np.testing.assert_allclose(curves[:, 0], first, rtol=1e-12)
    np.testing.assert_allclose(curves[:, -1], last, rtol=1e-12)


def test_insertion_is_the_deletion_of_the_reversed_ranking_read_backwards() -> None:
    judged, contributions = linear_judged(d=8)
    rank = ranks(contributions, judged.numbers, 0)
    fractions = kept_fractions(8)
    insertion = perturbation_curves(judged, rank, ZERO, fractions, True)
    deletion = perturbation_curves(judged, 7 - rank, ZERO, fractions, False)
    np.testing.assert_allclose(insertion, deletion[:, ::-1], rtol=1e-9, atol=1e-12)


def test_for_an_additive_model_log_odds_of_insertion_and_deletion_sum_to_the_whole() -> None:
    judged, contributions = softmax_judged(d=12)
    rank = ranks(contributions, judged.numbers, 0)
    odds = []
    for insertion in (False, True):
        p = perturbation_curves(judged, rank, ZERO, kept_fractions(6), insertion)
        odds.append(np.log(p / (1 - p)))
    np.testing.assert_allclose(odds[0] + odds[1], np.broadcast_to(contributions.sum(1)[:, None], odds[0].shape), 1e-8)


def test_the_true_ranking_beats_a_random_one_in_every_sample() -> None:
    judged, contributions = softmax_judged(n=30)
    fractions = kept_fractions(20)
    for insertion, sign in ((False, -1.0), (True, 1.0)):
        areas = []
        for maps in (contributions, random_maps(judged.numbers, judged.n_units, 3)):
            rank = ranks(maps, judged.numbers, 0)
            areas.append(area(perturbation_curves(judged, rank, ZERO, fractions, insertion), fractions))
        assert np.all(sign * (areas[0] - areas[1]) > 0)


def test_the_inputs_of_the_caller_and_each_step_are_copies() -> None:
    judged, contributions = linear_judged()
    before, seen = judged.inputs.copy(), []

    def keep(changed, origin):
        seen.append(changed)
        return judged.predict(changed, origin)

    kept = Judged(judged.inputs, judged.targets, keep, False, judged.numbers, judged.spread)
    perturbation_curves(kept, ranks(contributions, judged.numbers, 0), ZERO, kept_fractions(6), False)
    np.testing.assert_array_equal(judged.inputs, before)
    zeros = [int((step == 0).sum()) for step in seen[:7]]
    assert zeros == [round(share * 12) * len(before) for share in kept_fractions(6)]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(seen[:7]) for b in seen[:i])


def test_all_channels_of_a_pixel_go_together() -> None:
    judged, contributions = linear_judged(n=4, shape=(3, 4, 5))
    assert judged.n_units == contributions.shape[1] == 20
    rank = ranks(contributions, judged.numbers, 0)
    seen = []

    def keep(changed, origin):
        seen.append(changed)
        return judged.predict(changed, origin)

    kept = Judged(judged.inputs, judged.targets, keep, False, judged.numbers, judged.spread)
    perturbation_curves(kept, rank, ZERO, [0.25], False)
    gone = (seen[0] == 0).reshape(4, 3, 20)
    np.testing.assert_array_equal(gone, np.broadcast_to((rank < 5)[:, None], gone.shape))


def test_a_blurred_reference_keeps_a_flat_image_and_its_other_parts() -> None:
    flat = np.full((2, 1, 9, 9), 3.0)
    everything = np.ones((2, 1, 9, 9), dtype=bool)
    np.testing.assert_allclose(blurred_reference(2.0)(flat)(everything, np.arange(2)), flat)
    point = np.zeros((1, 2, 9, 9))
    point[0, 0, 4, 4] = 1.0
    found = blurred_reference(2.0)(point)(everything[:1], np.zeros(1, dtype=int))
    assert found[0, 0].sum() == pytest.approx(1.0, abs=0.2)
    assert 0 < found[0, 0, 4, 4] < 0.1
    assert not found[0, 1].any()


def test_a_sampler_can_stand_in_for_parts() -> None:
    judged, contributions = linear_judged(d=6)

    def neighbours(inputs):
        return lambda removed, origin: np.where(removed, np.roll(inputs, 1, axis=1)[origin], inputs[origin])

    curves = perturbation_curves(judged, ranks(contributions, judged.numbers, 0), neighbours, [0.0, 1.0], False)
    rolled = judged.raw(np.roll(judged.inputs, 1, axis=1), np.arange(6)) - judged.raw(judged.inputs, np.arange(6))
    np.testing.assert_allclose(curves[:, 1], (rolled / 2.0) ** 2)


def test_ties_are_broken_at_random_and_the_same_way_for_the_same_sample() -> None:
    flat, numbers = np.zeros((50, 30)), np.arange(50)
    found = ranks(flat, numbers, 0)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.broadcast_to(np.arange(30), found.shape))
    np.testing.assert_array_equal(ranks(flat[7:9], numbers[7:9], 0), found[7:9])
    assert found[:, 0].std() > 4
    np.testing.assert_array_equal(ranks(np.array([[1.0, 3.0, 2.0]]), np.zeros(1, dtype=int), 0), [[2, 0, 1]])


def test_the_area_of_a_line_is_its_mean() -> None:
    x = np.array([0.0, 0.1, 0.5, 1.0])
    np.testing.assert_allclose(area(np.stack([2 * x, 1 - x]), x), [1.0, 0.5])


def score_case(noise: float = 0.5):
    judged, _ = linear_judged(n=200, d=10, targets=1)
    random = np.random.default_rng(5)
    truth = judged.raw(judged.inputs, np.arange(200))
    return judged, truth + noise * truth.std() * random.normal(size=200), np.repeat([0, 1], [80, 120])


def test_a_score_curve_is_the_correlation_of_each_fold_weighted_by_its_samples() -> None:
    judged, responses, folds = score_case()
    rank = np.random.default_rng(0).permutation(10)
    curve = score_curves(judged, responses, folds, rank, ZERO, [0.0, 0.3])[0]
    for share, found in zip((0, 3), curve, strict=True):
        outputs = judged.raw(np.where(rank < share, 0.0, judged.inputs), np.arange(200))
        scores = [np.corrcoef(outputs[folds == f], responses[folds == f])[0, 1] for f in (0, 1)]
        assert found == pytest.approx(0.4 * scores[0] + 0.6 * scores[1], rel=1e-9)


def test_without_any_input_the_score_is_nothing() -> None:
    judged, responses, folds = score_case()
    curves = score_curves(judged, responses, folds, np.arange(10), ZERO, [0.0, 1.0])
    np.testing.assert_array_equal(curves[:, 1], 0.0)
    assert curves[0, 0] > 0.8


def test_the_error_of_a_score_area_is_a_jackknife_over_blocks() -> None:
    judged, responses, folds = score_case()
    fractions, rank = kept_fractions(4), np.arange(10)
    value, error = score_areas(score_curves(judged, responses, folds, rank, ZERO, fractions), fractions)
    blocks, areas = block_labels(folds), []
    for block in range(20):
        kept = blocks != block
        part = Judged(judged.inputs[kept], judged.targets[kept], judged.predict, False, judged.numbers[kept])
        curve = score_curves(part, responses[kept], folds[kept], rank, ZERO, fractions)[0]
        areas.append(np.trapezoid(curve, fractions))
    assert error == pytest.approx(np.sqrt(19 * np.var(areas)), rel=1e-9)
    assert 0 < error < value


def test_what_does_not_fit_is_refused() -> None:
    judged, responses, folds = score_case()
    with pytest.raises(ShapeError, match="one of each a sample"):
        Judged(judged.inputs, judged.targets[:-1], judged.predict, False, judged.numbers)
    with pytest.raises(ShapeError, match="as the inputs"):
        unit_maps(np.zeros((2, 3)), (4,))
    with pytest.raises(ShapeError, match="one target"):
        score_curves(judged, responses[:5], folds, np.arange(10), ZERO, [0.0])
    with pytest.raises(DataError, match="constant in every fold"):
        score_curves(judged, np.ones(200), folds, np.arange(10), ZERO, [0.0])
