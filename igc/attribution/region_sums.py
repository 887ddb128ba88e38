"""The permutation null of maps that are covariances with the response: exact, and nearly free.

The sum over a region of the map of a dataset is the covariance of the response with one number a sample: the sum over
the region of the sample's map. These numbers do not depend on the responses, so that one map of a sample serves every
permutation, and their variance gives the spread over all permutations of single samples in closed form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from igc.attribution.gradients import flatten
from igc.attribution.permuted import MAX_NULL_BYTES, NullMap, NullRequest
from igc.attribution.problem import PredictionSource, Problem, Rows
from igc.attribution.protocols import DatasetAttribution, Outcome, Work
from igc.attribution.scores import Scores
from igc.errors import MethodError, explain
from igc.stats.inference import permutation_spread
from igc.stats.moments import Array, Moments
from igc.stats.nested import join_parts, split_parts

__all__ = ["InputNull", "RegionSums", "SumsState", "WatchedNull", "WithSums", "check_null_size", "permutes_responses"]


def check_null_size(permutations: int, n_targets: int, n_rois: int, copies: int = 1) -> None:
    """Refuse a null that does not fit into memory.

    Raises
    ------
    MethodError
        If the sums take more than :data:`igc.attribution.permuted.MAX_NULL_BYTES`.
    """
    size = 8 * copies * permutations * n_targets * (n_rois + 2)
    if size > MAX_NULL_BYTES:
        seen = f"{permutations} for {n_targets} targets and {n_rois} regions, {size / 2**30:.1f} GiB"
        allowed, remedy = f"{MAX_NULL_BYTES >> 30} GiB", "choose fewer targets, regions or permutations"
        raise MethodError(explain("permutations", seen, allowed, remedy))


def permutes_responses(problem: Problem) -> bool:
    """Return whether measured responses take part, and not the model's own predictions in their place.

    A model's predictions go with its own maps by construction, so that chance is no alternative to be ruled out.
    """
    return not isinstance(problem.source, PredictionSource)


@dataclass(frozen=True)
class SumsState:
    """Mergeable sums over samples.

    Attributes
    ----------
    moments : Moments
        Scalar: the sum of a sample's map minus its prediction; map: the sums over regions.
    permuted : array (permutation, target, roi + 1)
        Sum over samples of the centred permuted response times each region's sum, then times that scalar.
    """

    moments: Moments
    permuted: Array

    def merge(self, other: SumsState) -> SumsState:
        """Combine with the sums over other samples."""
        return SumsState(self.moments.merge(other.moments), self.permuted + other.permuted)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as named arrays."""
        return {**join_parts(moments=self.moments), "permuted": self.permuted}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> SumsState:
        """Rebuild a state from :meth:`to_arrays`."""
        return cls(Moments.from_arrays(split_parts(arrays)["moments"]), arrays["permuted"])


