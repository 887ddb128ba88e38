"""Expected Gradients: Integrated Gradients with baseline and point drawn at random (arXiv 1906.10670)."""

from __future__ import annotations

from collections.abc import Iterator
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
    draws_wanted : int
        Baselines, each with one point, a sample.
    seed : int
        Seed of the draws.
    """

    pool: BaselinePool
    draws_wanted: int
    seed: int

    @property
    def replicates(self) -> int:
        """Number of independent estimates."""
        return min(self.draws_wanted, MAX_REPLICATES)

    @property
    def n_draws(self) -> int:
        """Draws a sample, over all replicates."""
        return self.replicates * -(-self.draws_wanted // self.replicates)

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * self.n_draws

    def replicate(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the maps of a batch, (batch, target, component)."""
        parts = self.draws(outputs, inputs, rows, index)
        total = next(parts)[0]
        for part, _ in parts:
            total += part
        return total * (self.replicates / self.n_draws)

    def draws(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Iterator[tuple[Tensor, Rows]]:
        """Yield the draws of a replicate, and the numbers of the samples that are their baselines."""
        n = self.n_draws // self.replicates
        uniform = uniform_draws(self.seed, "expected gradients", rows, index, 2 * n)
        for j in range(n):
            start = self.pool.draw(uniform[:, 2 * j])
            yield self._draw(outputs, inputs, start, uniform[:, 2 * j + 1]), self.pool.rows(uniform[:, 2 * j])

    @staticmethod
    def _draw(outputs: Outputs, inputs: Inputs, start: Inputs, position: object) -> Tensor:
        where = torch.as_tensor(position, dtype=inputs[0].dtype, device=inputs[0].device)
        gradients = torch.stack(output_gradients(outputs, shift(start, inputs, where)), dim=1)
        return gradients.mul_((flatten(inputs) - flatten(start))[:, None])
