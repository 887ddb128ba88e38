"""Integrated Gradient Correlation with baselines shared by all samples: deterministic, by adaptive quadrature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from igc.attribution.baselines import shared_baselines
from igc.attribution.cells import Cells
from igc.attribution.closure import close, closing_shares
from igc.attribution.estimate import MapEstimate
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.permuted import NullRequest
from igc.attribution.problem import Problem, Rows
from igc.attribution.protocols import Options, Outcome, Work
from igc.attribution.region_sums import RegionSums, WatchedNull, permutes_responses
from igc.attribution.scores import Scores
from igc.attribution.standard.integrated_gradients import IntegratedGradients
from igc.attribution.standard.quadrature import QUADRATURE_TOLERANCE, choose_quadrature
from igc.attribution.summary import SUMMARIES, summary_unit
from igc.stats.correlation import correlation, leave_one_out
from igc.stats.moments import Array, Moments

__all__ = ["SharedBaselineCorrelation"]


@dataclass(frozen=True)
class _TwoRules:
    """Integrated Gradients by a rule, followed by its difference to the coarser rule."""

    method: IntegratedGradients
    cells: Cells

    def evaluations(self, n_samples: int) -> int:
        return self.method.evaluations(n_samples)

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        fine, coarse = (self.cells.pool(maps) for maps in self.method.attribute_twice(outputs, inputs))
        return torch.cat([fine, fine - coarse], dim=2)


@dataclass(frozen=True)
class SharedBaselineCorrelation:
    """IGC with zero, mean, drawn or given baselines.

    Attributes
    ----------
    problem, scores, options
        What is explained.
    """

    problem: Problem
    scores: Scores
    options: Options

    @cached_property
    def _method(self) -> _TwoRules:
        baselines = shared_baselines(self.options.baselines, self.problem, self.scores)
        tolerance = self.options.tolerance or QUADRATURE_TOLERANCE
        rule = choose_quadrature(self.problem, baselines, self.options.points, tolerance)
        return _TwoRules(IntegratedGradients(baselines, rule, self.problem.batch_size), self.problem.cells)

    def plan(self, state: Moments | None) -> Work | None:
        """Return one pass over the samples."""
        if state is not None:
            return None
        unit = partial(summary_unit, replace(self.problem, pooling=None), self._method, self.scores.resolved)
        return Work(len(self.problem.block_bounds()), unit, Moments, "paths")

    def precision(self, state: Moments) -> float | None:
        """Return the relative difference of the two quadrature rules."""
        fine, difference = np.split(np.nan_to_num(SUMMARIES["covariance"](state.pooled())[0]), 2, axis=1)
        norm = float(np.linalg.norm(fine))
        return float(np.linalg.norm(difference)) / norm if norm > 0 else None

    def finish(self, state: Moments | None) -> Outcome:
        """Close the map in proportion to the squared quadrature error of each component."""
        moments = state if state is not None else Moments.empty(1, 1, 2, 2)
        pooled = moments.pooled()
        fine, difference = np.split(np.nan_to_num(SUMMARIES["covariance"](pooled)[0]), 2, axis=1)
        cells = self.problem.cells
        parts = self._parts
        shares = self._shares(moments)
        mean = np.split(pooled.mean_map[0], 2, axis=1)[0]
        deviation = np.split(np.sqrt(pooled.map_variance()[0]), 2, axis=1)[0]
        gap = fine[:, parts[0]].sum(axis=1) - self.scores.score
        closed = close(fine, shares, np.nan_to_num(self.scores.score), parts)
        estimate, regions = MapEstimate(closed, without_group=self._without_group(moments, shares, parts)).split(cells)
        maps = {"mean": mean, "standard_deviation": deviation, "quadrature_error": np.abs(difference)}
        return Outcome(
            estimate,
            completeness_error=gap,
            completeness_standard_error=np.zeros_like(gap),
            evaluations=self._method.evaluations(self.problem.n_samples),
            maps={name: values[:, : cells.n_map] for name, values in maps.items()},
            regions=regions,
        )

    @property
    def _parts(self) -> list[slice]:
        """Stretches of the map of which each holds every component once."""
        return self.problem.cells.partitions if self.problem.cells.pooled else [slice(None)]

    def null(self, request: NullRequest) -> WatchedNull | None:
        """Return the null of the region sums, where responses are measured."""
        if not permutes_responses(self.problem):
            return None
        taken = partial(self._taken, request.indicator)
        regions = self._regions if self.problem.cells.pooled else None
        return WatchedNull(self, RegionSums(self.problem, request), self.scores, shares=taken, regions=regions)

    @property
    def _regions(self) -> Array:
        """How regions, and everything, are made of pooled cells, (roi + 1, cell)."""
        cells = self.problem.cells
        everything = np.zeros((1, cells.total))
        everything[:, self._parts[0]] = 1
        return np.concatenate([np.eye(cells.n_regions, cells.total, k=cells.n_map), everything])

    def _shares(self, state: Moments) -> Array:
        """Return how much of the gap each cell takes up, (target, cell)."""
        fine, difference = np.split(np.nan_to_num(SUMMARIES["covariance"](state.pooled())[0]), 2, axis=1)
        return closing_shares(difference**2, fine**2, self._parts)

    def _taken(self, indicator: Array, state: Moments) -> Array:
        """Return how much of the gap each region takes up, (target, roi)."""
        shares, cells = self._shares(state), self.problem.cells
        return shares[:, cells.n_map :] if cells.pooled else shares @ indicator.T

    def _without_group(self, moments: Moments, shares: Array, parts: Sequence[slice]) -> Array | None:
        if len(moments.block) < 2:
            return None
        rest = leave_one_out(moments)
        fine = np.split(np.nan_to_num(SUMMARIES["covariance"](rest)), 2, axis=2)[0]
        return close(fine, shares, correlation(rest), parts)
