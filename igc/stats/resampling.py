"""Bootstrap and split halves over the groups of a study: arrays in, arrays out.

What is resampled is always a block: a group of samples of the study (a run, a session, an image), so that dependence
inside groups does no harm. Two kinds of input serve all of it. *Block moments* (:class:`igc.stats.moments.Moments`)
give an exact block bootstrap, because every ratio is formed again from resampled sums. *The statistic without each
block in turn* gives, through its pseudo-values, a linear approximation of bootstrap and of halves; it is all there is
for the pairs estimator, whose pairs belong to two groups at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special

from igc.errors import DataError, explain
from igc.seeding import generator
from igc.stats.correlation import jackknife_error
from igc.stats.moments import Array, Moments

__all__ = [
    "BOOTSTRAP_DEGREES",
    "block_bootstrap",
    "bootstrap_interval",
    "percentile_interval",
    "pseudo_bootstrap",
    "pseudo_values",
    "spearman_brown",
    "split_half_reliability",
    "split_halves",
]

_BOOTSTRAP_BYTES = 64 << 20
_DRAWS = 4000

BOOTSTRAP_DEGREES = 19
"""Degrees of freedom (groups less folds) below which no bootstrap interval is given: 20 groups, for a single fold."""


def pseudo_values(value: npt.ArrayLike, without: npt.ArrayLike) -> Array:
    """Return what each block contributes, so that the mean over blocks is the (bias-corrected) statistic.

    Parameters
    ----------
    value : array (...)
        The statistic.
    without : array (block, ...)
        The statistic without each block in turn.

    Returns
    -------
    array (block, ...)
        Of Tukey (1958).
    """
    rows = np.asarray(without, dtype=np.float64)
    n = len(rows)
    return np.asarray(n * np.asarray(value, dtype=np.float64) - (n - 1) * rows)


def pseudo_bootstrap(value: npt.ArrayLike, without: npt.ArrayLike, draws: int, random: np.random.Generator) -> Array:
    """Return bootstrap replicates of a statistic known without each block in turn, to first order.

    Parameters
    ----------
    value : array (...)
        The statistic.
    without : array (block, ...)
        The statistic without each block in turn.
    draws : int
        Number of replicates.
    random : numpy.random.Generator
        Draws the blocks.

    Returns
    -------
    array (draw, ...)
        Centred on the statistic.
    """
    parts = pseudo_values(value, without)
    deviations = parts - parts.mean(axis=0)
    n = len(parts)
    counts = random.multinomial(n, np.full(n, 1 / n), size=draws)
    # the spread of n resampled values is too small by this factor
    scale = np.sqrt(n / (n - 1)) if n > 1 else np.nan
    spread = scale * np.tensordot(counts / n, deviations, axes=1)
    return np.asarray(np.asarray(value, dtype=np.float64) + spread)


def bootstrap_interval(
    value: npt.ArrayLike,
    without: Sequence[Array],
    weights: Array,
    error: npt.ArrayLike | None = None,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[Array, Array]:
    """Return the bootstrap interval of a mean over folds of statistics known without each group in turn.

    Whole groups are drawn with replacement, fold by fold. The quantiles are those at which a normal variable leaves as
    much out as t does with the degrees of freedom at hand (the expanded percentile interval of Hesterberg 2015), so
    that few groups do not make it too narrow; unlike the interval of the jackknife it follows the skew of the groups.

    Parameters
    ----------
    value : array (target, ...)
        The statistic.
    without : sequence of array (group, target, ...)
        For each fold, the statistic of the fold without each group in turn.
    weights : array (fold, target)
        Weight of each fold.
    error : array (target, ...), optional
        Standard error that the interval is to have, where that of the jackknife is known to hold too much noise.
    seed : int
        Of the draws.
    level : float
        Probability that the interval covers.

    Returns
    -------
    low, high : array (target, ...)
        NaN with fewer than :data:`BOOTSTRAP_DEGREES`.
    """
    centre = np.asarray(value, dtype=np.float64)
    degrees = sum(len(rows) - 1 for rows in without)
    if degrees < BOOTSTRAP_DEGREES or min(len(rows) for rows in without) < 2:
        return np.full(centre.shape, np.nan), np.full(centre.shape, np.nan)
    tail = float(special.ndtr(special.stdtrit(degrees, 0.5 - level / 2)))
    counts = [
        generator(seed, "bootstrap", fold).multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=_DRAWS)
        for fold, rows in enumerate(without)
    ]
    # the same groups for all targets, a block of targets at a time
    step = max(1, _BOOTSTRAP_BYTES // (8 * _DRAWS * max(1, int(np.prod(centre.shape[1:])))))
    parts = []
    for start in range(0, len(centre), step):
        chosen = slice(start, start + step)
        spread: Array = np.zeros(())
        variance: Array = np.zeros(())
        for rows, count, weight in zip(without, counts, weights, strict=True):
            n, own = len(rows), rows[:, chosen]
            shape = (-1, *[1] * (own.ndim - 2))
            part = np.nan_to_num(weight[chosen]).reshape(shape) * np.nan_to_num(own)
            deviation = (1 - n) * (part - part.mean(axis=0)) / np.sqrt(n * (n - 1))
            spread = spread + np.tensordot(count, deviation, axes=1)
            variance = variance + jackknife_error(part) ** 2
        if error is not None:
            wanted = np.asarray(error, dtype=np.float64)[chosen]
            jackknife = np.sqrt(variance)
            spread = spread * np.divide(wanted, jackknife, out=np.ones_like(wanted), where=jackknife > 0)
        parts.append(centre[chosen] + np.quantile(spread, [tail, 1 - tail], axis=0))
    low, high = np.concatenate(parts, axis=1)
    return np.asarray(low), np.asarray(high)


def block_bootstrap(
    moments: Moments, statistic: Callable[[Moments], Array], draws: int, random: np.random.Generator
) -> Array:
    """Return bootstrap replicates of any function of moments, exactly: blocks are drawn with replacement.

    Parameters
    ----------
    moments : Moments
        A state whose blocks are groups of samples.
    statistic : callable
        Maps a state to an array (block, ...), for example :func:`igc.stats.correlation.correlation`.
    draws : int
        Number of replicates.
    random : numpy.random.Generator
        Draws the blocks.

    Returns
    -------
    array (draw, ...)
    """
    n = len(moments.block)
    counts = random.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)
    size = sum(array[:1].nbytes for array in moments.to_arrays().values())
    step = max(1, _BOOTSTRAP_BYTES // max(size, 1))
    parts = [statistic(_resampled(moments, counts[i : i + step])) for i in range(0, draws, step)]
    return np.concatenate(parts)


def _resampled(moments: Moments, counts: Array) -> Moments:
    """Pool the blocks with whole-number weights, one state a row of counts."""
    centre = moments.pooled()
    weights = counts * moments.weight
    total = weights.sum(axis=1)

    def mean(values: Array) -> Array:
        return np.asarray(np.tensordot(weights / total[:, None], values, axes=1))

    def spread(values: Array) -> Array:
        return np.asarray(np.tensordot(counts, values, axes=1))

    # distances to the common mean are small, so nothing cancels in the products below
    du, dv = moments.mean_scalars - centre.mean_scalars, moments.mean_map - centre.mean_map
    mu, mv = mean(du), mean(dv)
    n4, n3 = total[:, None, None, None], total[:, None, None]
    both = mean(du[..., :, None] * du[..., None, :]) - mu[..., :, None] * mu[..., None, :]
    cross = mean(du[..., None] * dv[:, :, None, :]) - mu[..., None] * mv[:, :, None, :]
    kept = moments.map.shape[-1] > 0
    return Moments(
        block=np.arange(len(counts)),
        weight=total,
        mean_scalars=centre.mean_scalars + mu,
        mean_map=centre.mean_map + mv,
        scalars=spread(moments.scalars) + n4 * both,
        scalar_map=spread(moments.scalar_map) + n4 * cross,
        map=spread(moments.map) + (n3 * (mean(dv**2) - mv**2) if kept else 0.0),
        absolute_map=mean(moments.absolute_map),
    )


def percentile_interval(replicates: npt.ArrayLike, level: float = 0.95) -> tuple[Array, Array]:
    """Return the percentile interval of bootstrap replicates.

    Parameters
    ----------
    replicates : array (draw, ...)
    level : float
        Probability that the interval covers.

    Returns
    -------
    low, high : array (...)
    """
    low, high = np.quantile(np.asarray(replicates, dtype=np.float64), [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return np.asarray(low), np.asarray(high)


def split_halves(value: npt.ArrayLike, without: npt.ArrayLike, random: np.random.Generator) -> tuple[Array, Array]:
    """Return the statistic of two random halves of the blocks, to first order.

    Parameters
    ----------
    value : array (...)
        The statistic of all blocks.
    without : array (block, ...)
        The statistic without each block in turn, at least two blocks.
    random : numpy.random.Generator
        Draws the halves.

    Returns
    -------
    first, second : array (...)

    Raises
    ------
    DataError
        If there are fewer than two blocks.
    """
    rows, whole = np.asarray(without, dtype=np.float64), np.asarray(value, dtype=np.float64)
    n = len(rows)
    if n < 2:
        raise DataError(explain("split halves", f"{n} groups", "at least 2", "give the groups of the samples"))
    chosen = np.zeros(n)
    chosen[random.permutation(n)[: n // 2]] = 1

    def half(members: Array) -> Array:  # the mean of the pseudo-values of some blocks
        return np.asarray(n * whole - (n - 1) * np.tensordot(members / members.sum(), rows, axes=1))

    return half(chosen), half(1 - chosen)


def split_half_reliability(
    values: Sequence[Array], without: Sequence[Array], weights: Array, seed: int = 0, splits: int = 50
) -> tuple[Array, Array]:
    """Return how well a profile would be found again in other groups of samples.

    Parameters
    ----------
    values : sequence of array (target, component)
        The profile in each fold.
    without : sequence of array (block, target, component)
        The same without each group of the fold in turn, at least two groups a fold.
    weights : array (fold, target)
        Weight of each fold.
    seed : int
        Of the halves.
    splits : int
        Random halves to average over, after the Fisher transform.

    Returns
    -------
    halves, reliability : array (target,)
        Correlation over components of the two halves, and of the whole with its like (Spearman-Brown). The noise of
        the pairs estimator lowers both a little. NaN where a profile is constant.
    """
    found = []
    for index in range(splits):
        pair = np.zeros((2, *np.shape(values[0])))
        for fold, (value, rows) in enumerate(zip(values, without, strict=True)):
            both = np.stack(split_halves(value, rows, generator(seed, "halves", index, fold)))
            pair += weights[fold][:, None] * both
        found.append(_row_correlation(pair[0], pair[1]))
    r = np.tanh(np.arctanh(np.clip(np.stack(found), -1 + 1e-15, 1 - 1e-15)).mean(axis=0))
    return r, spearman_brown(r)


def _row_correlation(a: Array, b: Array) -> Array:
    """Return the correlation over the last axis, NaN where either is constant."""
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    norm = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.asarray(np.divide((a * b).sum(axis=-1), norm, out=np.full(norm.shape, np.nan), where=norm > 0))


def spearman_brown(correlation: npt.ArrayLike) -> Array:
    """Return the reliability of the whole from the correlation of its halves: 2 r / (1 + r).

    Parameters
    ----------
    correlation : array (...)

    Returns
    -------
    array (...)
        At most 1; below 0 where halves disagree, NaN at -1.
    """
    r = np.asarray(correlation, dtype=np.float64)
    return np.asarray(np.divide(2 * r, 1 + r, out=np.full(r.shape, np.nan), where=r > -1))
