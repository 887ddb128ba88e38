"""Integrated Gradient Correlation of regions under permuted responses, in one pass for all permutations.

What a pair of samples says about the model, the sum over a region of gradient times difference, does not depend on the
responses. So one gradient serves every permutation: for P permutations, n pairs and R regions the responses enter as a
product (P, n) by (n, R). The control variate and the closure to the permuted score are those of the pairs estimator.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.correlation.design import PairDesign
from igc.attribution.gradients import flatten, shift, vector_jacobian
from igc.attribution.permuted import NullMap
from igc.attribution.problem import Problem
from igc.attribution.protocols import Work
from igc.attribution.region_sums import check_null_size
from igc.attribution.scores import Scores
from igc.stats.exchange import Exchange
from igc.stats.moments import Array

__all__ = ["NullState", "RegionNull"]

REPLICATES = 4
"""At least so many independent designs, whose spread tells the noise of the null's own pairs."""


@dataclass(frozen=True)
class NullState:
    """Mergeable sums; regions are followed by a column for the whole map.

    Attributes
    ----------
    weight : array (replicate,)
        Weight of the pairs.
    pairs : array (replicate, permutation, target, roi + 1)
        Weighted sum of half the difference of the responses times the pair's sum over the region.
    cross : array (permutation, target, roi + 1)
        Weighted sum of a pair's contribution to a region times its contribution to the whole map.
    samples : array (permutation, target, roi + 2)
        Sum of the centred response times the linear part of each region, of the whole map, and times the prediction.
    evaluations : array (1,)
        Gradient points used.
    """

    weight: Array
    pairs: Array
    cross: Array
    samples: Array
    evaluations: npt.NDArray[np.int64]

    def merge(self, other: NullState) -> NullState:
        """Combine with the sums over other pairs or samples."""
        return NullState(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as named arrays."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> NullState:
        """Rebuild a state from :meth:`to_arrays`."""
        return cls(**{f.name: arrays[f.name] for f in fields(cls)})


@dataclass(frozen=True)
class RegionNull:
    """The permutation null of region sums of the pairs estimator.

    Attributes
    ----------
    problem : Problem
        The attribution to be made.
    read_responses : callable
        Returns the responses (row, target) of some samples without their inputs.
    scores : Scores
        Of the responses as they are.
    pilot : array (target, component)
        Gradient of the control variate.
    indicator : array (roi, component)
        The regions.
    exchange : Exchange
        Units to permute.
    permutations : int
        How many.
    points : float
        Gradient points a sample.
    """

    problem: Problem
    read_responses: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]
    scores: Scores
    pilot: Array
    indicator: Array
    exchange: Exchange
    permutations: int
    points: float = 1.0

    def __post_init__(self) -> None:
        n_targets, n_rois = len(self.scores.scale), len(self.indicator)
        check_null_size(self.permutations, n_targets, n_rois, REPLICATES + 2)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what every process makes for itself."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def design(self) -> PairDesign:
        """The pairs."""
        replicates = max(REPLICATES, math.ceil(self.points - 1e-9))
        bounds = tuple(self.problem.block_bounds())
        return PairDesign(bounds, self.problem.seed, 0, replicates, self.points / replicates, purpose="null pairs")

    @cached_property
    def _permuted(self) -> npt.NDArray[np.int64]:
        draws = [self.exchange.permutation(self.problem.seed, i) for i in range(self.permutations)]
        return np.stack(draws)

    @cached_property
    def _responses(self) -> Array:
        rows = np.arange(self.problem.n_samples)
        return np.asarray(self.read_responses(rows), dtype=np.float64)

    @cached_property
    def _regions(self) -> Array:
        """Regions and the whole map, (component, roi + 1)."""
        return np.concatenate([self.indicator, np.ones((1, self.indicator.shape[1]))]).T

    @property
    def attribution(self) -> None:
        """None: the attribution is left as it is."""
        return

    def work(self) -> Work:
        """Return the work: a pass over the samples, then over the pairs."""
        text = repr((self.permutations, self.points, self.exchange.key, self.problem.seed))
        key = hashlib.sha256(text.encode() + np.ascontiguousarray(self.indicator).tobytes())
        for rows in self.exchange.classes:
            key.update(repr(rows.shape).encode() + rows.tobytes())
        n_units = len(self.problem.block_bounds()) + self.design.n_units
        return Work(n_units, self.unit, NullState, f"null-{key.hexdigest()[:12]}")

    def unit(self, index: int) -> NullState:
        """Compute the sums of one block of samples or one unit of pairs."""
        n_blocks = len(self.problem.block_bounds())
        return self._samples(index) if index < n_blocks else self._pairs(index - n_blocks)

    def _zeros(self) -> NullState:
        p, k, r = self.permutations, len(self.scores.scale), len(self.indicator)
        j = self.design.n_replicates
        return NullState(
            np.zeros(j), np.zeros((j, p, k, r + 1)), np.zeros((p, k, r + 1)), np.zeros((p, k, r + 2)), np.zeros(1, int)
        )

    def _samples(self, block: int) -> NullState:
        """Covariance of permuted responses with the linear part of each region and with the prediction."""
        start, stop = self.problem.block_bounds()[block]
        rows = np.arange(start, stop)
        inputs, _ = self.problem.load(rows)
        centred, mean = flatten(inputs).double().cpu().numpy(), self.scores.pooled.mean_map[0]
        if mean.shape[-1]:  # kept where it fits into memory; it serves against rounding alone
            centred = centred - mean
        predictions = self.problem.predict(inputs) - self.scores.pooled.mean_scalars[0, :, 1]
        responses = self._responses - self._responses.mean(axis=0)
        state, who = self._zeros(), self._permuted[:, rows]
        for k in range(len(self.pilot)):
            linear = centred @ (self.pilot[k][:, None] * self._regions)
            state.samples[:, k] = responses[:, k][who] @ np.column_stack([linear, predictions[:, k]])
        return state

    def _pairs(self, index: int) -> NullState:
        problem, unit, device = self.problem, self.design.unit(index), self.problem.device
        rows, back = np.unique(np.concatenate([unit.left, unit.right]), return_inverse=True)
        inputs = problem.load(rows)[0]
        index_of = torch.as_tensor(back.reshape(2, -1), device=device)
        position = torch.as_tensor(unit.position, device=device, dtype=problem.dtype)
        regions = torch.as_tensor(self._regions, device=device, dtype=problem.dtype)
        pilot = torch.as_tensor(self.pilot, device=device, dtype=problem.dtype)
        responses = torch.as_tensor(self._responses, device=device)
        who = torch.as_tensor(self._permuted, device=device)
        p, k, r = self.permutations, len(self.pilot), regions.shape[1]
        pairs = torch.zeros((p, k, r), dtype=torch.float64, device=device)
        cross = torch.zeros_like(pairs)
        members = torch.as_tensor(np.stack([unit.left, unit.right]), device=device)
        for batch in problem.batches(len(unit.left)):
            stop, start = (tuple(x[index_of[side, batch]] for x in inputs) for side in (0, 1))
            points = shift(start, stop, position[batch])
            with torch.enable_grad():
                outputs = problem.outputs(points)
            difference = flatten(stop) - flatten(start)
            left, right = who[:, members[0, batch]], who[:, members[1, batch]]
            for target in range(k):
                gradient = vector_jacobian(
                    outputs[:, target], torch.ones_like(outputs[:, target]), points, keep=target < k - 1
                )
                sums = (gradient.sub_(pilot[target]).mul_(difference) @ regions).double()
                half = 0.5 * (responses[left, target] - responses[right, target])
                _accumulate(pairs[:, target], cross[:, target], half, sums)
        state = self._zeros()
        state.weight[unit.replicate] = unit.weight * len(unit.left)
        state.pairs[unit.replicate] = unit.weight * pairs.cpu().numpy()
        state.cross[:] = unit.weight * cross.cpu().numpy()
        state.evaluations[0] = len(unit.left)
        return state

    def finish(self, state: Any, extra: NullState) -> NullMap:
        """Add the control variate's part and close every permuted map to its permuted score."""
        n = self.problem.n_samples
        scale = self.scores.scale[:, None]
        factor = scale * (n - 1) / n
        linear, score = scale * extra.samples[..., :-1] / n, scale[:, 0] * extra.samples[..., -1] / n
        total = extra.weight.sum()
        mean = extra.pairs.sum(axis=0) / total
        covariance = extra.cross / total - mean * mean[..., -1:]
        variance = covariance[..., -1:]
        usable = variance > 1e-12 * np.abs(covariance).sum(axis=-1, keepdims=True)
        # a linear model has no gap to share out
        shares = np.divide(covariance, variance, out=np.zeros_like(covariance), where=usable)[..., :-1]

        def closed(part: Array) -> Array:
            raw = factor * part + linear
            return np.asarray(raw[..., :-1] - shares * (raw[..., -1] - score)[..., None])

        value = closed(mean)
        weights = extra.weight / total
        replicates = [closed(part / w) for part, w in zip(extra.pairs, extra.weight, strict=True)]
        spread = sum(w * ((part - value) ** 2).mean(axis=0) for w, part in zip(weights, replicates, strict=True))
        noise = np.sqrt(np.asarray(spread) / (len(weights) - 1))
        return NullMap(value, noise, int(extra.evaluations[0]))


def _accumulate(pairs: Tensor, cross: Tensor, half: Tensor, sums: Tensor) -> None:
    """Add (permutation, pair) by (pair, region) products for one target."""
    pairs += half @ sums
    cross += half.square() @ (sums * sums[:, -1:])
