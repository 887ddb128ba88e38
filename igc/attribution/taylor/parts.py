"""What the parts of Integrated Gradient Correlation are estimated from: effects between baselines and inputs.

For an input with a baseline, what region R does alone is s_R = v(R) - v() - p.D_R, where p is a pilot estimate of the
mean gradient (the linear control variate: p.cov(x_R, y) is added back exactly), and what it does together with others
is i_R = D_R.(f'(x_m + t D) - f'(x_m + t D_R)): the slope on the way of all regions minus that on the way of the region
alone, 0 at every point where nothing joins the region to others. Their covariances with the response are the parts;
the first-order part is the mean gradient times the covariance of input and response. What is kept are *contributions*,
effects times the centred response, so that a part is a mean over all that was drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.drawn import BaselinePool
from igc.attribution.gradients import Inputs, flatten, output_gradients
from igc.attribution.paths import gauss_legendre
from igc.attribution.problem import Problem, Rows
from igc.attribution.taylor.moved import MovedOutputs
from igc.attribution.taylor.points import couples, joint_slopes, region_masks, subset_slopes
from igc.stats.moments import Array, Moments
from igc.stats.nested import join_parts, split_parts

__all__ = ["Design", "TaylorState", "gradients_at", "solo_slopes"]


@dataclass(frozen=True)
class TaylorState:
    """Mergeable moments of gradients and of contributions.

    Contributions are those of effects of a region alone (region), of it together with others in two ways (region each:
    ``coupled`` and ``free``, see :mod:`igc.attribution.taylor.draws`), and with ``Design.matrix`` of every region with
    all others (region) and of every pair of regions. Scalars are the response, the prediction and, for contributions,
    the residual of their sum.

    Attributes
    ----------
    gradients : Moments
        Of the gradient at each sample (component) and of its product with the centred input by region (region), by
        group; without observations where baselines are shared.
    maps : Moments
        Of each sample's mean contributions over draws, by group.
    replicates : Moments
        Of single draws, by their number.
    by_baseline : array (group, target, effect)
        Sum over the draws whose baseline lies in a group of the distance of their contributions to the mean over draws
        of the same sample; of no group where baselines are shared, or groups not kept apart.
    baseline_draws : array (group,)
        Number of these draws.
    """

    gradients: Moments
    maps: Moments
    replicates: Moments
    by_baseline: Array
    baseline_draws: Array

    def merge(self, other: TaylorState) -> TaylorState:
        """Combine with the moments of other samples."""
        return TaylorState(
            self.gradients.merge(other.gradients),
            self.maps.merge(other.maps),
            self.replicates.merge(other.replicates),
            self.by_baseline + other.by_baseline,
            self.baseline_draws + other.baseline_draws,
        )

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the state as named arrays."""
        moments = join_parts(gradients=self.gradients, maps=self.maps, replicates=self.replicates)
        return {**moments, "by_baseline": self.by_baseline, "baseline_draws": self.baseline_draws}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> TaylorState:
        """Rebuild a state from :meth:`to_arrays`."""
        parts = split_parts(arrays)
        return cls(
            Moments.from_arrays(parts["gradients"]),
            Moments.from_arrays(parts["maps"]),
            Moments.from_arrays(parts["replicates"]),
            np.asarray(arrays["by_baseline"], dtype=np.float64),
            np.asarray(arrays["baseline_draws"], dtype=np.float64),
        )


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
    centre : array (target,)
        Mean response.
    middle : array (component,)
        Mean input.
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
    centre: Array
    middle: Array
    draws: int
    matrix: bool
    seed: int

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return int(self.labels.max()) + 1

    @property
    def n_effects(self) -> int:
        """Number of effects: of a region alone, together with others in two ways, and those of the matrix."""
        n = self.n_regions
        return 3 * n + (n + n * (n - 1) // 2 if self.matrix else 0)

    @property
    def local(self) -> float:
        """Share of the control variate of a region alone that is the gradient at the drawn baseline."""
        return 0.0 if self.pool.shared is not None else 0.5

    @property
    def evaluations(self) -> int:
        """Passes through the model for one sample: outputs at subsets, slopes, and gradients at both ends.

        At most: outputs where a region of the input equals that of the baseline are not computed.
        """
        n, shared = self.n_regions, self.pool.shared
        values = n + ((n + n * (n - 1) // 2) if self.matrix else 0)
        if shared is not None:
            return len(shared[0]) * (values + self.draws * 2 * n)
        return self.draws * (values + 1) + 2

    def moved(self, problem: Problem, few: Inputs, rows: int) -> MovedOutputs:
        """Return what predicts inputs of which one region has moved, and with ``matrix`` further subsets of them."""
        masks, (left, right) = region_masks(self.labels, few[0].device), couples(self.n_regions)
        subsets = torch.cat([masks, ~masks, masks[left] | masks[right]]) if self.matrix else masks
        return MovedOutputs.of(problem.outputs, few, subsets, rows, problem.batch_size)

    def shared_effects(self, problem: Problem, moved: MovedOutputs, inputs: Inputs, at_inputs: Tensor) -> Tensor:
        """Return the effects of a batch against all shared baselines, (batch, target, effect)."""
        masks, shared = region_masks(self.labels, inputs[0].device), self.pool.shared or ()
        rule = gauss_legendre(self.draws)
        with torch.no_grad():
            known = problem.outputs(shared), at_inputs
        own, total = np.arange(len(inputs[0])), torch.zeros(())
        for b in range(len(shared[0])):
            solo, further = self.values(moved, (shared, inputs), (np.full_like(own, b), own), known)
            start = tuple(x[b].expand_as(y) for x, y in zip(shared, inputs, strict=True))
            together = torch.zeros_like(solo)
            for t, weight in zip(rule.nodes, rule.weights, strict=True):
                position = inputs[0].new_full((len(own),), float(t))
                slopes = joint_slopes(problem.outputs, start, inputs, masks, position, problem.batch_size)
                together += float(weight) * (slopes - solo_slopes(problem, start, inputs, masks, position))
            alone = solo - self.control(flatten(inputs) - flatten(start), masks)
            total = total.to(masks.device) + torch.cat([alone, together, together, *further], dim=2)
        return total / len(shared[0])

    def values(
        self, moved: MovedOutputs, ends: tuple[Inputs, Inputs], pairs: tuple[Rows, Rows], known: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Return changes by each region alone, and effects with all others and of pairs, (pair, target, effect).

        Parameters
        ----------
        moved : MovedOutputs
            From :meth:`moved`.
        ends : tuple of Inputs
            Baselines and samples.
        pairs : tuple of array of int (pair,)
            Which baseline meets which sample.
        known : tuple of torch.Tensor (baseline or sample, target)
            The outputs at both ends.
        """
        n, (left, right) = self.n_regions, couples(self.n_regions)
        found = moved.values(ends, pairs, known[0]).transpose(1, 2)
        low, high = (outputs[which][..., None] for outputs, which in zip(known, pairs, strict=True))
        solo = found[..., :n] - low
        if not self.matrix:
            return solo, []
        without, joined = found[..., n : 2 * n], found[..., 2 * n :]
        return solo, [high - without - solo, joined - low - solo[..., left] - solo[..., right]]

    def control(self, difference: Tensor, masks: Tensor) -> Tensor:
        """Return what a linear model with the pilot gradient gives each region, (batch, target, region)."""
        pilot = torch.as_tensor(self.pilot, dtype=difference.dtype, device=difference.device)
        return (difference[:, None] * pilot) @ masks.to(difference.dtype).T


def solo_slopes(problem: Problem, start: Inputs, stop: Inputs, masks: Tensor, position: Tensor) -> Tensor:
    """Return slopes along each region on the way on which it moves alone, (batch, target, region)."""
    found = subset_slopes(problem.outputs, start, stop, masks, masks, position, problem.batch_size)
    return found.permute(1, 2, 0)


def gradients_at(problem: Problem, inputs: Inputs) -> Array:
    """Return the gradient of every output at some samples, (sample, target, component)."""
    points = tuple(x.detach().clone().requires_grad_() for x in inputs)
    return torch.stack(output_gradients(problem.outputs, points), dim=1).detach().double().cpu().numpy()