@dataclass(frozen=True)
class RegionSums:
    """Gathers the sums over regions of samples' maps with the permuted responses.

    Attributes
    ----------
    problem : Problem
        The attribution to be made.
    request : NullRequest
        What is asked for.
    """

    problem: Problem
    request: NullRequest

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what every process makes for itself."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def _centred(self) -> Array:
        responses = np.asarray(self.problem.source.read_responses(np.arange(self.problem.n_samples)), dtype=np.float64)
        return np.asarray(responses - responses.mean(axis=0))

    @cached_property
    def _permuted(self) -> Rows:
        exchange, seed = self.request.exchange, self.problem.seed
        return np.stack([exchange.permutation(seed, i) for i in range(self.request.permutations)])

    @property
    def key(self) -> str:
        """Tells states of different nulls apart."""
        request = self.request
        total = hashlib.sha256(repr((request.permutations, request.exchange.key, self.problem.seed)).encode())
        total.update(np.ascontiguousarray(request.indicator).tobytes())
        for rows in request.exchange.classes:
            total.update(repr(rows.shape).encode() + rows.tobytes())
        return total.hexdigest()[:12]

    def state(self, rows: Rows, sums: Array, residual: Array) -> SumsState:
        """Return the state of some samples.

        Parameters
        ----------
        rows : array of int (row,)
            Numbers of the samples.
        sums : array (row, target, roi)
            Sums over regions of each sample's map.
        residual : array (row, target)
            Sum of each sample's map minus its prediction.

        Returns
        -------
        SumsState
        """
        n_targets, n_rois = sums.shape[1:]
        permuted = np.zeros((self.request.permutations, n_targets, n_rois + 1))
        if self.request.permutations:
            who, both = self._permuted[:, rows], np.concatenate([sums, residual[:, :, None]], axis=2)
            for k in range(n_targets):
                permuted[:, k] = self._centred[:, k][who] @ both[:, k]
        return SumsState(Moments.of(residual[:, :, None], sums), permuted)

    def finish(self, state: SumsState, scale: Array, spread: Array, shares: Array | None = None) -> NullMap:
        """Turn the state into the null.

        Parameters
        ----------
        state : SumsState
            Of all samples.
        scale : array (target,)
            What covariances with the response are multiplied by.
        spread : array (target,)
            Standard deviation of the responses.
        shares : array (target, roi), optional
            How much of the residual each region takes up, where maps are closed.

        Returns
        -------
        NullMap
        """
        n_rois = len(self.request.indicator)
        taken = np.zeros((len(scale), n_rois)) if shares is None else shares
        value = state.permuted[..., :n_rois] - taken * state.permuted[..., n_rois:]
        factor = scale[:, None] / self.problem.n_samples
        if not self.request.single:
            return NullMap(factor * value)
        pooled = state.moments.pooled()
        variance = pooled.map_variance()[0] - 2 * taken * pooled.covariance(0)[0]
        variance = np.maximum(variance + taken**2 * pooled.scalar_covariance(0, 0)[0][:, None], 0.0)
        deviation = (scale * spread)[:, None] * np.sqrt(variance) * permutation_spread(self.problem.n_samples)
        return NullMap(factor * value, deviation=deviation)


# --- on the way of an attribution -----------------------------------------------------------------------------------


class _Collector:
    """Keeps the sums over regions of the maps that a unit makes."""

    def __init__(self, regions: Array, rows: Rows, n_targets: int) -> None:
        self._first, self._regions = int(rows[0]), regions.T
        self.sums = np.zeros((len(rows), n_targets, len(regions) - 1))
        self.residual = np.zeros((len(rows), n_targets))

    def __call__(self, rows: Rows, maps: Array, predictions: Array) -> None:
        """Take maps (row, target or 1, cell) and predictions (row, target)."""
        here, sums = rows - self._first, maps[..., : len(self._regions)] @ self._regions
        self.sums[here] = sums[..., :-1]
        self.residual[here] = sums[..., -1] - predictions


