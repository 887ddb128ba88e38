"""Any sample attribution made dataset-wise: its mean, mean absolute value or covariance with the response."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from igc.attribution.estimate import MapEstimate
from igc.attribution.permuted import NullRequest
from igc.attribution.problem import Problem, Rows
from igc.attribution.protocols import Outcome, SampleAttribution, Work
from igc.attribution.region_sums import RegionSums, WatchedNull, permutes_responses
from igc.attribution.scores import Scores
from igc.errors import DataError, MethodError, explain
from igc.stats.correlation import correlation_scale, leave_one_out
from igc.stats.moments import Array, Moments

__all__ = ["SUMMARIES", "SampleSummary", "class_mean", "one_hot_share", "summary_unit"]


def _mean(moments: Moments) -> Array:
    return moments.mean_map


def _mean_absolute(moments: Moments) -> Array:
    return moments.absolute_map


def _covariance(moments: Moments) -> Array:
    scale = correlation_scale(moments)[:, :, None]
    return np.where(scale > 0, moments.covariance(0) * scale, np.nan)


SUMMARIES = {"mean": _mean, "mean_absolute": _mean_absolute, "covariance": _covariance}
"""How maps of samples become the map of the dataset; ``covariance`` is that of IGC (cov(a, y) / (sd(y) sd(yhat)),
NaN where either is constant)."""


def one_hot_share(moments: Moments) -> float | None:
    """Return the share of samples that belong to one of the targets as categories; None where they are values.

    Parameters
    ----------
    moments : Moments
        A state of one block, whose first scalar is the response.

    Returns
    -------
    float or None
        1 for one-hot responses, less where only some categories are there; told by E[y^2] = E[y] for several targets.
    """
    mean = moments.mean_scalars[0, :, 0]
    square = moments.scalar_covariance(0, 0)[0] + mean**2
    total = float(mean.sum())
    if len(mean) < 2 or not np.allclose(square, mean, rtol=0, atol=1e-9) or total > 1 + 1e-9:
        return None
    return 1.0 if total > 1 - 1e-9 else total


def class_mean(moments: Moments) -> Array:
    """Return the mean map over the samples of each category, (block, target, component); NaN for one without samples.

    Parameters
    ----------
    moments : Moments
        A state whose first scalar is a response of 0 and 1, so that E[a | y = 1] = E[a y] / E[y].
    """
    share = moments.mean_scalars[:, :, 0, None]
    product = moments.covariance(0) + moments.mean_map * share
    return np.asarray(np.divide(product, share, out=np.full_like(product, np.nan), where=share > 0))


def summary_unit(
    problem: Problem,
    method: SampleAttribution,
    resolved: bool,
    unit: int,
    watch: Callable[[Rows, Array, Array], None] | None = None,
) -> Moments:
    """Compute the moments of response, prediction and map over one design block.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    method : SampleAttribution
        Makes the maps.
    resolved : bool
        Whether to keep the groups apart.
    unit : int
        The design block.
    watch : callable, optional
        Is handed numbers (row,), maps (row, target, component) and predictions (row, target) of every batch.

    Returns
    -------
    Moments
    """
    start, stop = problem.block_bounds()[unit]
    rows = np.arange(start, stop)
    total: Moments | None = None
    for stripe in problem.stripes(len(rows)):
        inputs, responses = problem.load(rows[stripe])
        problem.expect_block(unit + 1)
        scalars = np.stack([responses, problem.predict(inputs)], axis=2)
        for batch in problem.batches(len(inputs[0])):
            here = rows[stripe][batch]
            maps = method.attribute(problem.outputs, tuple(x[batch] for x in inputs), here)
            values = maps.detach().to(torch.float64).cpu().numpy()
            if watch is not None:
                watch(here, values, scalars[batch, :, 1])
            values = problem.cells.pool(torch.as_tensor(values)).numpy()
            part = Moments.of(scalars[batch], values, problem.groups[here] if resolved else None)
            total = part if total is None else total.merge(part)
    if total is None:
        raise DataError(explain("samples", "none", "at least one", "give samples"))
    return total


@dataclass(frozen=True)
class SampleSummary:
    """The dataset attribution of a sample attribution.

    Attributes
    ----------
    problem, scores
        What is explained.
    method : SampleAttribution
        Makes the maps of samples.
    summary : str
        A key of :data:`SUMMARIES`, or "class_mean" for categories.
    complete : bool
        Whether the covariance map of the method sums to the score.
    """

    problem: Problem
    scores: Scores
    method: SampleAttribution
    summary: str
    complete: bool = False

    def __post_init__(self) -> None:
        known = self._summaries()
        if self.summary not in known:
            raise MethodError(explain("summary", repr(self.summary), sorted(known), "choose one of them"))

    def _summaries(self) -> dict[str, Callable[[Moments], Array]]:
        """Return the summaries that there are: for categories also the mean over the samples of each."""
        categories = one_hot_share(self.scores.pooled) is not None
        return {**SUMMARIES, "class_mean": class_mean} if categories else dict(SUMMARIES)

    def plan(self, state: Moments | None) -> Work | None:
        """Return one pass over the samples."""
        if state is not None:
            return None
        unit = partial(summary_unit, self.problem, self.method, self.scores.resolved)
        return Work(len(self.problem.block_bounds()), unit, Moments, "samples")

    def null(self, request: NullRequest) -> WatchedNull | None:
        """Return the null of the region sums, where the map is the covariance with measured responses."""
        if self.summary != "covariance" or not permutes_responses(self.problem):
            return None
        return WatchedNull(self, RegionSums(self.problem, request), self.scores)

    def precision(self, state: Moments) -> float | None:
        """Return None: nothing is drawn."""
        return None

    def finish(self, state: Moments | None) -> Outcome:
        """Return the chosen summary as the map, and all of them beside it."""
        moments = state if state is not None else self.scores.groups
        pooled = moments.pooled()
        summaries, shape = self._summaries(), (len(self.scores.score), pooled.mean_map.shape[2])
        chosen = summaries[self.summary]
        without = chosen(leave_one_out(moments)) if len(moments.block) > 1 else None
        if without is not None:
            without = np.broadcast_to(without, (len(without), *shape))
        # a method may give one map for all targets
        maps = {name: np.broadcast_to(summary(pooled)[0], shape) for name, summary in summaries.items()}
        maps["standard_deviation"] = np.broadcast_to(np.sqrt(pooled.map_variance()[0]), shape)
        cells = self.problem.cells
        whole = maps["covariance"][:, cells.partitions[0]] if cells.pooled else maps["covariance"]
        gap = whole.sum(axis=1) - self.scores.score if self.complete else None
        estimate, regions = MapEstimate(maps.pop(self.summary), without_group=without).split(cells)
        return Outcome(
            estimate,
            completeness_error=gap,
            completeness_standard_error=None if gap is None else np.zeros_like(gap),
            evaluations=self.method.evaluations(self.problem.n_samples),
            maps={name: values[:, : cells.n_map] for name, values in maps.items()},
            regions=regions,
            signed=self.summary != "mean_absolute",
            chosen=getattr(self.method, "chosen", {}),
        )
