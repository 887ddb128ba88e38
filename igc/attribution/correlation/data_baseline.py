"""Integrated Gradient Correlation with the data as baseline, by pairs of samples.

With baselines drawn from the samples themselves the definition is a mean over pairs n != m, in which all means cancel:

    IGC[k, i] = (N - 1) / N  E[ 1/2 (y_n - y_m)_k (x_n - x_m)_i d_i f_k(x_m + t (x_n - x_m)) ] / (sd(y_k) sd(f_k))

Three things bring its variance down: every gradient serves two samples, a linear control variate removes what a linear
model would give (so linear models are exact), and the known sum of the map is imposed by regression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from igc.attribution.correlation.closure import close, closing_shares
from igc.attribution.correlation.design import PairDesign
from igc.attribution.correlation.null import RegionNull
from igc.attribution.correlation.pairs import PairState, pair_unit, pilot_gradient
from igc.attribution.correlation.sides import choose_latents, readout_weight
from igc.attribution.estimate import MapEstimate
from igc.attribution.permuted import NullRequest
from igc.attribution.problem import Problem
from igc.attribution.protocols import Options, Outcome, Work
from igc.attribution.region_sums import permutes_responses
from igc.attribution.scores import Scores
from igc.errors import DataError, explain
from igc.stats.correlation import correlation, correlation_scale
from igc.stats.moments import Array

__all__ = ["MAX_POINTS", "MIN_REPLICATES", "DataBaselineCorrelation"]

MIN_REPLICATES = 16
"""Replicates of the estimator; their spread is its error, with one degree of freedom less."""
MAX_POINTS = 512.0
"""Gradient points a sample at which stopping by precision gives up and reports what it reached."""
FIRST_POINTS = 4.0


@dataclass(frozen=True)
class DataBaselineCorrelation:
    """The pairs estimator.

    Attributes
    ----------
    problem, scores, options
        What is explained, and how far to go: ``points`` a sample, or the relative error ``tolerance``, or until the
        estimator's error is a third of the sampling error.
    by_latents : bool
        Whether gradients are taken of the input of a linear last layer; see :meth:`decide`.
    """

    problem: Problem
    scores: Scores
    options: Options
    by_latents: bool = False

    def __post_init__(self) -> None:
        if self.problem.n_samples < 3:
            seen, remedy = f"{self.problem.n_samples} samples", "give more samples, or a shared baseline"
            raise DataError(explain("samples", seen, "at least 3", remedy))

    @cached_property
    def _pilot(self) -> tuple[Array, int]:
        return pilot_gradient(self.problem, by_latents=self.by_latents)

    @cached_property
    def pilot(self) -> Array:
        """Gradient of the control variate, (target, component)."""
        if not self.by_latents:
            return self._pilot[0]
        weight = readout_weight(self.problem)
        return np.asarray(weight @ self._pilot[0])

    def decide(self, kept: bool | None) -> DataBaselineCorrelation:
        """Return the estimator on its cheaper side.

        Parameters
        ----------
        kept : bool, optional
            The choice of an earlier run, since in float32 the bits of a result depend on it; default: measure.

        Returns
        -------
        DataBaselineCorrelation
        """
        by_latents = choose_latents(self.problem, str(self.options.extra.get("side", "auto")), kept)
        return replace(self, by_latents=by_latents)

    def plan(self, state: PairState | None) -> Work | None:
        """Return the replicates to add."""
        done = 0 if state is None else len(state.moments.block)
        spent = 0.0 if state is None else float(state.moments.weight.sum()) / self.problem.n_samples
        points = self._points_wanted(state, spent) - spent
        if points <= 1e-9:
            return None
        replicates = max(MIN_REPLICATES, math.ceil(points - 1e-9))
        bounds = tuple(self.problem.block_bounds())
        design = PairDesign(bounds, self.problem.seed, done, replicates, points / replicates)
        unit = partial(
            pair_unit, self.problem, design, self._pilot[0], self.scores.resolved, by_latents=self.by_latents
        )
        return Work(design.n_units, unit, PairState, f"pairs-{done:06d}")

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
        return Outcome(estimate, gap, gap_error, state.evaluations + self._pilot[1])

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
        moments, pooled = state.moments, state.moments.pooled()
        expected = scores.scale[:, None] * self.pilot * scores.input_response
        raw = factor * pooled.mean_map[0] + expected
        shares = closing_shares(pooled.scalar_map[0, :, 0], np.abs(raw))
        replicates = factor * moments.mean_map + expected
        sums = MapEstimate(raw.sum(axis=1)[:, None], replicates.sum(axis=2)[..., None], moments.weight)
        score = np.nan_to_num(scores.score)
        estimate = MapEstimate(
            close(raw, shares, score),
            close(replicates, shares, np.broadcast_to(score, replicates.shape[:2])),
            moments.weight,
            self._without_group(state, shares),
        )
        return estimate, raw.sum(axis=1) - scores.score, sums.estimator_error()[:, 0]

    def _without_group(self, state: PairState, shares: Array) -> Array | None:
        """Return the map without each group in turn: without every pair that touches it."""
        if not self.scores.resolved:
            return None
        rest = self.scores.without_group
        # with few points a group may be touched by no pair at all
        rows = np.searchsorted(self.scores.moments.block, state.group)
        touching, touching_weight = np.zeros((len(rest.weight), *state.touching.shape[1:])), np.zeros(len(rest.weight))
        touching[rows], touching_weight[rows] = state.touching, state.touching_weight
        weight = float(state.moments.weight.sum())
        total = np.einsum("b,bkc->kc", state.moments.weight, state.moments.mean_map)
        kept = (total - touching) / (weight - touching_weight)[:, None, None]
        factor = ((rest.weight - 1) / rest.weight)[:, None, None]
        scale = correlation_scale(rest)[:, :, None]
        raw = scale * (factor * kept + self.pilot * rest.covariance(0))
        return close(raw, shares, correlation(rest))
