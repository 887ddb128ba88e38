"""Integrated Gradient Correlation with the data as baseline, by pairs of samples.

With baselines drawn from the samples themselves the definition is a mean over pairs n != m, in which all means cancel:

    IGC[k, i] = (N - 1) / N  E[ 1/2 (y_n - y_m)_k (x_n - x_m)_i d_i f_k(x_m + t (x_n - x_m)) ] / (sd(y_k) sd(f_k))

Four things bring its variance down: every gradient serves two samples, a linear control variate removes what a linear
model would give (so linear models are exact), the known sum of the map is imposed by regression, and pairs are drawn by
the difference of their responses where that wins, with few continuous targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from igc.attribution.closure import close, closing_shares
from igc.attribution.correlation.contrast import Contrast, find_contrast
from igc.attribution.correlation.control import control_unit, pilot_gradient
from igc.attribution.correlation.design import PairDesign
from igc.attribution.correlation.null import RegionNull
from igc.attribution.correlation.pair_state import PairState
from igc.attribution.correlation.pair_sums import Keep
from igc.attribution.correlation.pairs import pair_unit
from igc.attribution.correlation.sides import SIDES, choose_side, readout_weight
from igc.attribution.estimate import MapEstimate
from igc.attribution.permuted import NullRequest
from igc.attribution.problem import Problem
from igc.attribution.protocols import Options, Outcome, Work
from igc.attribution.region_sums import permutes_responses
from igc.attribution.scores import Scores
from igc.errors import DataError, explain
from igc.stats.correlation import correlation, correlation_scale, leave_one_out
from igc.stats.moments import Array

__all__ = ["MAX_POINTS", "MIN_REPLICATES", "DataBaselineCorrelation"]

MIN_REPLICATES = 16
"""Replicates of the estimator; their spread is its error, with one degree of freedom less."""
MAX_POINTS = 512.0
"""Gradient points a sample at which stopping by precision gives up and reports what it reached."""
FIRST_POINTS = 4.0
GROUP_BYTES = 256 << 20
"""Sums by group are kept of every cell where they fit into so many bytes, else of the regions."""


@dataclass(frozen=True)
class DataBaselineCorrelation:
    """The pairs estimator.

    Attributes
    ----------
    problem, scores, options
        What is explained, and how far to go: ``points`` a sample, or the relative error ``tolerance``, or until the
        estimator's error is a third of the sampling error.
    side : str
        Of what derivatives are taken, a key of :data:`igc.attribution.correlation.sides.SIDES`; see :meth:`choose`.
    """

    problem: Problem
    scores: Scores
    options: Options
    side: str = "outputs"

    def __post_init__(self) -> None:
        if self.problem.n_samples < 3:
            seen, remedy = f"{self.problem.n_samples} samples", "give more samples, or a shared baseline"
            raise DataError(explain("samples", seen, "at least 3", remedy))

    @cached_property
    def _pilot(self) -> tuple[Array, int]:
        return pilot_gradient(self.problem, SIDES[self.side])

    @cached_property
    def _weight(self) -> Array | None:
        return readout_weight(self.problem) if SIDES[self.side].latents else None

    @cached_property
    def _contrast(self) -> Contrast | None:
        return find_contrast(self.problem)

    @cached_property
    def pilot(self) -> Array:
        """Gradient of the control variate, (target, component)."""
        return self._pilot[0] if self._weight is None else np.asarray(self._weight @ self._pilot[0])

    @cached_property
    def _keep(self) -> Keep:
        """Of which cells the sums by group are kept: all where they fit into memory, else the regions."""
        if not self.scores.grouped:
            return "none"
        cells, pooled = self.problem.cells, self.problem.cells.pooled
        each = 8 * len(self.scores.groups.block) * len(self.scores.scale)
        if self.scores.resolved or (pooled and each * cells.total <= GROUP_BYTES):
            return "all"
        return "regions" if cells.n_regions and each * cells.n_regions <= GROUP_BYTES else "none"

    @property
    def _has_control(self) -> bool:
        """Whether the control variate's expectation needs a pass of its own over the samples."""
        return self.problem.cells.pooled or self._keep == "regions"

    def choose(self, kept: str | None) -> DataBaselineCorrelation:
        """Return the estimator on its cheaper side.

        Parameters
        ----------
        kept : str, optional
            The choice of an earlier run, since in float32 the bits of a result depend on it; default: measure.

        Returns
        -------
        DataBaselineCorrelation
        """
        return replace(self, side=choose_side(self.problem, str(self.options.extra.get("side", "auto")), kept))

    def plan(self, state: PairState | None) -> Work | None:
        """Return the replicates to add, after the control variate of the samples where that is needed."""
        done = 0 if state is None else state.finished
        spent = 0.0 if state is None else float(state.within.weight[0]) / self.problem.n_samples
        points = self._points_wanted(state, spent) - spent
        if points <= 1e-9:
            return None
        replicates = max(MIN_REPLICATES, math.ceil(points - 1e-9))
        bounds = tuple(self.problem.block_bounds())
        fraction = points / replicates
        design = PairDesign(bounds, self.problem.seed, done, replicates, fraction, contrast=self._contrast)
        pairs = partial(pair_unit, self.problem, design, self._pilot[0], self._keep, side=SIDES[self.side])
        label = f"pairs-{done:06d}"
        if state is not None or not self._has_control:
            return Work(design.n_units, pairs, PairState, label)
        control = partial(control_unit, self.problem, self._pilot[0], self._weight, self._keep, len(bounds))
        return Work(len(bounds) + design.n_units, partial(_either, len(bounds), control, pairs), PairState, label)

    def _points_wanted(self, state: PairState | None, spent: float) -> float:
        if self.options.points is not None:
            return spent if state is not None else self.options.points
        if state is None:
            return FIRST_POINTS
        excess = self._excess(state)
        if excess <= 1 or spent >= MAX_POINTS:
            return spent
        # the error falls with the root of the points; a little more, since the error itself is estimated
        return float(min(max(1.1 * spent * excess**2, spent + 1), 8 * spent, MAX_POINTS))

    def _excess(self, state: PairState) -> float:
        """Return the error of the map over the error asked for."""
        estimate = self._estimate(state)[0]
        error = float(np.sqrt(np.nansum(estimate.estimator_error() ** 2)))
        if self.options.tolerance is not None:
            return error / max(self.options.tolerance * float(np.sqrt(np.nansum(estimate.value**2))), 1e-300)
        sampling = estimate.standard_error()
        known = float(np.sqrt(np.nansum(sampling**2))) if np.isfinite(sampling).any() else 0.0
        return 3 * error / known if known > 0 else 0.0

    def precision(self, state: PairState) -> float | None:
        """Return the relative error of the map so far."""
        estimate = self._estimate(state)[0]
        norm = float(np.sqrt(np.nansum(estimate.value**2)))
        return float(np.sqrt(np.nansum(estimate.estimator_error() ** 2))) / norm if norm > 0 else None

    def finish(self, state: PairState | None) -> Outcome:
        """Add the control variate's expectation, close the map, and attach its errors."""
        if state is None:
            message = explain("the pairs estimator", "no work done", "at least one unit", "run its plan")
            raise DataError(message)
        estimate, gap, gap_error = self._estimate(state)
        whole, regions = estimate.split(self.problem.cells)
        return Outcome(whole, gap, gap_error, state.evaluations + self._pilot[1], regions=regions)

    def _expected(self, state: PairState) -> Array:
        """Return the covariance of the control variate with the responses, (target, cell)."""
        cells = self.problem.cells
        if cells.pooled:
            return np.asarray(state.control.covariance(0)[0])
        return cells.extended(self.pilot * self.scores.input_response)

    def null(self, request: NullRequest) -> RegionNull | None:
        """Return the null of the region sums, where measured responses are to be permuted.

        There is no closed form of its spread: pairs are drawn, and no map is made of single samples.
        """
        if not request.permutations or not permutes_responses(self.problem):
            return None
        read = self.problem.source.read_responses
        regions, units = request.indicator, request.exchange
        return RegionNull(
            self.problem, read, self.scores, self.pilot, regions, units, request.permutations, request.points
        )

    def _estimate(self, state: PairState) -> tuple[MapEstimate, Array, Array]:
        scores, n = self.scores, self.problem.n_samples
        factor = scores.scale[:, None] * (n - 1) / n
        within, between, parts = state.within, state.between, self.problem.cells.partitions
        expected = scores.scale[:, None] * self._expected(state)
        raw = factor * within.mean_map[0] + expected
        shares = closing_shares(within.scalar_map[0, :, 0], np.abs(raw), parts)
        gap = raw[:, parts[0]].sum(axis=1) - scores.score
        # of the closed map: v - share * s, whose variance over replicates follows from their second moments
        degrees = max(state.finished - 1, 1)
        total, both = between.scalars[0, :, 0], between.scalar_map[0, :, 0]
        spread = between.map[0] - 2 * shares * both + shares**2 * total
        variance = factor**2 * np.maximum(spread, 0.0) / between.weight[0] / degrees
        gap_error = factor[:, 0] * np.sqrt(total[:, 0] / between.weight[0] / degrees)
        estimate = MapEstimate(
            close(raw, shares, np.nan_to_num(scores.score), parts),
            without_group=self._without_group(state, shares),
            spread=variance,
            n_replicates=state.finished,
        )
        return estimate, gap, gap_error

    def _without_group(self, state: PairState, shares: Array) -> Array | None:
        """Return the map without each group in turn: without every pair that touches it."""
        if self._keep == "none":
            return None
        rest, n_kept = self.scores.without_group, state.touching.shape[-1]
        shape = (len(rest.weight), *state.touching.shape[1:])
        # with few points a group may be touched by no pair at all
        rows = np.searchsorted(self.scores.groups.block, state.group)
        touching, touching_weight = np.zeros(shape), np.zeros(len(rest.weight))
        touching[rows], touching_weight[rows] = state.touching, state.touching_weight
        weight = float(state.within.weight[0])
        total = weight * state.within.mean_map[0][:, shares.shape[1] - n_kept :]
        kept = (total - touching) / (weight - touching_weight)[:, None, None]
        factor = ((rest.weight - 1) / rest.weight)[:, None, None]
        scale = correlation_scale(rest)[:, :, None]
        if self._has_control:
            expected = leave_one_out(state.control_group).covariance(0)
        else:
            expected = self.problem.cells.extended(self.pilot * rest.covariance(0))
        first = shares.shape[1] - n_kept
        parts = [slice(p.start - first, p.stop - first) for p in self.problem.cells.partitions if p.start >= first]
        return close(scale * (factor * kept + expected), shares[:, first:], correlation(rest), parts)


def _either(
    n_first: int, first: Callable[[int], PairState], second: Callable[[int], PairState], index: int
) -> PairState:
    """Compute a unit of the first kind of work, or of the second behind it."""
    return first(index) if index < n_first else second(index - n_first)
