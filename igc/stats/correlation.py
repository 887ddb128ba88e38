"""Correlation, its scale and resampling errors, from sums."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from igc.stats.moments import Array, Moments

__all__ = ["correlation", "correlation_scale", "jackknife_error", "leave_one_out"]


def correlation_scale(moments: Moments, response: int = 0, prediction: int = 1) -> Array:
    """Return 1 / (sd(response) sd(prediction)), 0 where either is constant.

    Parameters
    ----------
    moments : Moments
        A state whose scalars include response and prediction.
    response, prediction : int
        Their positions among the scalars.

    Returns
    -------
    array (block, target)
    """
    product = moments.scalar_covariance(response, response) * moments.scalar_covariance(prediction, prediction)
    return np.divide(1.0, np.sqrt(product), out=np.zeros_like(product), where=product > 0)


def correlation(moments: Moments, response: int = 0, prediction: int = 1) -> Array:
    """Return the Pearson correlation of response and prediction, 0 where either is constant.

    Parameters
    ----------
    moments, response, prediction
        As for :func:`correlation_scale`.

    Returns
    -------
    array (block, target)
    """
    return moments.scalar_covariance(response, prediction) * correlation_scale(moments, response, prediction)


def leave_one_out(moments: Moments) -> Moments:
    """Return, block by block, the moments of all other blocks.

    Parameters
    ----------
    moments : Moments
        A state of at least two blocks.

    Returns
    -------
    Moments
        Block i holds everything but block i of the input. Built from prefix and suffix states, not by subtraction,
        so nothing cancels.
    """
    n = len(moments.block)
    single = [moments.select([i])._relabel(0) for i in range(n)]
    before: list[Moments | None] = [None]
    for part in single[:-1]:
        before.append(part if before[-1] is None else before[-1].merge(part))
    after: list[Moments | None] = [None]
    for part in reversed(single[1:]):
        after.append(part if after[-1] is None else part.merge(after[-1]))
    parts = []
    for i in range(n):
        left, right = before[i], after[n - 1 - i]
        both = left.merge(right) if left is not None and right is not None else left or right
        parts.append((both or single[i])._relabel(i))
    return Moments.join(parts)


def jackknife_error(replicates: npt.ArrayLike) -> Array:
    """Return the delete-one-block jackknife standard error.

    Parameters
    ----------
    replicates : array (block, ...)
        The statistic without each block in turn.

    Returns
    -------
    array (...)
        NaN with fewer than two blocks.
    """
    values = np.asarray(replicates, dtype=np.float64)
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(np.sqrt((n - 1) / n * np.sum((values - values.mean(axis=0)) ** 2, axis=0)))
