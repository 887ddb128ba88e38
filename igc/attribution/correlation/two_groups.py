"""Two-sample t-tests of each input component between samples of low and of high response; no model takes part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from scipy import special

from igc.attribution.estimate import MapEstimate
from igc.attribution.problem import Problem
from igc.attribution.protocols import Options, Outcome, Work
from igc.attribution.scores import Scores
from igc.errors import MethodError, explain
from igc.stats.moments import Array, Moments

__all__ = ["TwoGroupTest", "cut_offs", "two_group_unit", "welch_test"]

QUANTILE = 0.1
RESPONSE_BYTES = 128 << 20
"""Quantiles are taken over evenly spaced samples where the responses of all exceed so many bytes."""


def cut_offs(responses: Array, quantile: float) -> Array:
    """Return the largest low and the smallest high response of each target.

    Parameters
    ----------
    responses : array (sample, target)
    quantile : float
        Share of the samples in each group, in (0, 0.5].

    Returns
    -------
    array (2, target)
        Where both fall on one value of a response with few, the groups are split beside that value, so that they
        are never joined: 0 and 1 for a one-hot response. NaN for a constant one.
    """
    low, high = np.quantile(responses, [quantile, 1 - quantile], axis=0)
    for k in np.flatnonzero(low >= high):
        values = np.unique(responses[:, k])
        above, below = values[values > low[k]], values[values < low[k]]
        if len(above):
            high[k] = above[0]
        elif len(below):
            low[k] = below[-1]
        else:
            low[k] = high[k] = np.nan
    return np.stack([low, high])


def two_group_unit(problem: Problem, cuts: Array, unit: int) -> Moments:
    """Compute the moments of the inputs over one design block, group by group.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    cuts : array (2, target)
        From :func:`cut_offs`; both are inclusive.
    unit : int
        The design block.

    Returns
    -------
    Moments
        Block 2k holds the low group of target k, block 2k + 1 its high group; map: the input.
    """
    inputs, responses = problem.source.read(np.arange(*problem.block_bounds()[unit]))
    flat = np.concatenate([np.asarray(x).reshape(len(x), -1) for x in inputs], axis=1)[:, None, :]
    parts = []
    for k, (low, high) in enumerate(cuts.T):
        for side, members in enumerate((responses[:, k] <= low, responses[:, k] >= high)):
            n = int(members.sum())
            if n:
                parts.append(Moments.of(np.zeros((n, 1, 0)), flat[members], np.full(n, 2 * k + side)))
    return Moments.join(parts) if parts else Moments.empty(1, 1, 0, flat.shape[2])


def welch_test(n: Array, mean: Array, variance: Array, *, equal_variances: bool = False) -> tuple[Array, Array]:
    """Return t and two-sided p of the second group against the first.

    Parameters
    ----------
    n : array (2, target)
        Group sizes.
    mean, variance : array (2, target, component)
        Of each group; population variances (1/n).
    equal_variances : bool
        Student's test with the pooled variance, in place of Welch's.

    Returns
    -------
    t, p : array (target, component)
        0 and 1 where nothing differs; NaN with fewer than two samples in a group.
    """
    size = np.where(n < 2, np.nan, n)[:, :, None]
    sample_variance = variance * size / (size - 1)
    if equal_variances:
        freedom = np.broadcast_to(size.sum(axis=0) - 2, mean.shape[1:])
        pooled = ((size - 1) * sample_variance).sum(axis=0) / freedom
        squared = pooled * (1 / size).sum(axis=0)
    else:
        each = sample_variance / size
        squared = each.sum(axis=0)
        lost = (each**2 / (size - 1)).sum(axis=0)
        freedom = np.divide(squared**2, lost, out=np.full_like(lost, np.inf), where=lost > 0)
    difference = mean[1] - mean[0]
    with np.errstate(divide="ignore"):
        t = np.divide(
            difference, np.sqrt(squared), out=np.zeros_like(squared), where=(difference != 0) | ~(squared <= 0)
        )
    return t, np.asarray(2 * special.stdtr(freedom, -np.abs(t)))


@dataclass(frozen=True)
class TwoGroupTest:
    """t of each input component between samples of high and of low response.

    Attributes
    ----------
    problem, scores, options
        What is explained. Extra options: ``quantile`` (share of the samples in each group, 0.1) and
        ``equal_variances`` (Student's test in place of Welch's).
    """

    problem: Problem
    scores: Scores
    options: Options

    def __post_init__(self) -> None:
        if not 0 < self._quantile <= 0.5:
            raise MethodError(explain("quantile", self._quantile, "above 0, up to 0.5", "correct it"))

    @property
    def _quantile(self) -> float:
        return float(self.options.extra.get("quantile", QUANTILE))

    @cached_property
    def _cuts(self) -> Array:
        problem, n_targets = self.problem, len(self.scores.scale)
        step = max(1, -(-problem.n_samples * n_targets * 8 // RESPONSE_BYTES))
        rows = [np.arange(start + -start % step, stop, step) for start, stop in problem.block_bounds()]
        responses = [np.asarray(problem.source.read_responses(part), dtype=np.float64) for part in rows if len(part)]
        return cut_offs(np.concatenate(responses), self._quantile)

    def plan(self, state: Moments | None) -> Work | None:
        """Return one pass over the samples."""
        if state is not None:
            return None
        unit = partial(two_group_unit, self.problem, self._cuts)
        return Work(len(self.problem.block_bounds()), unit, Moments, "groups")

    def precision(self, state: Moments) -> float | None:
        """Return None: nothing is drawn."""
        return None

    def finish(self, state: Moments | None) -> Outcome:
        """Return t as the map, p beside it."""
        n_targets, d = len(self.scores.scale), self.problem.n_components
        moments = state if state is not None else Moments.empty(1, 1, 0, d)
        n, mean, squares = np.zeros(2 * n_targets), np.zeros((2 * n_targets, d)), np.zeros((2 * n_targets, d))
        n[moments.block], mean[moments.block] = moments.weight, moments.mean_map[:, 0]
        squares[moments.block] = moments.map_variance()[:, 0]
        t, p = welch_test(
            n.reshape(n_targets, 2).T,
            mean.reshape(n_targets, 2, d).swapaxes(0, 1),
            squares.reshape(n_targets, 2, d).swapaxes(0, 1),
            equal_variances=bool(self.options.extra.get("equal_variances", False)),
        )
        return Outcome(MapEstimate(t), maps={"p_value": p})
