"""GradientSHAP: Expected Gradients of noisy copies of the sample (arXiv 1705.07874; the definition of captum)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from igc.attribution.drawn import uniform_draws
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.problem import Rows
from igc.attribution.standard.expected_gradients import ExpectedGradients
from igc.attribution.standard.noise import add_noise

__all__ = ["GradientShap"]


@dataclass(frozen=True)
class GradientShap(ExpectedGradients):
    """Gradients at random points between random baselines and noisy copies of the sample, times their difference.

    captum's GradientShap draws batch by batch; here what is drawn for a sample follows from its number.

    Attributes
    ----------
    pool, draws_wanted, seed
        As for :class:`igc.attribution.standard.expected_gradients.ExpectedGradients`.
    scale : torch.Tensor (component,)
        Standard deviation of the noise.
    """

    scale: Tensor

    def draws(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Iterator[tuple[Tensor, Rows]]:
        """Yield the draws of a replicate, and the numbers of the samples that are their baselines."""
        n = self.n_draws // self.replicates
        uniform = uniform_draws(self.seed, "gradient shap", rows, index, 2 * n)
        for j in range(n):
            stop = add_noise(inputs, self.scale, self.seed, "gradient shap noise", rows, index, j)
            start, where = self.pool.draw(uniform[:, 2 * j]), uniform[:, 2 * j + 1]
            yield self._draw(outputs, stop, start, where), self.pool.rows(uniform[:, 2 * j])