@dataclass(frozen=True)
class WithSums:
    """The state of an attribution, and beside it that of its null.

    Attributes
    ----------
    main : object
        State of the attribution.
    sums : SumsState
        State of the null.
    """

    kind: ClassVar[Any] = Moments

    main: Any
    sums: SumsState

    def merge(self, other: WithSums) -> WithSums:
        """Combine with the states of other samples."""
        return type(self)(self.main.merge(other.main), self.sums.merge(other.sums))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the states as named arrays."""
        return join_parts(main=self.main, sums=self.sums)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> WithSums:
        """Rebuild the states from :meth:`to_arrays`."""
        parts = split_parts(arrays)
        return cls(cls.kind.from_arrays(parts["main"]), SumsState.from_arrays(parts["sums"]))


@dataclass(frozen=True)
class _WatchedUnit:
    """Computes a unit of an attribution and gathers the sums over regions on its way."""

    gatherer: RegionSums
    regions: Array
    n_targets: int
    unit: Callable[..., Any]
    kind: type[WithSums]

    def __call__(self, unit: int) -> WithSums:
        rows = np.arange(*self.gatherer.problem.block_bounds()[unit])
        collector = _Collector(self.regions, rows, self.n_targets)
        main = self.unit(unit, watch=collector)
        return self.kind(main, self.gatherer.state(rows, collector.sums, collector.residual))


@dataclass(frozen=True)
class _Watched:
    """An attribution whose units gather sums over regions on their way."""

    inner: DatasetAttribution
    gatherer: RegionSums
    regions: Array
    n_targets: int
    kind: type[WithSums]

    def plan(self, state: WithSums | None) -> Work | None:
        work = self.inner.plan(None if state is None else state.main)
        if work is None:
            return None
        unit = _WatchedUnit(self.gatherer, self.regions, self.n_targets, work.unit, self.kind)
        return replace(work, unit=unit, kind=self.kind, label=f"{work.label}-{self.gatherer.key}")

    def precision(self, state: WithSums) -> float | None:
        return self.inner.precision(state.main)

    def finish(self, state: WithSums | None) -> Outcome:
        return self.inner.finish(None if state is None else state.main)


@dataclass(frozen=True)
class WatchedNull:
    """The null of an attribution that makes a map a sample: gathered on the way, without a further pass.

    Attributes
    ----------
    inner : DatasetAttribution
        The attribution. Each unit of its work is a design block; it takes the keyword ``watch``, a callable that is
        handed the numbers of samples (row,), their maps (row, target, cell) and predictions (row, target).
    gatherer : RegionSums
        Gathers the sums.
    scores : Scores
        Of the attribution.
    kind : type
        Class of the states: how those of the attribution are kept in files.
    shares : callable, optional
        State of the attribution -> what each region takes up of the residual, or None; where maps are closed.
    regions : array (roi + 1, cell), optional
        How the sums over regions, and then over everything, are made of the first cells of the maps handed over;
        default: cells are components.
    """

    inner: DatasetAttribution
    gatherer: RegionSums
    scores: Scores
    kind: type[WithSums] = WithSums
    shares: Callable[[Any], Array | None] | None = None
    regions: Array | None = None

    def __post_init__(self) -> None:
        request = self.gatherer.request
        check_null_size(request.permutations, len(self.scores.scale), len(request.indicator))

    @property
    def attribution(self) -> DatasetAttribution:
        """The attribution, watched."""
        regions = self.regions
        if regions is None:
            indicator = self.gatherer.request.indicator
            regions = np.concatenate([indicator, np.ones((1, indicator.shape[1]))])
        return _Watched(self.inner, self.gatherer, regions, len(self.scores.scale), self.kind)

    def work(self) -> Work | None:
        """Return None: all is done on the way."""
        return None

    def finish(self, state: WithSums, extra: None) -> NullMap:
        """Turn the gathered sums into the null."""
        spread = np.sqrt(self.scores.pooled.scalar_covariance(0, 0)[0])
        shares = None if self.shares is None else self.shares(state.main)
        return self.gatherer.finish(state.sums, self.scores.scale, spread, shares)


# --- of the inputs alone --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InputNull:
    """The null of a map that is a weighted covariance of inputs and responses: one pass over the inputs.

    Attributes
    ----------
    gatherer : RegionSums
        Gathers the sums.
    weights : array (target or 1, component)
        A sample's map is its input times these.
    centre : array (component,)
        Taken from the inputs first, so that nothing cancels.
    scale, spread : array (target,)
        See :meth:`RegionSums.finish`.
    """

    gatherer: RegionSums
    weights: Array
    centre: Array
    scale: Array
    spread: Array

    def __post_init__(self) -> None:
        request = self.gatherer.request
        check_null_size(request.permutations, len(self.scale), len(request.indicator))

    @property
    def attribution(self) -> None:
        """None: the attribution is left as it is."""
        return

    def work(self) -> Work:
        """Return one pass over the samples."""
        n_units = len(self.gatherer.problem.block_bounds())
        return Work(n_units, self.unit, SumsState, f"null-{self.gatherer.key}")

    def unit(self, unit: int) -> SumsState:
        """Compute the sums of one design block."""
        problem = self.gatherer.problem
        rows = np.arange(*problem.block_bounds()[unit])
        inputs = flatten(problem.load(rows)[0]).double().cpu().numpy() - self.centre
        sums = np.empty((len(rows), len(self.scale), len(self.gatherer.request.indicator)))
        for r, region in enumerate(self.gatherer.request.indicator):
            inside = np.flatnonzero(region)
            sums[..., r] = inputs[:, inside] @ (self.weights[:, inside] * region[inside]).T
        return self.gatherer.state(rows, sums, np.zeros(sums.shape[:2]))

    def finish(self, state: Any, extra: SumsState) -> NullMap:
        """Turn the sums into the null."""
        return self.gatherer.finish(extra, self.scale, self.spread)
