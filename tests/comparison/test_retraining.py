import numpy as np
import pytest

from igc.comparison.retraining import Retraining, dataset_ranking, linear_fit, network_fit, retrained_scores


def planted(categories: bool = False, n: int = 300, d: int = 20) -> tuple[Retraining, np.ndarray]:
    """Return samples in which the first two units alone carry the response."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(n, d)) + 3.0
    signal = (inputs[:, :2] - 3.0).sum(axis=1)
    responses = signal[:, None] + 0.3 * random.normal(size=(n, 1))
    if categories:
        responses = np.eye(2)[(signal > 0).astype(int)]
    rank = np.arange(d)
    return Retraining(inputs, responses, np.arange(n), np.arange(200), np.arange(200, n), categories), rank


@pytest.mark.parametrize("categories", [False, True])
def test_removing_a_planted_feature_leaves_nothing_to_learn_and_keeping_it_everything(categories: bool) -> None:
    data, rank = planted(categories)
    fit = linear_fit()
    chance = 0.5 if categories else 0.0
    assert retrained_scores(data, rank, 0.1, False, fit, 0) == pytest.approx(chance, abs=0.2)
    assert retrained_scores(data, rank, 0.9, True, fit, 0) > 0.9
    assert retrained_scores(data, rank[::-1], 0.1, False, fit, 0) > 0.9
    assert retrained_scores(data, rank[::-1], 0.9, True, fit, 0) == pytest.approx(chance, abs=0.2)


def test_a_small_network_learns_the_planted_feature_as_well() -> None:
    data, rank = planted(True)
    fit = network_fit(True, epochs=30, width=8)
    assert retrained_scores(data, rank, 0.9, True, fit, 0) > 0.9
    assert retrained_scores(data, rank, 0.1, False, fit, 0) < 0.7


def test_parts_are_put_to_their_mean_over_the_training_samples() -> None:
    data, rank = planted()
    seen = []

    def fit(inputs, responses, groups, seed):
        seen.append((inputs, groups, seed))
        return lambda new: seen.append((new, None, None)) or new[:, :1]

    before = data.inputs.copy()
    retrained_scores(data, rank, 0.25, False, fit, 4)
    (train, groups, seed), (test, _, _) = seen
    mean = data.inputs[:200].mean(axis=0)
    np.testing.assert_array_equal(train[:, :5], np.broadcast_to(mean[:5], (200, 5)))
    np.testing.assert_array_equal(test[:, :5], np.broadcast_to(mean[:5], (100, 5)))
    np.testing.assert_array_equal(train[:, 5:], data.inputs[:200, 5:])
    np.testing.assert_array_equal(data.inputs, before)
    np.testing.assert_array_equal(groups, np.arange(200))
    assert seed == 4


def test_a_seed_fits_other_samples() -> None:
    data, _ = planted()
    train = data.train
    outputs = [linear_fit()(data.inputs[train], data.responses[train], train, s)(data.inputs[:3]) for s in (0, 0, 1)]
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert np.abs(outputs[0] - outputs[2]).max() > 0


def test_the_ranking_of_a_dataset_counts_each_target_the_same() -> None:
    maps = np.array([[100.0, -300.0, 0.0, 0.0], [0.0, 0.0, 0.02, 0.0], [np.nan] * 4])
    # shares: 1/4, 3/4, 1, 0
    np.testing.assert_array_equal(dataset_ranking(maps), [2, 1, 0, 3])
