"""Random sample attributions made dataset-wise, with the error of what was not drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.baselines import shared_baselines
from igc.attribution.closure import close, closing_shares
from igc.attribution.estimate import MapEstimate
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.permuted import NullRequest
from igc.attribution.problem import Problem, Rows
from igc.attribution.protocols import DrawnAttribution, Options, Outcome, Work
from igc.attribution.region_sums import RegionSums, WatchedNull, WithSums, permutes_responses
from igc.attribution.scores import Scores
from igc.attribution.summary import SUMMARIES
from igc.errors import DataError, MethodError, explain
from igc.seeding import generator
from igc.stats.correlation import correlation, leave_one_out
from igc.stats.moments import Array, Moments
from igc.stats.nested import join_parts, split_parts

__all__ = ["MAX_REPLICATES", "BaselinePool", "DrawnState", "DrawnSummary", "PooledDraws", "drawn_unit", "uniform_draws"]

MAX_REPLICATES = 16
"""Draws of a sample are pooled into at most so many replicates."""
STRIPE = 256
DRAW_BYTES = 128 << 20
"""Draws of so many samples at a time are held that they fit into so many bytes."""
RESIDUAL = 2
"""Position among the scalars of the sum of a sample's map minus its prediction."""


def uniform_draws(seed: int, purpose: str, rows: Rows, index: int, width: int) -> Array:
    """Draw numbers for samples that depend on nothing but the number of the sample.

    Parameters
    ----------
    seed : int
    purpose : str
        Name of the stream.
    rows : array of int (row,)
        Numbers of the samples.
    index : int
        Number of the draw.
    width : int
        Numbers a sample.

    Returns
    -------
    array (row, width)
        Uniform in [0, 1).
    """
    values = np.empty((len(rows), width))
    for stripe in np.unique(rows // STRIPE):  # a generator a sample would cost as much as small models do
        here = rows // STRIPE == stripe
        drawn = generator(seed, purpose, int(stripe), index).random((STRIPE, width))
        values[here] = drawn[rows[here] % STRIPE]
    return values


@dataclass(frozen=True)
class BaselinePool:
    """Reference inputs to draw from.

    Attributes
    ----------
    problem : Problem
        Its samples are the pool where no baselines are shared.
    shared : tuple of torch.Tensor (baseline, ...), optional
        Baselines shared by all samples.
    """

    problem: Problem
    shared: Inputs | None = None

    @classmethod
    def of(cls, choice: object, problem: Problem, scores: Scores) -> BaselinePool:
        """Make the pool of a caller's choice; None and "data" mean the samples."""
        if choice is None or (isinstance(choice, str) and choice == "data"):
            return cls(problem)
        return cls(problem, shared_baselines(choice, problem, scores))

    def draw(self, uniform: Array) -> Inputs:
        """Return baselines, each of the pool equally likely; with the data, that is all samples, itself included.

        Parameters
        ----------
        uniform : array (row,)
            Numbers in [0, 1).

        Returns
        -------
        tuple of torch.Tensor (row, ...)
        """
        if self.shared is not None:
            return tuple(x[(uniform * len(x)).astype(np.int64)] for x in self.shared)
        return self.problem.load(self.rows(uniform))[0]

    def rows(self, uniform: Array) -> Rows:
        """Return the number of the sample that is the baseline, (row,), where the samples are the pool."""
        return (uniform * self.problem.n_samples).astype(np.int64)


@runtime_checkable
class PooledDraws(Protocol):
    """A drawn method that tells its draws apart: each has one baseline of a pool."""

    @property
    def pool(self) -> BaselinePool:
        """Where baselines come from."""
        ...

    @property
    def n_draws(self) -> int:
        """Draws a sample, over all replicates."""
        ...

    def draws(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Iterator[tuple[Tensor, Rows]]:
        """Yield a replicate's draws: maps (batch, target, component) and which samples are baselines (batch,)."""
        ...


@dataclass(frozen=True)
class DrawnState:
    """Mergeable moments of drawn maps.

    Attributes
    ----------
    maps : Moments
        Of each sample's mean over draws; blocks are groups.
    replicates : Moments
        Of single replicates; blocks are their numbers. Their ``absolute_map`` is a pseudo-value of the mean absolute
        value.
    by_baseline : array (group, target, component)
        Sum over the draws whose baseline lies in a group of the weighted distance to the mean over draws of the same
        sample; of no group where baselines are not samples, or groups not kept apart.
    baseline_draws : array (group,)
        Number of these draws.
    """

    maps: Moments
    replicates: Moments
    by_baseline: Array
    baseline_draws: Array

    def merge(self, other: DrawnState) -> DrawnState:
        """Combine with the moments of other samples."""
        return DrawnState(
            self.maps.merge(other.maps),
            self.replicates.merge(other.replicates),
            self.by_baseline + other.by_baseline,
            self.baseline_draws + other.baseline_draws,
        )

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the state as named arrays."""
        parts = join_parts(maps=self.maps, replicates=self.replicates)
        return {**parts, "by_baseline": self.by_baseline, "baseline_draws": self.baseline_draws}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> DrawnState:
        """Rebuild a state from :meth:`to_arrays`."""
        parts = split_parts(arrays)
        return cls(
            Moments.from_arrays(parts["maps"]),
            Moments.from_arrays(parts["replicates"]),
            np.asarray(arrays["by_baseline"], dtype=np.float64),
            np.asarray(arrays["baseline_draws"], dtype=np.float64),
        )


class _WithSums(WithSums):
    """A state of drawn maps, and beside it that of its null."""

    kind = DrawnState


def drawn_unit(
    problem: Problem,
    method: DrawnAttribution,
    summary: str,
    centre: Array,
    resolved: bool,
    unit: int,
    watch: Callable[[Rows, Array, Array], None] | None = None,
) -> DrawnState:
    """Compute the moments of drawn maps over one design block.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    method : DrawnAttribution
        Makes the maps.
    summary : str
        A key of :data:`igc.attribution.summary.SUMMARIES`.
    centre : array (target,)
        Mean response of all samples.
    resolved : bool
        Whether to keep the groups apart.
    unit : int
        The design block.
    watch : callable, optional
        Is handed numbers (row,), maps (row, target, component), means over draws, and predictions (row, target).

    Returns
    -------
    DrawnState
        Scalars: response, prediction, and the sum of the map minus the prediction.
    """
    rows = np.arange(*problem.block_bounds()[unit])
    inputs, responses = problem.load(rows)
    predictions = problem.predict(inputs)
    pooled: PooledDraws | None = None
    held = method.replicates
    if resolved and isinstance(method, PooledDraws) and method.pool.shared is None and method.n_draws > 1:
        pooled, held = method, method.n_draws
    room = DRAW_BYTES // (8 * held * len(centre) * problem.n_components)
    problem = replace(problem, batch_size=max(1, min(problem.batch_size, room)))
    total: DrawnState | None = None
    for batch in problem.batches(len(rows)):
        here, numbers = tuple(x[batch] for x in inputs), rows[batch]
        apart = np.zeros((0, len(centre), problem.n_components)), np.zeros(0)
        if pooled is None:
            made = (method.replicate(problem.outputs, here, numbers, i).detach() for i in range(method.replicates))
        else:
            draws = [draw for i in range(method.replicates) for draw in pooled.draws(problem.outputs, here, numbers, i)]
            maps = torch.stack([drawn.detach() for drawn, _ in draws])
            apart = _by_baseline(problem, maps, [who for _, who in draws], summary, responses[batch] - centre)
            made = (part.mean(dim=0) for part in maps.chunk(method.replicates))
        groups = problem.groups[numbers] if resolved else None
        seen = None if watch is None else partial(watch, numbers)
        state = DrawnState(*_of_batch(responses[batch], predictions[batch], made, groups, seen), *apart)
        total = state if total is None else total.merge(state)
    if total is None:
        raise DataError(explain("samples", "none", "at least one", "give samples"))
    return total


def _of_batch(
    responses: Array,
    predictions: Array,
    replicates: Iterable[Tensor],
    groups: npt.NDArray[np.int64] | None,
    watch: Callable[[Array, Array], None] | None,
) -> tuple[Moments, Moments]:
    """Return the moments of the mean over replicates, and of each.

    A replicate is scattered around zero where the mean is not, so its absolute values say little about those of the
    mean: what stands in their place are pseudo-values, how those of the mean change without the replicate.
    """
    made = [maps.double().cpu().numpy() for maps in replicates]
    total = np.add.reduce(made)
    mean = total / len(made)
    if watch is not None:
        watch(mean, predictions)
    parts = []
    for index, maps in enumerate(made):
        moments = _moments(responses, predictions, maps, np.full(len(maps), index))
        pseudo = (np.abs(total) - np.abs(total - maps)).mean(axis=0)
        parts.append(replace(moments, absolute_map=pseudo[None]))
    return _moments(responses, predictions, mean, groups), Moments.join(parts)


def _by_baseline(
    problem: Problem, maps: Tensor, baselines: Sequence[Rows], summary: str, centred: Array
) -> tuple[Array, Array]:
    """Sum weighted distances of draws to their sample's mean by the group of the baseline; count the draws.

    Parameters
    ----------
    problem : Problem
    maps : torch.Tensor (draw, sample, target, component)
    baselines : sequence of array of int (sample,)
        Number of the sample that each draw has as baseline.
    summary : str
        A key of :data:`igc.attribution.summary.SUMMARIES`; it says how much a change of a map counts.
    centred : array (sample, target)
        Response minus its mean.

    Returns
    -------
    array (group, target, component), array (group,)
    """
    mean = maps.double().mean(dim=0)
    weight = torch.ones_like(mean) if summary == "mean" else mean.sign()
    if summary == "covariance":
        weight = torch.as_tensor(centred, device=maps.device)[:, :, None]
    n_groups = int(problem.groups.max()) + 1
    sums = torch.zeros((n_groups, *mean.shape[1:]), dtype=torch.float64, device=maps.device)
    for drawn, who in zip(maps, baselines, strict=True):
        groups = torch.as_tensor(problem.groups[who], device=maps.device)
        sums.index_add_(0, groups, weight * (drawn.double() - mean))
    counts = np.bincount(problem.groups[np.concatenate(baselines)], minlength=n_groups)
    return sums.cpu().numpy(), counts.astype(np.float64)


def _moments(responses: Array, predictions: Array, maps: Array, blocks: npt.NDArray[np.int64] | None) -> Moments:
    return Moments.of(np.stack([responses, predictions, maps.sum(axis=2) - predictions], axis=2), maps, blocks)


@dataclass(frozen=True)
class DrawnSummary:
    """The dataset attribution of a random sample attribution.

    Where the samples are the baselines, too, a sample changes the map in two ways: as what is explained and as what
    others are explained against. The sampling error counts both, where a sample has two draws or more (from one draw,
    the part of the baseline cannot be told from that of the sample). Mean absolute values grow with the noise of the
    draws.

    Attributes
    ----------
    problem, scores, options
        What is explained.
    method : DrawnAttribution
        Makes the maps of samples.
    summary : str
        A key of :data:`igc.attribution.summary.SUMMARIES`.
    closed : bool
        Whether to close the covariance map to the score: the sum of a sample's map differs from its prediction by
        that of its baseline, which is unrelated to the response, so its covariance is known to be zero.
    """

    problem: Problem
    scores: Scores
    options: Options
    method: DrawnAttribution
    summary: str
    closed: bool = False

    def __post_init__(self) -> None:
        if self.summary not in SUMMARIES:
            raise MethodError(explain("summary", repr(self.summary), sorted(SUMMARIES), "choose one of them"))
        if self.options.tolerance is not None:
            seen = self.options.tolerance
            raise MethodError(explain("tolerance", seen, "points, for a method of fixed draws", "give points instead"))

    def plan(self, state: DrawnState | None) -> Work | None:
        """Return one pass over the samples."""
        if state is not None:
            return None
        centre = self.scores.pooled.mean_scalars[0, :, 0]
        unit = partial(drawn_unit, self.problem, self.method, self.summary, centre, self.scores.resolved)
        return Work(len(self.problem.block_bounds()), unit, DrawnState, "draws")

    def null(self, request: NullRequest) -> WatchedNull | None:
        """Return the null of the region sums, of the very draws, where the map is the covariance with responses."""
        if self.summary != "covariance" or not permutes_responses(self.problem):
            return None
        taken = partial(self._closing, request.indicator)
        return WatchedNull(self, RegionSums(self.problem, request), self.scores, _WithSums, taken)

    def _closing(self, indicator: Array, state: DrawnState) -> Array | None:
        """Return how much of the gap each region takes up, (target, roi); None where nothing is closed."""
        if not self.closed:
            return None
        return _residual_shares(state, SUMMARIES[self.summary](state.maps.pooled())[0]) @ indicator.T

    def precision(self, state: DrawnState) -> float | None:
        """Return the relative error of the map."""
        estimate = self._estimate(state)[0]
        norm = float(np.sqrt(np.nansum(estimate.value**2)))
        error = float(np.sqrt(np.sum(np.nan_to_num(estimate.estimator_error(), nan=np.inf) ** 2)))
        return error / norm if norm > 0 and np.isfinite(error) else None

    def finish(self, state: DrawnState | None) -> Outcome:
        """Return the chosen summary as the map, and all of them beside it."""
        if state is None:
            raise DataError(explain("drawn maps", "no work done", "at least one unit", "run its plan"))
        pooled = state.maps.pooled()
        maps = {name: summary(pooled)[0] for name, summary in SUMMARIES.items() if name != self.summary}
        maps["standard_deviation"] = _deviation(state)
        estimate, gap, gap_error = self._estimate(state)
        evaluations = self.method.evaluations(self.problem.n_samples)
        if not self.closed:
            signed = self.summary != "mean_absolute"
            return Outcome(estimate, evaluations=evaluations, maps=maps, signed=signed)
        return Outcome(estimate, gap, gap_error, evaluations, maps)

    def _estimate(self, state: DrawnState) -> tuple[MapEstimate, Array, Array]:
        """Return the map, and the gap of its sum to the score before closure with the gap's error."""
        chosen, pooled = SUMMARIES[self.summary], state.maps.pooled()
        value, replicates = chosen(pooled)[0], chosen(state.replicates)
        weights = np.ones(len(replicates))
        rest = leave_one_out(state.maps) if len(state.maps.block) > 1 else None
        without = None if rest is None else chosen(rest)
        sums = MapEstimate(value.sum(axis=1)[:, None], replicates.sum(axis=2)[..., None], weights)
        gap, gap_error = value.sum(axis=1) - self.scores.score, sums.estimator_error()[:, 0]
        copies, beside = self._as_baselines(state)
        if self.closed:
            shares = _residual_shares(state, value)
            value = close(value, shares, self.scores.score)
            replicates = close(replicates, shares, correlation(state.replicates))
            without = without if without is None or rest is None else close(without, shares, correlation(rest))
            beside = close(beside, shares, np.zeros(beside.shape[:2]))
        if without is not None and len(beside):
            without = without - beside
        return MapEstimate(value, replicates, weights, without, noise_copies=copies), gap, gap_error

    def _as_baselines(self, state: DrawnState) -> tuple[float, Array]:
        """Return what the map changes when draws with baselines of a group are left out, (group, target, component).

        To first order, to be added to the change when the samples of the group are left out. Before it, how often the
        variance of the draws is in the jackknife of both: each draw belongs to the group of its sample and to that of
        its baseline, which are the same for one draw in as many as there are groups.
        """
        if not len(state.by_baseline):
            return 1.0, state.by_baseline
        total, n_groups = state.baseline_draws.sum(), len(state.baseline_draws)
        each = total / self.problem.n_samples
        # a draw is part of the mean it is compared with
        bias = each / (each - 1)
        change = bias * state.by_baseline / (total - state.baseline_draws)[:, None, None]
        if self.summary == "covariance":
            change = change * self.scores.scale[:, None]
        return 1 + bias + 2 / n_groups, change


def _residual_shares(state: DrawnState, value: Array) -> Array:
    """Return the best linear correction of each component by the sum's residual, (target, component).

    The covariance of component and residual between draws of one sample: that over samples holds, beside it, how maps
    of samples differ, which is nothing but noise here.
    """
    pooled, each = state.maps.pooled(), state.replicates
    covariance, variance = pooled.covariance(RESIDUAL)[0], pooled.scalar_covariance(RESIDUAL, RESIDUAL)[0]
    varies = variance > 1e-12 * pooled.scalar_covariance(1, 1)[0]  # else nothing but rounding is left to close
    if len(each.block) > 1:
        covariance = each.covariance(RESIDUAL).mean(axis=0) - covariance
    return closing_shares(np.where(varies[:, None], covariance, 0.0), np.nan_to_num(value) ** 2)


def _deviation(state: DrawnState) -> Array:
    """Return the standard deviation of maps over samples, without the part that comes from the draws."""
    variance, n = state.maps.pooled().map_variance()[0], len(state.replicates.block)
    if n > 1:
        variance = (n * variance - state.replicates.map_variance().mean(axis=0)) / (n - 1)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))
