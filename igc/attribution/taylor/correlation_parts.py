"""Integrated Gradient Correlation in three parts: of first order, of each region alone, and of regions together.

With the data as baseline the parts have names of their own. The first-order part is the mean gradient times the
covariance of input and response; what a region does alone is the covariance of its partial dependence function with
the response; what regions do together is the rest of Integrated Gradients, estimated by slopes of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from igc.attribution.drawn import MAX_REPLICATES, BaselinePool
from igc.attribution.estimate import MapEstimate
from igc.attribution.problem import Problem
from igc.attribution.protocols import Options, Outcome, Work
from igc.attribution.scores import Scores
from igc.attribution.tables import Table
from igc.attribution.taylor.draws import taylor_unit
from igc.attribution.taylor.guided import InteractionAware, pilot_rows
from igc.attribution.taylor.parts import Design, TaylorState, gradients_at
from igc.attribution.taylor.points import couples
from igc.attribution.taylor.sizes import effect_sizes
from igc.attribution.taylor.smoothness import find_kinks
from igc.errors import DataError, MethodError, explain
from igc.stats.correlation import correlation, correlation_scale, leave_one_out
from igc.stats.moments import Array, Moments

__all__ = ["PARTS", "TaylorCorrelation"]

PARTS = ("first", "independent", "interactive")
RESIDUAL = 2
PILOT_SAMPLES = 32
"""Samples whose mean gradient is the control variate where samples are baselines: what it is hardly matters."""


@dataclass(frozen=True)
class _Effects:
    """Mean contributions of effects, closed to the score, by block."""

    parts: Array  # (block, target, part * region)
    further: Array  # (block, target, effect)
    maps: Array  # (part, block, target, component)
    gap: Array  # (block, target), before closure


@dataclass(frozen=True)
class _Known:
    """What contributions leave out, by block: exact sums, not yet divided by the deviations."""

    by_component: Array  # (block, target, component): mean gradient times covariance of input and response
    alone: Array  # (block, target, region): control variate of a region alone
    line: Array  # (block, target, region): of slopes on the way of all


@dataclass(frozen=True)
class TaylorCorrelation:
    """The three parts of Integrated Gradient Correlation and the interactions of regions.

    Attributes
    ----------
    problem, scores, options
        What is explained; ``points`` draws a sample.
    labels : array of int (component,)
        Region of each component, from 0.
    names : array (region,)
        What the regions are called in tables.
    draws : int
        Baselines a sample, each with a point of the path: the replicates. Of shared baselines all are used, each with
        so many nodes of the path.
    matrix : bool
        Whether to form the interactions of pairs.
    alone : bool
        Whether the map leaves out the interactive part, which then stands beside it.
    """

    problem: Problem
    scores: Scores
    options: Options
    labels: npt.NDArray[np.int64]
    names: npt.NDArray[np.generic]
    draws: int
    matrix: bool
    alone: bool = False

    def __post_init__(self) -> None:
        if self.options.tolerance is not None:
            seen = self.options.tolerance
            raise MethodError(explain("tolerance", seen, "points, for a method of fixed draws", "give points instead"))

    @cached_property
    def _pool(self) -> BaselinePool:
        return BaselinePool.of(self.options.baselines, self.problem, self.scores)

    @cached_property
    def _pilot(self) -> Array:
        """Mean gradient at the baselines: all of shared ones, some where the samples are the baselines."""
        if self._pool.shared is not None:
            return np.asarray(gradients_at(self.problem, self._pool.shared).mean(axis=0))
        rows = pilot_rows(self.problem.n_samples, PILOT_SAMPLES)
        total = np.zeros(())
        for batch in self.problem.batches(len(rows)):
            total = total + gradients_at(self.problem, self.problem.load(rows[batch])[0]).sum(axis=0)
        return np.asarray(total / len(rows))

    @cached_property
    def _design(self) -> Design:
        centre, middle = self.scores.pooled.mean_scalars[0, :, 0], self.scores.pooled.mean_map[0, 0]
        return Design(self._pool, self.labels, self._pilot, centre, middle, self.draws, self.matrix, self.problem.seed)

    @property
    def method(self) -> InteractionAware | None:
        """What explains single samples: where the map leaves out what regions do together, that alone."""
        if not self.alone:
            return None
        draws = min(self.draws, MAX_REPLICATES)
        return InteractionAware(self._pool, self.labels, draws, self.problem.seed, self.problem.batch_size)

    @cached_property
    def _members(self) -> Array:
        return np.asarray(self.labels == np.arange(self._design.n_regions)[:, None], dtype=np.float64)

    def plan(self, state: TaylorState | None) -> Work | None:
        """Return one pass over the samples."""
        if state is not None:
            return None
        unit = partial(taylor_unit, self.problem, self._design, self.scores.resolved)
        return Work(len(self.problem.block_bounds()), unit, TaylorState, "taylor")

    def precision(self, state: TaylorState) -> float | None:
        """Return the relative error of the parts of all regions, where baselines are drawn."""
        if self._pool.shared is not None:
            return None
        whole, drawn = self._effects(state, resolved=False)[:2]
        estimate = MapEstimate(whole.parts[0], drawn.parts, np.ones(len(drawn.parts)))
        norm = float(np.sqrt(np.nansum(estimate.value**2)))
        error = float(np.sqrt(np.sum(np.nan_to_num(estimate.estimator_error(), nan=np.inf) ** 2)))
        return error / norm if norm > 0 and np.isfinite(error) else None

    def finish(self, state: TaylorState | None) -> Outcome:
        """Return the sum of the parts as the map, closed to the score, and the parts beside it."""
        if state is None:
            raise DataError(explain("Taylor parts", "no work done", "at least one unit", "run its plan"))
        whole, drawn, rest = self._effects(state, self.scores.resolved)
        fixed = self._pool.shared is not None
        weights = None if fixed else np.ones(len(drawn.gap))
        # a draw is in the jackknife with its sample, with its baseline, and where both are of one group
        n_groups, others = len(state.baseline_draws), self.draws - 1
        copies = 1.0 + (self.draws / others + 2 / n_groups if n_groups and others else 0.0)

        def estimate(part: Callable[[_Effects], Array]) -> MapEstimate:
            without = None if rest is None else part(rest)
            return MapEstimate(part(whole)[0], None if fixed else part(drawn), weights, without, copies)

        parts: dict[str, npt.NDArray[np.generic]] = {"part": np.array(PARTS, dtype=object), "region": self.names}
        tables = {"part_attribution": Table(estimate(lambda effects: effects.parts), parts)}
        tables["effect_size"] = effect_sizes(self.problem, self._pool, self.labels, self.matrix)
        if self.matrix:
            tables |= self._interactions(estimate(lambda effects: effects.further))
        shown = 2 if self.alone else 3
        map_ = estimate(lambda effects: effects.maps[:shown].sum(axis=0))
        maps = {name: whole.maps[i, 0] for i, name in enumerate(PARTS)}
        evaluations = self.problem.n_samples * self._design.evaluations
        kinks = find_kinks(self.problem.outputs, self.problem.load(np.arange(1))[0])
        chosen = {"kinks": ", ".join(kinks) or "none"}  # where there are some, first order means very near the baseline
        if self.alone:
            return Outcome(map_, evaluations=evaluations, maps=maps, tables=tables, chosen=chosen)
        gaps = estimate(lambda effects: effects.gap[..., None]).estimator_error()[:, 0]
        return Outcome(map_, whole.gap[0], gaps, evaluations, maps, tables, chosen=chosen)

    def _interactions(self, further: MapEstimate) -> dict[str, Table]:
        """Return the effects of each region with all others, and of every pair."""
        n = self._design.n_regions
        left, right = couples(n)
        effects = np.arange(len(left)) + n
        matrix = np.zeros((n, n, further.value.shape[1]))
        matrix[left, right, effects] = matrix[right, left, effects] = 1.0
        axes = {"region": self.names, "other_region": self.names}
        return {
            "interaction_total": Table(further.summed(np.eye(n, further.value.shape[1])), {"region": self.names}),
            "interaction": Table(further.summed(matrix.reshape(n * n, -1)), axes),
        }

    def _effects(self, state: TaylorState, resolved: bool) -> tuple[_Effects, _Effects, _Effects | None]:
        """Return the effects of all samples, of each replicate, and where asked for without each group."""
        scores, pooled = self.scores, state.maps.pooled()
        n = self._design.n_regions
        trust = _trust(state.replicates, n)
        shares = _shares(pooled, state.replicates, 2 * n, partial(_joined, n_regions=n, trust=trust))
        known = self._known(state.gradients.pooled(), scores.pooled)
        whole = self._closed(pooled, pooled.mean_map, known, shares, trust)
        replicates = self._closed(state.replicates, state.replicates.mean_map, known, shares, trust)
        if not resolved:
            return whole, replicates, None
        left, gradients = leave_one_out(state.maps), state.gradients
        rest = self._known(leave_one_out(gradients) if len(gradients.block) else gradients, scores.without_group)
        means = left.mean_map + _without_their_draws(state)
        return whole, replicates, self._closed(left, means, rest, shares, trust)

    def _known(self, gradients: Moments, scores: Moments) -> _Known:
        """Return what is exact: computed once a sample, or from the moments of inputs and responses, by block."""
        members, covariance = self._members, scores.covariance(0)
        pilot = (self._pilot * covariance) @ members.T
        if self._pool.shared is not None:
            by_component = self._pilot[None] * covariance
            return _Known(by_component, pilot, by_component @ members.T)
        n = self.problem.n_components
        by_component = gradients.mean_map[..., :n] * covariance
        both = gradients.covariance(0)
        moved = both[..., :n] * (scores.mean_map - self._design.middle)  # products were centred by the mean of all
        first = by_component @ members.T
        line = 0.5 * (both[..., n:] - moved @ members.T + first)
        local = self._design.local
        return _Known(by_component, local * first + (1 - local) * pilot, line)

    def _closed(self, moments: Moments, means: Array, known: _Known, shares: Array, trust: float) -> _Effects:
        n, members = self._design.n_regions, self._members
        product = correlation_scale(moments)[..., None]
        scale = np.where(product > 0, product, np.nan)
        effects = scale * _joined(means, n, trust)
        by_component = scale * known.by_component
        first = by_component @ members.T
        alone = effects[..., :n] + scale * known.alone - first
        together = effects[..., n : 2 * n]
        if self._pool.shared is None:
            together = together + trust * scale * (known.line - known.alone)
        gap = (first + alone + together).sum(axis=2) - correlation(moments)
        taken = shares * gap[..., None]
        alone, together = alone - taken[..., :n], together - taken[..., n : 2 * n]
        spread = members / members.sum(axis=1, keepdims=True)
        return _Effects(
            np.concatenate([first, alone, together], axis=2),
            effects[..., 2 * n :] - taken[..., 2 * n :],
            np.stack([by_component, alone @ spread, together @ spread]),
            gap,
        )


def _without_their_draws(state: TaylorState) -> Array:
    """Return what means change, to first order, when draws with baselines of a group are left out.

    To be added to the change when the samples of the group are left out, (group, target, effect).
    """
    if not len(state.baseline_draws):
        return np.zeros(())
    left = (state.baseline_draws.sum() - state.baseline_draws)[:, None, None]
    return np.asarray(-state.by_baseline / left)


def _joined(effects: Array, n_regions: int, trust: float) -> Array:
    """Average the two ways in which effects together with others come, (..., effect)."""
    alone, coupled, free = (effects[..., i * n_regions : (i + 1) * n_regions] for i in range(3))
    return np.concatenate([alone, (1 - trust) * coupled + trust * free, effects[..., 3 * n_regions :]], axis=-1)


def _trust(replicates: Moments, n_regions: int) -> float:
    """Return the weight of the free effects: by the inverse of the variance over replicates, one for all.

    Where nothing joins regions, the coupled effects have no variance, and alone count.
    """
    if len(replicates.block) < 2:
        return 0.0
    spread = replicates.mean_map[..., n_regions : 3 * n_regions].var(axis=0)
    coupled, free = float(spread[..., :n_regions].sum()), float(spread[..., n_regions:].sum())
    return coupled / (coupled + free) if coupled + free > 0 else 0.0


def _shares(pooled: Moments, replicates: Moments, n_closing: int, join: Callable[[Array], Array]) -> Array:
    """Return the best linear correction of each effect by the residual, (target, effect).

    The residual is what the random baseline and point add to the sum of the effects; it is unrelated to the response.
    Its covariance is taken between the draws of one sample, where nothing else varies.
    """
    covariance, variance = pooled.covariance(RESIDUAL)[0], pooled.scalar_covariance(RESIDUAL, RESIDUAL)[0]
    size = pooled.scalar_covariance(0, 0)[0] * pooled.scalar_covariance(1, 1)[0]
    varies = variance > 1e-12 * size  # else nothing but rounding is left to close
    if len(replicates.block) > 1:
        covariance = replicates.covariance(RESIDUAL).mean(axis=0) - covariance
    covariance = join(covariance)
    total = covariance[:, :n_closing].sum(axis=1)
    usable = varies & (total > 1e-12 * np.abs(covariance[:, :n_closing]).sum(axis=1))
    corrected = np.divide(covariance, total[:, None], out=np.zeros_like(covariance), where=usable[:, None])
    return np.asarray(corrected)
