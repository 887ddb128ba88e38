"""Integrated Gradients and gradient times input, per sample (arXiv 1703.01365)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients, shift
from igc.attribution.paths import Quadrature
from igc.attribution.problem import Rows

__all__ = ["GradientTimesInput", "IntegratedGradients"]


@dataclass(frozen=True)
class IntegratedGradients:
    """Integrated Gradients, averaged over shared baselines.

    Attributes
    ----------
    baselines : tuple of torch.Tensor (baseline, ...)
        Reference inputs.
    quadrature : Quadrature
        Nodes along the path.
    batch_size : int
        Points a forward pass.
    """

    baselines: Inputs
    quadrature: Quadrature
    batch_size: int

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * len(self.baselines[0]) * len(self.quadrature.nodes)

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target, component)."""
        return self.attribute_twice(outputs, inputs)[0]

    def attribute_twice(self, outputs: Outputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """Return the maps by the rule and by the coarser rule inside it, from the same points."""
        fine, coarse = [], []
        n = len(inputs[0])
        step = max(1, self.batch_size // max(n, 1))
        for b in range(len(self.baselines[0])):
            start = tuple(baseline[b].expand_as(x) for baseline, x in zip(self.baselines, inputs, strict=True))
            difference = flatten(inputs) - flatten(start)
            total: list[Tensor] = []
            for first in range(0, len(self.quadrature.nodes), step):
                part = self._nodes(outputs, start, inputs, slice(first, first + step))
                total = part if not total else [a + b for a, b in zip(total, part, strict=True)]
            fine.append(total[0] * difference[:, None])
            coarse.append(total[1] * difference[:, None])
        return torch.stack(fine).mean(dim=0), torch.stack(coarse).mean(dim=0)

    def _nodes(self, outputs: Outputs, start: Inputs, stop: Inputs, chosen: slice) -> list[Tensor]:
        """Return the weighted gradients of some nodes by both rules, (batch, target, component) each."""
        like = stop[0]
        nodes = torch.as_tensor(self.quadrature.nodes[chosen], dtype=like.dtype, device=like.device)
        n, t = len(like), len(nodes)
        points = shift(
            tuple(x.repeat(t, *([1] * (x.ndim - 1))) for x in start),
            tuple(x.repeat(t, *([1] * (x.ndim - 1))) for x in stop),
            nodes.repeat_interleave(n),
        )
        gradients = [g.reshape(t, n, -1) for g in output_gradients(outputs, points)]
        results = []
        for rule in (self.quadrature.weights, self.quadrature.coarse_weights):
            weights = torch.as_tensor(rule[chosen], dtype=like.dtype, device=like.device)
            results.append(torch.stack([torch.tensordot(weights, g, dims=1) for g in gradients], dim=1))
        return results


@dataclass(frozen=True)
class GradientTimesInput:
    """Gradient at the input times the input."""

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target, component)."""
        points = tuple(x.detach().clone().requires_grad_() for x in inputs)
        gradients = torch.stack(output_gradients(outputs, points), dim=1)
        return gradients * flatten(points).detach()[:, None]
