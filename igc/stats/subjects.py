"""Tests over subjects: whether a mean over few people differs from 0, by flipping the signs of whole people."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from igc.seeding import generator
from igc.stats.moments import Array
from igc.stats.permutation import PermutationTest, max_t

__all__ = ["LEVEL", "fewest_subjects", "sign_flip", "smallest_probability"]

LEVEL = 0.05
"""A test that cannot reach this is not made."""

_ENUMERATED = 12
_DRAWN = 9999


def smallest_probability(n_subjects: npt.ArrayLike) -> Array:
    """Return the smallest two-sided p of a sign-flip test: two of all 2**n flips are as extreme as can be."""
    return np.asarray(np.minimum(1.0, 2.0 ** (1 - np.asarray(n_subjects, dtype=np.float64))), dtype=np.float64)


def fewest_subjects(level: float = LEVEL) -> int:
    """Return the number of subjects from which on a sign-flip test can reach a level."""
    return next(n for n in itertools.count(1) if smallest_probability(n) <= level)


def _flips(n_subjects: int, seed: int) -> Array:
    """Return signs (flip, subject): all of them but the identity, or draws where they are too many."""
    if n_subjects <= _ENUMERATED:
        return np.array(list(itertools.product([1.0, -1.0], repeat=n_subjects)))[1:]
    drawn = generator(seed, "sign flip").integers(0, 2, (_DRAWN, n_subjects))
    return np.asarray(1.0 - 2.0 * drawn, dtype=np.float64)


def sign_flip(values: npt.ArrayLike, seed: int = 0) -> PermutationTest:
    """Test means over subjects against 0: under the null each subject's values could as well have the other sign.

    Parameters
    ----------
    values : array (subject, ...)
        One value a subject and quantity; NaN where a subject has none. A subject's values are flipped together, so that
        dependence between quantities is kept.
    seed : int
        Of the draws; up to 12 subjects all flips are made.

    Returns
    -------
    PermutationTest
        Each of shape (...); the family is all of them. NaN where there are so few subjects that p cannot reach
        :data:`LEVEL`.
    """
    rows = np.asarray(values, dtype=np.float64)
    count = np.isfinite(rows).sum(axis=0)
    filled = np.nan_to_num(rows)
    # the number of values of a quantity is the same under all flips, so sums serve as well as means
    observed = np.where(smallest_probability(count) <= LEVEL, filled.sum(axis=0), np.nan)
    return max_t(observed, np.tensordot(_flips(len(rows), seed), filled, axes=1))
