"""Tests against a permutation null: single and family-wise probabilities, and what noise does to the null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.stats.moments import Array

__all__ = ["PermutationTest", "max_t", "without_noise"]

_LEAST_SHARE = 0.1
_TIE = 1e-9


@dataclass(frozen=True)
class PermutationTest:
    """A statistic against its permutation null.

    Attributes
    ----------
    z : array (...)
        Distance from the null's mean in its standard deviations.
    p : array (...)
        Two-sided probability of each statistic.
    p_family : array (...)
        Probability that the largest of the whole family reaches it (max-T): family-wise error.
    """

    z: Array
    p: Array
    p_family: Array


def without_noise(null: npt.ArrayLike, noise: npt.ArrayLike, own: npt.ArrayLike) -> Array:
    """Shrink a null to the spread it would have with the noise of the observed statistic instead of its own.

    Parameters
    ----------
    null : array (permutation, ...)
        The statistic under each permutation.
    noise : array (...)
        Standard error of each by the points left out; fewer points are spent on a null than on the statistic.
    own : array (...)
        The same standard error of the observed statistic.

    Returns
    -------
    array (permutation, ...)
        With the same means. At least a tenth of the variance is kept, so that an estimate of the noise that is too
        large cannot empty the null.
    """
    values = np.asarray(null, dtype=np.float64)
    mean, variance = values.mean(axis=0), values.var(axis=0, ddof=1)
    more = np.asarray(own, dtype=np.float64) ** 2 - np.asarray(noise, dtype=np.float64) ** 2
    kept = np.maximum(variance + more, _LEAST_SHARE * variance)
    factor = np.sqrt(np.divide(kept, variance, out=np.ones_like(variance), where=variance > 0))
    return np.asarray(mean + factor * (values - mean))


def max_t(observed: npt.ArrayLike, null: npt.ArrayLike) -> PermutationTest:
    """Test statistics one by one and as a family.

    Parameters
    ----------
    observed : array (...)
        The statistics; all of them are one family.
    null : array (permutation, ...)
        The same under permutations, drawn together so that they keep their dependence.

    Returns
    -------
    PermutationTest
        NaN where the null has no spread or the statistic is not finite; such members do not count. Probabilities are
        (1 + number of permutations at least as extreme) / (1 + number of permutations), so never 0.
    """
    one, many = np.asarray(observed, dtype=np.float64), np.asarray(null, dtype=np.float64)
    spread = many.std(axis=0, ddof=1)
    size = np.abs(many).max(axis=0, initial=0.0)
    known = np.isfinite(one) & np.isfinite(spread) & (spread > 1e-12 * size)
    z = np.divide(one - many.mean(axis=0), spread, out=np.full(one.shape, np.nan), where=known)
    p, p_family = np.full(one.shape, np.nan), np.full(one.shape, np.nan)
    # observed and permuted values are studentized alike: that keeps them exchangeable, and the test exact
    every = np.concatenate([one[None], many])[:, known]
    if every.shape[1]:
        t = np.abs(every - every.mean(axis=0)) / every.std(axis=0)
        limit = t[0] - _TIE
        p[known] = (1 + (t[1:] >= limit).sum(axis=0)) / len(t)
        p_family[known] = (1 + (t[1:].max(axis=1)[:, None] >= limit).sum(axis=0)) / len(t)
    return PermutationTest(z, p, p_family)
