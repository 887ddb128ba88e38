import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from igc.data.splits import fold_of_samples, given_folds, outer_folds, validation_split
from igc.errors import ConfigError, DataError

GROUPS = st.lists(st.integers(0, 9), min_size=2, max_size=80).filter(lambda g: len(set(g)) >= 2).map(np.array)


@given(groups=GROUPS, data=st.data())
def test_no_group_is_divided_and_every_fold_is_used(groups, data):
    folds = data.draw(st.integers(2, len(set(groups.tolist()))))
    assigned = outer_folds(groups, folds, data.draw(st.integers(0, 99)))
    assert set(assigned) == set(range(folds))
    for group in np.unique(groups):
        assert len(set(assigned[groups == group])) == 1


@given(groups=GROUPS, share=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_validation_takes_whole_groups_but_never_all(groups, share, seed):
    held = validation_split(groups, share, seed)
    assert 0 < held.sum() < len(groups)
    assert not set(groups[held]) & set(groups[~held])


def test_twelve_runs_make_six_pairs_or_twelve_single_runs():
    runs = np.repeat(np.arange(12), 72)
    pairs = outer_folds(runs, 6, seed=0)
    assert [len(set(runs[pairs == fold])) for fold in range(6)] == [2] * 6
    np.testing.assert_array_equal(outer_folds(runs, 12, seed=0), runs)


def test_runs_of_slightly_different_length_still_make_pairs():
    runs = np.repeat(np.arange(12), 70 + np.arange(12) % 5)
    pairs = outer_folds(runs, 6, seed=1)
    assert [len(set(runs[pairs == fold])) for fold in range(6)] == [2] * 6


def test_folds_are_balanced_when_groups_are_not():
    groups = np.repeat(np.arange(20), np.arange(1, 21))
    sizes = np.bincount(outer_folds(groups, 4, seed=0))
    assert sizes.max() - sizes.min() <= 3


def test_folds_follow_the_seed_and_not_the_order_of_samples():
    runs = np.repeat(np.arange(12), 5)
    folds = outer_folds(runs, 6, seed=0)
    np.testing.assert_array_equal(folds, outer_folds(runs, 6, seed=0))
    assert any(not np.array_equal(folds, outer_folds(runs, 6, seed)) for seed in range(1, 4))
    order = np.random.default_rng(0).permutation(len(runs))
    np.testing.assert_array_equal(outer_folds(runs[order], 6, seed=0), folds[order])


def test_share_of_validation_is_as_near_as_groups_allow():
    held = validation_split(np.repeat(np.arange(50), 4), 0.1, seed=0)
    assert held.sum() == 20
    assert validation_split(np.repeat(np.arange(11), 72), 0.1, seed=0).sum() == 72


def test_more_folds_than_groups_are_refused():
    with pytest.raises(DataError, match="4 folds over 3 groups"):
        outer_folds(np.array([0, 1, 2, 2]), 4, seed=0)
    with pytest.raises(DataError, match="one group only"):
        outer_folds(np.zeros(9, int), 2, seed=0)
    with pytest.raises(DataError, match="one group only"):
        validation_split(np.zeros(9, int), 0.1, seed=0)


def test_given_split_needs_a_test_set():
    with pytest.raises(ConfigError, match=r"split\.folds"):
        fold_of_samples(np.arange(4), "given", 0)


def test_given_split_puts_test_samples_into_fold_0_and_the_rest_nowhere():
    test = np.array([True, False, True, False])
    assert fold_of_samples(np.arange(4), "given", 0, test).tolist() == [0, -1, 0, -1]


def test_given_split_may_not_divide_a_group_or_be_empty():
    test = np.array([True, True, False, False])
    with pytest.raises(DataError, match="1 groups with both"):
        given_folds(np.array([0, 1, 1, 2]), test)
    with pytest.raises(DataError, match="1 test samples"):
        given_folds(np.arange(4), np.arange(4) == 0)
