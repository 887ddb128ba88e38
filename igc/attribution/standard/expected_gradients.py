"""Expected Gradients: Integrated Gradients with baseline and point drawn at random (arXiv 1906.10670)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from igc.attribution.drawn import MAX_REPLICATES, BaselinePool, uniform_draws
from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients, shift
from igc.attribution.problem import Rows

__all__ = ["ExpectedGradients"]


@dataclass(frozen=True)
class ExpectedGradients:
    """Gradients at random points between random baselines and the sample, times their difference.

    Attributes
    ----------
    pool : BaselinePool
        Where baselines come from.
    draws : int
        Baselines, each with one point, a sample.
    seed : int
        Seed of the draws.
    """

    pool: BaselinePool
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
        uniform = uniform_draws(self.seed, "expected gradients", rows, index, 2 * n)
        total = self._draw(outputs, inputs, self.pool.draw(uniform[:, 0]), uniform[:, 1])
        for j in range(1, n):
            total += self._draw(outputs, inputs, self.pool.draw(uniform[:, 2 * j]), uniform[:, 2 * j + 1])
        return total / n

    @staticmethod
    def _draw(outputs: Outputs, inputs: Inputs, start: Inputs, position: object) -> Tensor:
        where = torch.as_tensor(position, dtype=inputs[0].dtype, device=inputs[0].device)
        gradients = torch.stack(output_gradients(outputs, shift(start, inputs, where)), dim=1)
        return gradients.mul_((flatten(inputs) - flatten(start))[:, None])
