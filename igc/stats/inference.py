"""Intervals, tests and false discovery rates from estimates and their errors: arrays in, arrays out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from igc.errors import DataError, explain
from igc.stats.correlation import jackknife_error
from igc.stats.moments import Array

__all__ = [
    "analytic_z",
    "false_discovery",
    "fisher_interval",
    "jackknife_interval",
    "paired_error",
    "permutation_spread",
    "refuse_groups",
    "seed_spread",
    "t_interval",
    "two_sided",
]


def _finite(degrees: float | None) -> bool:
    return degrees is not None and bool(np.isfinite(degrees)) and degrees > 0


def t_interval(
    value: npt.ArrayLike, error: npt.ArrayLike, degrees: float | None, level: float = 0.95
) -> tuple[Array, Array]:
    """Return a symmetric confidence interval.

    Parameters
    ----------
    value, error : array (...)
        Estimates and their standard errors.
    degrees : float, optional
        Degrees of freedom of the errors: blocks minus 1. None: normal quantiles.
    level : float
        Probability that the interval covers.

    Returns
    -------
    low, high : array (...)
    """
    centre = np.asarray(value, dtype=np.float64)
    q = 0.5 + level / 2
    quantile = special.stdtrit(degrees, q) if _finite(degrees) else special.ndtri(q)
    half = float(quantile) * np.asarray(error, dtype=np.float64)
    return np.asarray(centre - half), np.asarray(centre + half)


def fisher_interval(correlation: npt.ArrayLike, n: float, level: float = 0.95) -> tuple[Array, Array]:
    """Return a confidence interval of a correlation over independent samples.

    Parameters
    ----------
    correlation : array (...)
    n : float
        Number of samples; with 3 or fewer the interval is everything.
    level : float
        Probability that the interval covers.

    Returns
    -------
    low, high : array (...)
    """
    width = float(special.ndtri(0.5 + level / 2)) / np.sqrt(n - 3) if n > 3 else np.inf
    centre = np.arctanh(np.clip(np.asarray(correlation, dtype=np.float64), -1 + 1e-15, 1 - 1e-15))
    return np.tanh(centre - width), np.tanh(centre + width)


def two_sided(z: npt.ArrayLike, degrees: float | None) -> Array:
    """Return the two-sided probability of ratios of an estimate to its error.

    Parameters
    ----------
    z : array (...)
    degrees : float, optional
        Of a t distribution; None: normal.

    Returns
    -------
    array (...)
    """
    below = -np.abs(np.asarray(z, dtype=np.float64))
    return np.asarray(2 * (special.stdtr(degrees, below) if _finite(degrees) else special.ndtr(below)))


def jackknife_interval(
    value: npt.ArrayLike, without: npt.ArrayLike, level: float = 0.95, noise: npt.ArrayLike = 0.0
) -> tuple[Array, Array]:
    """Return a confidence interval from the delete-one-block jackknife, with t quantiles of blocks - 1.

    Parameters
    ----------
    value : array (...)
        The estimate.
    without : array (block, ...)
        The estimate without each block in turn.
    level : float
        Probability that the interval covers.
    noise : array (...)
        Standard error of the pairs estimator, 0 for a statistic of single samples. Deleting all pairs that touch a
        block counts each pair twice, so that its variance enters twice; once is right.

    Returns
    -------
    low, high : array (...)
        NaN with fewer than two blocks.
    """
    rows = np.asarray(without, dtype=np.float64)
    own = np.asarray(noise, dtype=np.float64) ** 2
    error = np.sqrt(np.maximum(jackknife_error(rows) ** 2 - own, own))
    return t_interval(value, error, len(rows) - 1, level)


def false_discovery(p: npt.ArrayLike, method: str = "bh") -> Array:
    """Return false discovery rates.

    Parameters
    ----------
    p : array (...)
        Probabilities; those that are not finite are left out of the count.
    method : str
        "bh" (Benjamini & Hochberg 1995: independent or positively dependent tests) or "by" (Benjamini & Yekutieli
        2001: any dependence).

    Returns
    -------
    array (...)
        The q values; NaN where ``p`` is not finite.
    """
    values = np.asarray(p, dtype=np.float64)
    q = np.full(values.shape, np.nan)
    known = np.isfinite(values)
    if known.any():
        from scipy import stats  # slow to import, and maps alone have no rates

        q[known] = stats.false_discovery_control(values[known], method=method)
    return q


def paired_error(
    first: npt.ArrayLike, second: npt.ArrayLike, noise: tuple[npt.ArrayLike, npt.ArrayLike] = (0.0, 0.0)
) -> Array:
    """Return the standard error of the difference of two statistics of the same samples.

    Parameters
    ----------
    first, second : array (block, ...)
        Each statistic without each block in turn; the same blocks.
    noise : pair of array (...)
        Standard error of the pairs estimator in each. Its variance enters the jackknife twice where once is right;
        since draws may be shared, only what must be there, the square of the difference of the two, is taken out:
        exact where one of them is 0, as for a linear model, and rather too large otherwise.

    Returns
    -------
    array (...)
        NaN with fewer than two blocks.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    least = (np.asarray(noise[0], dtype=np.float64) - np.asarray(noise[1], dtype=np.float64)) ** 2
    return np.asarray(np.sqrt(np.maximum(jackknife_error(a - b) ** 2 - least, least)))


