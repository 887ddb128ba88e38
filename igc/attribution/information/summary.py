"""Maps of a dataset from the measures of its samples, with the error that the draws leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from igc.attribution.estimate import MapEstimate
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.information.allocation import Goal, allot
from igc.attribution.information.fills import Fills, Tally
from igc.attribution.information.predictive import Categories
from igc.attribution.permuted import NullRequest
from igc.attribution.problem import Problem, Rows
from igc.attribution.protocols import Outcome, Work
from igc.attribution.region_sums import RegionSums, WatchedNull, WithSums, permutes_responses
from igc.attribution.scores import Scores
from igc.attribution.summary import SUMMARIES, class_mean
from igc.errors import DataError, MethodError, explain
from igc.stats.correlation import leave_one_out
from igc.stats.moments import Array, Moments
from igc.stats.nested import join_parts, split_parts

__all__ = [
    "BlockInformation",
    "InformationState",
    "InformationSummary",
    "InformationWithSums",
    "information_unit",
    "own_class",
]

UNIT_SAMPLES = 32
"""Samples of a unit of work at most: a sample costs as much as a thousand do elsewhere, so that an interruption between
units of the usual size would lose much, and few samples would keep one worker busy."""


@dataclass(frozen=True)
class BlockInformation:
    """Point-wise mutual information or information gain, sample by sample.

    Attributes
    ----------
    problem : Problem
        The attribution to be made.
    fills : Fills
        What is drawn and measured; how many draws is decided here.
    goal : Goal
        What decides it.
    """

    problem: Problem
    fills: Fills
    goal: Goal

    @cached_property
    def allotted(self) -> Fills:
        """What is drawn, with the number of draws decided."""
        return allot(self.problem, self.fills, self.goal)

    @property
    def small_units(self) -> Problem:
        """The problem, cut into small units of work."""
        return replace(self.problem, block_size=min(self.problem.block_size, UNIT_SAMPLES))

    @cached_property
    def projection(self) -> sparse.csr_array:
        """The matrix that makes maps of values of blocks, (component, block)."""
        return self.fills.blocks.projection()

    def settled(self) -> BlockInformation:
        """Return the method with the number of draws decided, to be sent to workers in small units of work."""
        return replace(self, problem=self.small_units, fills=self.allotted, goal=Goal(decided=True))

    def maps(self, inputs: Inputs, rows: Rows, responses: npt.ArrayLike) -> tuple[Array, Array, Tally]:
        """Make the maps of samples, as many as fit into a batch of fills.

        Parameters
        ----------
        inputs : tuple of torch.Tensor (row, ...)
        rows : array of int (row,)
            Numbers of the samples.
        responses : array (row, target)

        Returns
        -------
        maps : array (row, target or 1, component)
        deviations : array (row, replicate, target or 1, component)
            What the replicates differ from it.
        tally : Tally
        """
        truth = torch.as_tensor(np.asarray(responses, dtype=np.float64), device=inputs[0].device)
        values, deviations, tally = [], [], Tally()
        for found in self.allotted.run(inputs, rows, truth):
            values.append(_by_block(found.loss.value, len(rows)))
            deviations.append(_by_block(found.loss.deviations, len(rows)))
            tally = tally + found.tally
        return self._project(np.concatenate(values, axis=-1)), self._project(np.concatenate(deviations, axis=-1)), tally

    def _project(self, values: Array) -> Array:
        flat = values.reshape(-1, values.shape[-1])
        return np.asarray((self.projection @ flat.T).T.reshape(*values.shape[:-1], -1))

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target or 1, component)."""
        responses = self.problem.source.read_responses(rows)
        batches = self.fills.batches(len(rows), responses.shape[1])
        parts = [self.maps(tuple(x[some] for x in inputs), rows[some], responses[some])[0] for some in batches]
        return torch.as_tensor(np.concatenate(parts))

    def evaluations(self, n_samples: int) -> int:
        """Return the least number of inputs the model is run on, if no fill equals what it replaces."""
        return n_samples * (1 + len(self.fills.blocks) * self.fills.fewest)


def _by_block(values: Tensor, n: int) -> Array:
    """Return values of pairs with the blocks on the last axis, (row, ..., block)."""
    return np.asarray(np.moveaxis(values.reshape(n, -1, *values.shape[1:]).cpu().numpy(), 1, -1))


