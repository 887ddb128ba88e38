"""One pass over the samples for the parts of Integrated Gradient Correlation: sums of effects between random pairs.

For a sample n with a baseline m, what region R does alone is s_R = v(R) - v() - p.D_R, where p is a pilot estimate of
the mean gradient (the linear control variate: p.cov(x_R, y) is added back exactly), and what it does together with
others is i_R = D_R.(f'(x_m + t D) - f'(x_m + t D_R)) at a random t: the slope on the way of all regions minus that on
the way of the region alone, 0 at every point where nothing joins the region to others. Their covariances with the
response are the parts; the first-order part is the mean gradient times the covariance of input and response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.drawn import BaselinePool, uniform_draws
from igc.attribution.gradients import Inputs, flatten, output_gradients, shift
from igc.attribution.paths import gauss_legendre
from igc.attribution.problem import Problem, Rows
from igc.attribution.taylor.points import couples, region_masks, subset_slopes, subset_values
from igc.errors import DataError, explain
from igc.stats.moments import Array, Moments

__all__ = ["Design", "TaylorState", "gradients_at", "taylor_unit"]


@dataclass(frozen=True)
class TaylorState:
    """Mergeable moments of gradients and of drawn effects.

    Effects are those of a region alone (region), of it together with others (region), and with ``Design.matrix`` of
    every region with all others (region) and of every pair of regions. Scalars are the response, the prediction and,
    for effects, the residual of their sum.

    Attributes
    ----------
    gradients : Moments
        Of the gradient at each sample, by group; without observations where baselines are shared.
    maps : Moments
        Of each sample's mean effects over draws, by group.
    replicates : Moments
        Of single draws, by their number.
    """

    gradients: Moments
    maps: Moments
    replicates: Moments

    def merge(self, other: TaylorState) -> TaylorState:
        """Combine with the moments of other samples."""
        return TaylorState(*(getattr(self, f.name).merge(getattr(other, f.name)) for f in fields(self)))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the state as named arrays."""
        return {
            f"{f.name}.{name}": value for f in fields(self) for name, value in getattr(self, f.name).to_arrays().items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> TaylorState:
        """Rebuild a state from :meth:`to_arrays`."""
        parts: dict[str, dict[str, npt.NDArray[np.generic]]] = {f.name: {} for f in fields(cls)}
        for key, value in arrays.items():
            part, name = key.split(".")
            parts[part][name] = value
        return cls(**{name: Moments.from_arrays(part) for name, part in parts.items()})


@dataclass(frozen=True)
class Design:
    """What is drawn and formed.

    Attributes
    ----------
    pool : BaselinePool
        Where baselines come from.
    labels : array of int (component,)
        Region of each component, from 0.
    pilot : array (target, component)
        Gradient of the control variate.
    draws : int
        Draws a sample from the data, or nodes of the path for each shared baseline.
    matrix : bool
        Whether to form the effects of pairs, and of each region with all others.
    seed : int
        Of the draws.
    """

    pool: BaselinePool
    labels: npt.NDArray[np.int64]
    pilot: Array
    draws: int
    matrix: bool
    seed: int

    @property
    def replicates(self) -> int:
        """Number of independent estimates: with shared baselines nothing is drawn, and one is all there is."""
        return 1 if self.pool.shared is not None else self.draws

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return int(self.labels.max()) + 1

    @property
    def evaluations(self) -> int:
        """Passes through the model for one sample: outputs at subsets, slopes, and the gradient at the sample."""
        n, shared = self.n_regions, self.pool.shared
        values = 1 + n + ((1 + n + n * (n - 1) // 2) if self.matrix else 0)
        if shared is not None:
            return len(shared[0]) * (values + self.draws * 2 * n)
        return self.draws * (values + 2 * n) + 1

    def effects(self, problem: Problem, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the effects of a batch, (batch, target, effect)."""
        masks = region_masks(self.labels, inputs[0].device)
        if self.pool.shared is None:
            uniform = uniform_draws(self.seed, "taylor", rows, index, 2)
            return self._between(problem, self.pool.draw(uniform[:, 0]), inputs, masks, ((uniform[:, 1], 1.0),))
        rule = gauss_legendre(self.draws)
        nodes = [(np.full(len(rows), t), float(w)) for t, w in zip(rule.nodes, rule.weights, strict=True)]
        total = torch.zeros(())
        for b in range(len(self.pool.shared[0])):
            start = tuple(x[b].expand_as(y) for x, y in zip(self.pool.shared, inputs, strict=True))
            total = total.to(masks.device) + self._between(problem, start, inputs, masks, nodes)
        return total / len(self.pool.shared[0])

    def _between(
        self, problem: Problem, start: Inputs, stop: Inputs, masks: Tensor, nodes: Sequence[tuple[Array, float]]
    ) -> Tensor:
        """Return the effects between baselines and inputs; slopes are taken at weighted points of the path."""
        alone, further = self._values(problem, start, stop, masks)
        together = torch.zeros_like(alone)
        for place, weight in nodes:
            position = torch.as_tensor(place, dtype=stop[0].dtype, device=stop[0].device)
            together += weight * self._slopes(problem, start, stop, masks, position)
        return torch.cat([alone, together, *further], dim=2)

    def _values(self, problem: Problem, start: Inputs, stop: Inputs, masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return what regions do alone, and in pairs and with all others, from outputs at subsets."""
        none, n = torch.zeros_like(masks[:1]), len(masks)
        subsets = [none, masks]
        left, right = couples(n)
        if self.matrix:
            subsets += [~none, ~masks, masks[left] | masks[right]]
        values = subset_values(problem.outputs, start, stop, torch.cat(subsets), problem.batch_size)
        values = values.permute(1, 2, 0)
        low = values[..., :1]
        solo = values[..., 1 : 1 + n] - low
        alone = solo - self._control(flatten(stop) - flatten(start), masks)
        if not self.matrix:
            return alone, []
        high, without, joined = values[..., 1 + n, None], values[..., 2 + n : 2 + 2 * n], values[..., 2 + 2 * n :]
        return alone, [high - without - solo, joined - low - solo[..., left] - solo[..., right]]

    def _control(self, difference: Tensor, masks: Tensor) -> Tensor:
        pilot = torch.as_tensor(self.pilot, dtype=difference.dtype, device=difference.device)
        return (difference[:, None] * pilot) @ masks.to(difference.dtype).T

    def _slopes(self, problem: Problem, start: Inputs, stop: Inputs, masks: Tensor, position: Tensor) -> Tensor:
        """Return slopes on the way of all minus slopes on the way of each region alone, (batch, target, region)."""
        outputs, size = problem.outputs, problem.batch_size
        alone = subset_slopes(outputs, start, stop, masks, masks, position, size).permute(1, 2, 0)
        if alone.shape[1] > len(masks):
            every = torch.ones_like(masks)
            return subset_slopes(outputs, start, stop, every, masks, position, size).permute(1, 2, 0) - alone
        gradients = torch.stack(output_gradients(outputs, shift(start, stop, position)), dim=1)
        together = gradients * (flatten(stop) - flatten(start))[:, None]
        return together @ masks.to(together.dtype).T - alone


def gradients_at(problem: Problem, inputs: Inputs) -> Array:
    """Return the gradient of every output at some samples, (sample, target, component)."""
    points = tuple(x.detach().clone().requires_grad_() for x in inputs)
    return torch.stack(output_gradients(problem.outputs, points), dim=1).detach().double().cpu().numpy()


def taylor_unit(problem: Problem, design: Design, resolved: bool, unit: int) -> TaylorState:
    """Compute the moments over one design block.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    design : Design
        What is drawn.
    resolved : bool
        Whether to keep the groups apart.
    unit : int
        The design block.

    Returns
    -------
    TaylorState
    """
    rows = np.arange(*problem.block_bounds()[unit])
    inputs, responses = problem.load(rows)
    predictions = problem.predict(inputs)
    total: TaylorState | None = None
    for batch in problem.batches(len(rows)):
        here = tuple(x[batch] for x in inputs)
        state = _batch_state(problem, design, resolved, here, rows[batch], responses[batch], predictions[batch])
        total = state if total is None else total.merge(state)
    if total is None:
        raise DataError(explain("samples", "none", "at least one", "give samples"))
    return total


def _batch_state(
    problem: Problem, design: Design, resolved: bool, inputs: Inputs, rows: Rows, responses: Array, predictions: Array
) -> TaylorState:
    flat = flatten(inputs).double().cpu().numpy()
    rest = predictions - flat @ design.pilot.T
    groups = problem.groups[rows] if resolved else None
    mean, parts = np.zeros(()), []
    for index in range(design.replicates):
        effects = design.effects(problem, inputs, rows, index).detach().double().cpu().numpy()
        parts.append(_moments(responses, predictions, rest, effects, design, np.full(len(rows), index)))
        mean = mean + effects / design.replicates
    maps = _moments(responses, predictions, rest, mean, design, groups)
    gradients = Moments.empty(responses.shape[1], responses.shape[1], 2, flat.shape[1])
    if design.pool.shared is None:
        scalars = np.stack([responses, predictions], axis=2)
        gradients = Moments.of(scalars, gradients_at(problem, inputs), groups)
    return TaylorState(gradients, maps, Moments.join(parts))


def _moments(
    responses: Array, predictions: Array, rest: Array, effects: Array, design: Design, blocks: npt.ArrayLike | None
) -> Moments:
    """Return moments with the residual: the sum of the effects minus the output that is not in the control variate."""
    residual = effects[..., : 2 * design.n_regions].sum(axis=2) - rest
    return Moments.of(np.stack([responses, predictions, residual], axis=2), effects, blocks)