def seed_spread(values: npt.ArrayLike, noise: npt.ArrayLike = 0.0) -> Array:
    """Return the standard deviation between seeds of a model, without the noise of the estimator.

    Parameters
    ----------
    values : array (seed, ...)
        A statistic of models that differ in their seed alone, on the same samples.
    noise : array (seed, ...)
        Its standard error from the points left out.

    Returns
    -------
    array (...)
        NaN with fewer than two seeds.
    """
    rows = np.asarray(values, dtype=np.float64)
    if len(rows) < 2:
        return np.full(rows.shape[1:], np.nan)
    own = np.mean(np.broadcast_to(np.asarray(noise, dtype=np.float64), rows.shape) ** 2, axis=0)
    return np.asarray(np.sqrt(np.maximum(rows.var(axis=0, ddof=1) - own, 0.0)))


def permutation_spread(n: int) -> float:
    """Return the standard deviation of a correlation over all permutations of n samples: 1 / sqrt(n - 1).

    Exact whatever the distributions; NaN for fewer than two samples.
    """
    return 1 / float(np.sqrt(n - 1)) if n > 1 else float("nan")


def refuse_groups(groups: npt.ArrayLike) -> None:
    """Refuse closed forms that take samples as exchangeable one by one, where groups say that they are not.

    Parameters
    ----------
    groups : array (sample,)
        Group of each sample.

    Raises
    ------
    DataError
        If a group has several samples: dependence inside groups (slow signals of a run, repeats of an image) would
        make the spread too small, for autocorrelated volumes up to threefold.
    """
    largest = int(np.unique(np.asarray(groups).reshape(-1), return_counts=True)[1].max(initial=0))
    if largest > 1:
        seen = f"groups of up to {largest} samples"
        remedy = "permute whole units instead (permutations=199, exchange=...)"
        raise DataError(explain("analytic z", seen, "single independent samples", remedy))


def analytic_z(correlation: npt.ArrayLike, groups: npt.ArrayLike) -> Array:
    """Return z of correlations with a response, against permutations of the response over single samples.

    Parameters
    ----------
    correlation : array (...)
        Pearson correlation over the samples of any quantity with the response.
    groups : array (sample,)
        Group of each sample.

    Returns
    -------
    array (...)

    Raises
    ------
    DataError
        As :func:`refuse_groups`.
    """
    refuse_groups(groups)
    return np.asarray(correlation, dtype=np.float64) / permutation_spread(np.asarray(groups).size)
