"""GradientSHAP: Expected Gradients of noisy copies of the sample (arXiv 1705.07874; the definition of captum)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from igc.attribution.drawn import MAX_REPLICATES, BaselinePool, uniform_draws
from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients, shift
from igc.attribution.problem import Rows
from igc.attribution.standard.noise import add_noise

__all__ = ["GradientShap"]


@dataclass(frozen=True)
class GradientShap:
    """Gradients at random points between random baselines and noisy copies of the sample, times their difference.

    captum's GradientShap draws batch by batch; here what is drawn for a sample follows from its number.

    Attributes
    ----------
    pool : BaselinePool
        Where baselines come from.
    scale : torch.Tensor (component,)
        Standard deviation of the noise.
    draws : int
        Baselines, each with one noisy copy and one point, a sample.
    seed : int
        Seed of the draws.
    """

    pool: BaselinePool
    scale: Tensor
    draws: int
    seed: int

    @property
    def replicates(self) -> int:
        """Number of independent estimates."""
        return min(self.draws, MAX_REPLICATES)

    @property
    def _draws_each(self) -> int:
        return -(-self.draws // self.replicates)

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * self.replicates * self._draws_each

    def replicate(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the maps of a batch, (batch, target, component)."""
        n = self._draws_each
        uniform = uniform_draws(self.seed, "gradient shap", rows, index, 2 * n)
        maps = []
        for j in range(n):
            stop = add_noise(inputs, self.scale, self.seed, "gradient shap noise", rows, index, j)
            start = self.pool.draw(uniform[:, 2 * j])
            where = torch.as_tensor(uniform[:, 2 * j + 1], dtype=stop[0].dtype, device=stop[0].device)
            gradients = torch.stack(output_gradients(outputs, shift(start, stop, where)), dim=1)
            maps.append(gradients.mul_((flatten(stop) - flatten(start))[:, None]))
        return torch.stack(maps).mean(dim=0)
