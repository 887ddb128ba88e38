"""What the parts of Integrated Gradient Correlation are estimated from: effects between baselines and inputs.

For an input with a baseline, what region R does alone is s_R = v(R) - v() - p.D_R, where p is a pilot estimate of the
mean gradient (the linear control variate: p.cov(x_R, y) is added back exactly), and what it does together with others
is i_R = D_R.(f'(x_m + t D) - f'(x_m + t D_R)): the slope on the way of all regions minus that on the way of the region
alone, 0 at every point where nothing joins the region to others. Their covariances with the response are the parts;
the first-order part is the mean gradient times the covariance of input and response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.drawn import BaselinePool
from igc.attribution.gradients import Inputs, flatten, output_gradients, shift
from igc.attribution.paths import gauss_legendre
from igc.attribution.problem import Problem
from igc.attribution.taylor.points import couples, region_masks, subset_slopes, subset_values
from igc.stats.moments import Array, Moments
from igc.stats.nested import join_parts, split_parts

__all__ = ["Design", "TaylorState", "gradients_at", "joint_slopes", "solo_slopes"]


MOST_SPARED = 8
"""Largest number of samples of which one has slopes on the way of each region, which cost most."""


@dataclass(frozen=True)
class TaylorState:
    """Mergeable moments of gradients and of drawn effects.

    Effects are those of a region alone (region), of it together with others in two ways (region each: ``coupled`` and
    ``free``, see :mod:`igc.attribution.taylor.draws`), and with ``Design.matrix`` of every region with all others
    (region) and of every pair of regions. Scalars are the response, the prediction and,
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
        return join_parts(**{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> TaylorState:
        """Rebuild a state from :meth:`to_arrays`."""
        return cls(**{name: Moments.from_arrays(part) for name, part in split_parts(arrays).items()})


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
    def every(self) -> int:
        """One of so many samples has slopes on the way of each region in a draw."""
        return min(MOST_SPARED, self.draws)

    @property
    def local(self) -> float:
        """Share of the control variate of a region alone that is the gradient at the drawn baseline."""
        return 0.0 if self.pool.shared is not None else 0.5

    @property
    def evaluations(self) -> int:
        """Passes through the model for one sample: outputs at subsets, slopes, and gradients at both ends."""
        n, shared = self.n_regions, self.pool.shared
        values = 1 + n + ((1 + n + n * (n - 1) // 2) if self.matrix else 0)
        if shared is not None:
            return len(shared[0]) * (values + self.draws * 2 * n)
        return self.draws * (values + 1 + -(-n // self.every)) + 2

    def shared_effects(self, problem: Problem, inputs: Inputs) -> Tensor:
        """Return the effects of a batch against all shared baselines, (batch, target, effect)."""
        masks, shared = region_masks(self.labels, inputs[0].device), self.pool.shared or ()
        rule = gauss_legendre(self.draws)
        nodes = [(np.full(len(inputs[0]), t), float(w)) for t, w in zip(rule.nodes, rule.weights, strict=True)]
        total = torch.zeros(())
        for b in range(len(shared[0])):
            start = tuple(x[b].expand_as(y) for x, y in zip(shared, inputs, strict=True))
            total = total.to(masks.device) + self._between(problem, start, inputs, masks, nodes)
        return total / len(shared[0])

    def _between(
        self, problem: Problem, start: Inputs, stop: Inputs, masks: Tensor, nodes: Sequence[tuple[Array, float]]
    ) -> Tensor:
        """Return the effects between baselines and inputs; slopes are taken at weighted points of the path."""
        solo, further = self.values(problem, start, stop, masks)
        together = torch.zeros_like(solo)
        for place, weight in nodes:
            position = torch.as_tensor(place, dtype=stop[0].dtype, device=stop[0].device)
            slopes = joint_slopes(problem, start, stop, masks, position)
            together += weight * (slopes - solo_slopes(problem, start, stop, masks, position))
        alone = solo - self.control(flatten(stop) - flatten(start), masks)
        return torch.cat([alone, together, together, *further], dim=2)

    def values(self, problem: Problem, start: Inputs, stop: Inputs, masks: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return changes by each region alone, and effects of pairs and with all others, from outputs at subsets."""
        none, n = torch.zeros_like(masks[:1]), len(masks)
        subsets = [none, masks]
        left, right = couples(n)
        if self.matrix:
            subsets += [~none, ~masks, masks[left] | masks[right]]
        values = subset_values(problem.outputs, start, stop, torch.cat(subsets), problem.batch_size)
        values = values.permute(1, 2, 0)
        low = values[..., :1]
        solo = values[..., 1 : 1 + n] - low
        if not self.matrix:
            return solo, []
        high, without, joined = values[..., 1 + n, None], values[..., 2 + n : 2 + 2 * n], values[..., 2 + 2 * n :]
        return solo, [high - without - solo, joined - low - solo[..., left] - solo[..., right]]

    def control(self, difference: Tensor, masks: Tensor) -> Tensor:
        """Return what a linear model with the pilot gradient gives each region, (batch, target, region)."""
        pilot = torch.as_tensor(self.pilot, dtype=difference.dtype, device=difference.device)
        return (difference[:, None] * pilot) @ masks.to(difference.dtype).T


def joint_slopes(problem: Problem, start: Inputs, stop: Inputs, masks: Tensor, position: Tensor) -> Tensor:
    """Return slopes along each region on the way on which all move, (batch, target, region)."""
    outputs = problem.outputs
    points = shift(start, stop, position)
    with torch.enable_grad():
        n_targets = outputs(tuple(x[:1] for x in points)).shape[1]
    if n_targets > len(masks):
        every = torch.ones_like(masks)
        return subset_slopes(outputs, start, stop, every, masks, position, problem.batch_size).permute(1, 2, 0)
    together = torch.stack(output_gradients(outputs, points), dim=1) * (flatten(stop) - flatten(start))[:, None]
    return together @ masks.to(together.dtype).T


def solo_slopes(problem: Problem, start: Inputs, stop: Inputs, masks: Tensor, position: Tensor) -> Tensor:
    """Return slopes along each region on the way on which it moves alone, (batch, target, region)."""
    found = subset_slopes(problem.outputs, start, stop, masks, masks, position, problem.batch_size)
    return found.permute(1, 2, 0)


def gradients_at(problem: Problem, inputs: Inputs) -> Array:
    """Return the gradient of every output at some samples, (sample, target, component)."""
    points = tuple(x.detach().clone().requires_grad_() for x in inputs)
    return torch.stack(output_gradients(problem.outputs, points), dim=1).detach().double().cpu().numpy()
