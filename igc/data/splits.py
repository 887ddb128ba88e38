"""Held-out folds over groups (runs, sessions, images), none of which is ever divided."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from igc.data.source import IntArray
from igc.errors import ConfigError, DataError, explain
from igc.seeding import generator

__all__ = ["fold_of_samples", "given_folds", "outer_folds", "validation_split"]


def _shuffled_groups(groups: IntArray, seed: int, purpose: str) -> tuple[IntArray, IntArray, IntArray]:
    """Return the groups in seeded order, their sizes, and for each sample its place in that order."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = generator(seed, purpose).permutation(len(names))
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    return names[order], sizes[order].astype(np.int64), place[inverse]


def outer_folds(groups: IntArray, folds: int, seed: int) -> IntArray:
    """Deal whole groups to folds of nearly equal numbers of samples.

    Parameters
    ----------
    groups : array of int (sample,)
        Group of each sample.
    folds : int
        Number of folds.
    seed : int
        Seed of the study.

    Returns
    -------
    array of int (sample,)
        Fold in which each sample is held out. Folds are numbered by the smallest group that they hold, so that with
        as many folds as groups, fold k is group k.

    Raises
    ------
    DataError
        If there are fewer groups than folds.
    """
    names, sizes, place = _shuffled_groups(groups, seed, "folds")
    if len(names) < folds:
        seen = "one group only" if len(names) == 1 else f"{len(names)} groups"
        remedy = "lower split.folds, or give more runs or groups"
        raise DataError(explain("split.folds", f"{folds} folds over {seen}", "at most one fold a group", remedy))
    # largest groups first, each to the fold that holds the fewest samples, then the fewest groups
    heap = [(0, 0, fold) for fold in range(folds)]
    fold_of_group = np.empty(len(names), dtype=np.int64)
    for group in np.argsort(-sizes, kind="stable"):
        samples, count, fold = heapq.heappop(heap)
        fold_of_group[group] = fold
        heapq.heappush(heap, (samples + int(sizes[group]), count + 1, fold))
    smallest = np.full(folds, np.iinfo(np.int64).max)
    np.minimum.at(smallest, fold_of_group, names)
    rank = np.argsort(np.argsort(smallest))
    return rank[fold_of_group][place].astype(np.int64)


def given_folds(groups: IntArray, test: npt.NDArray[np.bool_] | None) -> IntArray:
    """Use the dataset's own test set as the only fold.

    Parameters
    ----------
    groups : array of int (sample,)
        Group of each sample.
    test : array of bool (sample,) or None
        The test samples.

    Returns
    -------
    array of int (sample,)
        0 for test samples, -1 for those that only train.

    Raises
    ------
    ConfigError
        If the dataset has no test set.
    DataError
        If the test set is empty or shares a group with the training samples.
    """
    if test is None:
        remedy = "set split.folds to a number"
        raise ConfigError(explain("split.folds", "'given' for a dataset without a test set", "a number", remedy))
    if np.count_nonzero(test) < 2:
        seen = f"{np.count_nonzero(test)} test samples"
        raise DataError(explain("split.folds: given", seen, "two or more", "mark more samples as test"))
    shared = np.intersect1d(groups[test], groups[~test])
    if len(shared):
        seen = f"{len(shared)} groups with both training and test samples"
        raise DataError(explain("split.folds: given", seen, "none", "move each group to one side, or set folds"))
    return np.where(test, 0, -1).astype(np.int64)


def fold_of_samples(
    groups: IntArray, folds: int | str, seed: int, test: npt.NDArray[np.bool_] | None = None
) -> IntArray:
    """Return the fold of each sample for the setting ``split.folds``.

    Parameters
    ----------
    groups : array of int (sample,)
        Group of each sample.
    folds : int or "given"
        The setting.
    seed : int
        Seed of the study.
    test : array of bool (sample,), optional
        The dataset's own test set.

    Returns
    -------
    array of int (sample,)
        As :func:`outer_folds` or :func:`given_folds`.
    """
    return outer_folds(groups, folds, seed) if isinstance(folds, int) else given_folds(groups, test)


def validation_split(groups: IntArray, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Choose training groups to be held back for early stopping.

    Parameters
    ----------
    groups : array of int (sample,)
        Group of each training sample.
    share : float
        Share of the samples wanted, between 0 and 1.
    seed : int
        Seed of the model.

    Returns
    -------
    array of bool (sample,)
        True where a sample is held back: whole groups, at least one and never all, as near to the share as they allow.

    Raises
    ------
    DataError
        If there is one group only.
    """
    names, sizes, place = _shuffled_groups(np.asarray(groups), seed, "validation")
    if len(names) < 2:
        raise DataError(explain("training samples", "one group only", "two or more groups", "give more runs or groups"))
    sums = np.cumsum(sizes)[:-1]
    count = int(np.argmin(np.abs(sums / sizes.sum() - share))) + 1
    return np.asarray(place < count)
