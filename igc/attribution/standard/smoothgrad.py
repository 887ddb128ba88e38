"""SmoothGrad: the gradient averaged over noisy copies of the sample (arXiv 1706.03825)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from igc.attribution.drawn import MAX_REPLICATES
from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients
from igc.attribution.problem import Rows
from igc.attribution.standard.noise import add_noise

__all__ = ["SmoothGrad"]


@dataclass(frozen=True)
class SmoothGrad:
    """Mean gradient at noisy copies of the sample, or mean gradient times noisy copy.

    captum's NoiseTunnel draws the noise batch by batch; here that of a sample follows from its number.

    Attributes
    ----------
    scale : torch.Tensor (component,)
        Standard deviation of the noise.
    copies : int
        Noisy copies a sample.
    seed : int
        Seed of the noise.
    times_input : bool
        Whether gradients are multiplied by the noisy copy.
    """

    scale: Tensor
    copies: int
    seed: int
    times_input: bool = False

    @property
    def replicates(self) -> int:
        """Number of independent estimates."""
        return min(self.copies, MAX_REPLICATES)

    @property
    def _copies_each(self) -> int:
        return -(-self.copies // self.replicates)

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * self.replicates * self._copies_each

    def replicate(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the maps of a batch, (batch, target, component)."""
        maps = [self._copy(outputs, inputs, rows, index, j) for j in range(self._copies_each)]
        return torch.stack(maps).mean(dim=0)

    def _copy(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int, number: int) -> Tensor:
        noisy = add_noise(inputs, self.scale, self.seed, "smoothgrad", rows, index, number)
        points = tuple(x.detach().clone().requires_grad_() for x in noisy)
        gradients = torch.stack(output_gradients(outputs, points), dim=1)
        return gradients * flatten(noisy)[:, None] if self.times_input else gradients