@dataclass(frozen=True)
class InformationState:
    """Mergeable moments of maps, and how often the model was called for them.

    Attributes
    ----------
    maps : Moments
        Of the maps of samples; blocks are groups.
    replicates : Moments
        Of single replicates; blocks are their numbers.
    tally : Tally
    """

    maps: Moments
    replicates: Moments
    tally: Tally

    def merge(self, other: InformationState) -> InformationState:
        """Combine with the state of other samples."""
        return InformationState(
            self.maps.merge(other.maps), self.replicates.merge(other.replicates), self.tally + other.tally
        )

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the state as named arrays."""
        return {**join_parts(maps=self.maps, replicates=self.replicates), "tally": np.array(astuple(self.tally))}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> InformationState:
        """Rebuild a state from :meth:`to_arrays`."""
        parts = split_parts(arrays)
        moments = [Moments.from_arrays(parts[key]) for key in ("maps", "replicates")]
        return cls(moments[0], moments[1], Tally(*(int(number) for number in arrays["tally"])))


@dataclass(frozen=True)
class InformationWithSums(WithSums):
    """The state of the maps, and beside it that of the null."""

    kind: ClassVar[Any] = InformationState


def information_unit(
    method: BlockInformation,
    resolved: bool,
    unit: int,
    watch: Callable[[Rows, Array, Array], None] | None = None,
) -> InformationState:
    """Compute the moments of the maps over one design block.

    Parameters
    ----------
    method : BlockInformation
        Makes the maps.
    resolved : bool
        Whether to keep the groups apart.
    unit : int
        The design block.
    watch : callable, optional
        Is handed numbers (row,), maps (row, target or 1, component) and predictions (row, target) of every batch.

    Returns
    -------
    InformationState
        Scalars: response and prediction.
    """
    problem = method.problem
    rows = np.arange(*problem.block_bounds()[unit])
    inputs, responses = problem.load(rows)
    scalars = np.stack([responses, problem.predict(inputs)], axis=2)
    total: InformationState | None = None
    for batch in method.fills.batches(len(rows), responses.shape[1]):
        maps, apart, tally = method.maps(tuple(x[batch] for x in inputs), rows[batch], responses[batch])
        if watch is not None:
            watch(rows[batch], maps, scalars[batch, :, 1])
        maps, apart = (problem.cells.pool(torch.as_tensor(x)).numpy() for x in (maps, apart))
        groups = problem.groups[rows[batch]] if resolved else None
        parts = [Moments.of(scalars[batch], maps + apart[:, r], np.full(len(maps), r)) for r in range(apart.shape[1])]
        state = InformationState(Moments.of(scalars[batch], maps, groups), Moments.join(parts), tally)
        total = state if total is None else total.merge(state)
    if total is None:
        raise DataError(explain("samples", "none", "at least one", "give samples"))
    return total


@dataclass(frozen=True)
class InformationSummary:
    """The dataset attribution of point-wise mutual information or information gain.

    The error of the draws is that of the linear part of each estimate; mean absolute values grow with it.

    Attributes
    ----------
    problem, scores
        What is explained.
    method : BlockInformation
        Makes the maps of samples.
    summary : str
        A key of :data:`igc.attribution.summary.SUMMARIES`, or "class_mean" for categories.
    classes : bool
        Whether responses are categories.
    """

    problem: Problem
    scores: Scores
    method: BlockInformation
    summary: str
    classes: bool

    def __post_init__(self) -> None:
        if self.summary not in self._summaries:
            raise MethodError(explain("summary", repr(self.summary), sorted(self._summaries), "choose one of them"))

    @property
    def _summaries(self) -> dict[str, Callable[[Moments], Array]]:
        return {**SUMMARIES, "class_mean": class_mean} if self.classes else dict(SUMMARIES)

    def plan(self, state: InformationState | None) -> Work | None:
        """Return one pass over the samples."""
        if state is not None:
            return None
        method = self.method.settled()
        unit = partial(information_unit, method, self.scores.resolved)
        return Work(len(method.problem.block_bounds()), unit, InformationState, "fills")

    def null(self, request: NullRequest) -> WatchedNull | None:
        """Return the null of the region sums, where the map is the covariance with measured responses.

        The PMI of a value is that of the response itself: its maps are no longer those of permuted responses.
        """
        measure = self.method.fills.measure
        own = measure.name == "pmi" and not isinstance(measure.predictive, Categories)
        if self.summary != "covariance" or own or not permutes_responses(self.problem):
            return None
        sums = RegionSums(self.method.small_units, request)
        return WatchedNull(self, sums, self.scores, InformationWithSums)

    def precision(self, state: InformationState) -> float | None:
        """Return the relative error of the map."""
        estimate = self._estimate(state)
        norm = float(np.sqrt(np.nansum(estimate.value**2)))
        error = float(np.sqrt(np.nansum(estimate.estimator_error() ** 2)))
        return error / norm if norm > 0 else None

    def finish(self, state: InformationState | None) -> Outcome:
        """Return the chosen summary as the map, and all of them beside it."""
        if state is None:
            raise DataError(explain("fills", "no work done", "at least one unit", "run its plan"))
        pooled = state.maps.pooled()
        summaries = {name: made for name, made in self._summaries.items() if name != self.summary}
        maps = {name: self._for_all(made(pooled)[0]) for name, made in summaries.items()}
        maps["standard_deviation"] = self._for_all(np.sqrt(pooled.map_variance()[0]))
        if self.classes:
            maps["true_response"] = self._for_all(own_class(pooled))
        signed = self.method.fills.measure.name == "pmi" and self.summary != "mean_absolute"
        tally = state.tally
        told = {"unresolved": tally.unresolved / tally.estimates} if tally.estimates else {}
        estimate, regions = self._estimate(state).split(self.problem.cells)
        return Outcome(
            estimate,
            evaluations=state.tally.evaluations,
            maps={name: values[:, : self.problem.cells.n_map] for name, values in maps.items()},
            regions=regions,
            signed=signed or self.summary == "covariance",
            chosen=told,
        )

    def _estimate(self, state: InformationState) -> MapEstimate:
        chosen = self._summaries[self.summary]
        replicates = self._for_all(chosen(state.replicates))
        without = self._for_all(chosen(leave_one_out(state.maps))) if len(state.maps.block) > 1 else None
        value = self._for_all(chosen(state.maps.pooled())[0])
        return MapEstimate(value, replicates, np.ones(len(replicates)), without, noise_copies=1.0)

    def _for_all(self, values: Array) -> Array:
        """Return a map of every target where one holds for all, (..., target, component)."""
        shape = (*values.shape[:-2], len(self.scores.score), values.shape[-1])
        return np.ascontiguousarray(np.broadcast_to(values, shape))


def own_class(moments: Moments) -> Array:
    """Return the mean over samples of the map of their own class, (1, component).

    Parameters
    ----------
    moments : Moments
        Of one-hot responses and maps, pooled.
    """
    share = moments.mean_scalars[0, :, 0][:, None]
    # the mean of response times map is their covariance plus the product of their means
    return np.asarray((moments.covariance(0)[0] + share * moments.mean_map[0]).sum(axis=0, keepdims=True))
