"""Closing a map to its score by regression, never by a ratio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from igc.stats.moments import Array

__all__ = ["close", "closing_shares"]

Partitions = Sequence[slice]


def closing_shares(covariance: Array, fallback: Array, parts: Partitions = (slice(None),)) -> Array:
    """Return how much of the gap each component takes up; the shares of a target sum to 1.

    Parameters
    ----------
    covariance : array (target, component)
        Covariance over pairs of a component with the pair's sum: the best linear correction. Its sum over components
        is the variance of the sum.
    fallback : array (target, component)
        Non-negative weights used where that variance is zero (a linear model has no gap to close).
    parts : sequence of slice
        Stretches of components of which each is a whole map; default: one.

    Returns
    -------
    array (target, component)
    """
    return np.concatenate([_shares(covariance[:, part], fallback[:, part]) for part in parts], axis=1)


def _shares(covariance: Array, fallback: Array) -> Array:
    size = np.abs(covariance).sum(axis=1, keepdims=True)
    total = covariance.sum(axis=1, keepdims=True)
    usable = total > 1e-12 * size
    weights = np.where(usable, covariance, fallback)
    norm = weights.sum(axis=1, keepdims=True)
    even = np.full_like(weights, 1 / max(weights.shape[1], 1))
    return np.asarray(np.divide(weights, norm, out=even, where=norm > 0))


def close(value: Array, shares: Array, score: Array, parts: Partitions = (slice(None),)) -> Array:
    """Return the map whose sum is the score.

    Parameters
    ----------
    value : array (..., target, component)
        Raw maps.
    shares : array (target, component)
        From :func:`closing_shares`.
    score : array (..., target)
        What each map must sum to.
    parts : sequence of slice
        As for :func:`closing_shares`.

    Returns
    -------
    array (..., target, component)
    """
    closed = np.array(value)
    for part in parts:
        gap = value[..., part].sum(axis=-1) - score
        closed[..., part] -= shares[:, part] * gap[..., None]
    return closed
