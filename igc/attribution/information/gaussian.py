"""The conditional Gaussian: one inversion of the covariance of all components serves every block."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.information.protocol import Index

__all__ = ["GaussianSampler"]


SHRINKAGES = (0.1, 0.2, 0.3, 0.4, 0.55, 0.7, 0.85)
SEARCHED = 1500
"""With more components the formula's shrinkage is kept: each trial inverts a matrix."""

Values = npt.NDArray[np.float64]


def _shrunk(standard: Values, shrinkage: float) -> Values:
    """Return the covariance of centred values (sample, component), shrunk towards a multiple of the identity."""
    covariance = standard.T @ standard / len(standard)
    target = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    return np.asarray((1 - shrinkage) * covariance + shrinkage * target)


def _shrinkage(standard: Values, groups: npt.NDArray[Any] | None) -> float:
    """Return how much to shrink: by the formula, and more where held-out groups are likelier then."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    formula = float(ledoit_wolf_shrinkage(standard, assume_centered=True))
    if groups is None or len(np.unique(groups)) < 2 or standard.shape[1] > SEARCHED:
        return formula
    half = np.isin(groups, np.unique(groups)[::2])
    trials = [formula, *(value for value in SHRINKAGES if value > formula)]
    likely = [sum(_likelihood(standard[a], standard[~a], value) for a in (half, ~half)) for value in trials]
    return trials[int(np.argmax(likely))]


def _likelihood(fitted: Values, held_out: Values, shrinkage: float) -> float:
    """Return the log-likelihood of held-out components, each given all others, but for a constant."""
    precision = np.linalg.inv(_shrunk(fitted - fitted.mean(axis=0), shrinkage))
    own = np.diag(precision)
    weighted = (held_out - fitted.mean(axis=0)) @ precision
    return float(0.5 * (np.log(own) - weighted**2 / own).sum())


@dataclass(frozen=True)
class GaussianSampler:
    """Draws a block from a Gaussian given the rest.

    With precision P, block S and w = P (x - mean): covariance ``P_SS^-1`` and mean ``x_S - P_SS^-1 w_S``, which does
    not depend on x_S.

    Attributes
    ----------
    mean : torch.Tensor (component,)
    precision : torch.Tensor (component, component)
        Rows and columns of components that never varied are zero.
    variance : torch.Tensor (component,)
        Without regard to the rest.
    constant : torch.Tensor (component,)
        Of components that never varied.
    """

    mean: Tensor
    precision: Tensor
    variance: Tensor
    constant: Tensor
    kind: ClassVar[str] = "gaussian"
    patch: ClassVar[int | None] = None
    fixed: ClassVar[bool] = False

    @classmethod
    def of(cls, samples: npt.NDArray[Any], groups: npt.ArrayLike | None = None) -> GaussianSampler:
        """Fit the sampler, with a covariance shrunk towards a multiple of the identity (Ledoit and Wolf 2004).

        Components are brought to unit variance before, so that those of small variance are not shrunk most. The
        formula takes samples to be independent. Where groups of samples are not, so that it shrinks too little, the
        shrinkage is the one under which each half of the groups is likeliest by a fit to the other half.

        Parameters
        ----------
        samples : array (sample, component)
        groups : array (sample,), optional
            The unit of samples that are not independent.

        Returns
        -------
        GaussianSampler
        """
        values = np.asarray(samples, dtype=np.float64)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        deviation = np.where((values == values[:1]).all(axis=0), 0.0, deviation)
        varying = deviation > 0
        covariance = np.zeros((len(mean), len(mean)))
        if varying.any():
            scale = deviation[varying]
            standard = (values[:, varying] - mean[varying]) / scale
            shrinkage = _shrinkage(standard, None if groups is None else np.asarray(groups))
            covariance[np.ix_(varying, varying)] = _shrunk(standard, shrinkage) * scale * scale[:, None]
        constant = np.where(varying, np.nan, values[0])
        return cls.of_moments(mean, covariance, constant)

    @classmethod
    def of_moments(
        cls, mean: npt.ArrayLike, covariance: npt.ArrayLike, constant: npt.ArrayLike | None = None
    ) -> GaussianSampler:
        """Make the sampler of a known mean and covariance; components of variance 0 are constants."""
        centre, matrix = np.asarray(mean, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
        variance = np.diag(matrix)
        varying = variance > 0
        precision = np.zeros_like(matrix)
        if varying.any():
            inverse = np.linalg.inv(matrix[np.ix_(varying, varying)])
            precision[np.ix_(varying, varying)] = (inverse + inverse.T) / 2
        fixed = np.where(varying, np.nan, centre) if constant is None else np.asarray(constant, dtype=np.float64)
        return cls(*(torch.as_tensor(np.ascontiguousarray(x)) for x in (centre, precision, variance, fixed)))

    def width(self, size: int) -> int:
        """Return a number a component."""
        return size

    def prepare(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs, and the precision times their deviations from the mean, (row, component)."""
        return inputs, (inputs.double() - self.mean) @ self.precision

    def conditional(self, held: tuple[Tensor, Tensor], rows: Tensor, block: Index) -> tuple[Tensor, Tensor]:
        """Return mean (row, member) and covariance (member, member) of a block given the rest.

        Members that never varied have their constant and no variance.
        """
        inputs, weighted = held
        members = torch.as_tensor(block, device=inputs.device)
        varying = self.variance[members] > 0
        some = members[varying]
        own = inputs[rows][:, members].double()
        centre = torch.where(varying, own, self.constant[members].nan_to_num())
        covariance = torch.zeros(len(block), len(block), dtype=torch.float64, device=inputs.device)
        if len(some):
            inverse = torch.linalg.inv(self.precision[some[:, None], some])
            inverse = (inverse + inverse.T) / 2
            centre[:, varying] -= weighted[rows][:, some] @ inverse
            covariance[torch.outer(varying, varying)] = inverse.reshape(-1)
        return centre, covariance

    def fill(self, held: tuple[Tensor, Tensor], rows: Tensor, block: Index, uniform: Tensor) -> Tensor:
        """Draw fills, (row, draw, member)."""
        centre, covariance = self.conditional(held, rows, block)
        normal = torch.special.ndtri(uniform)
        drawn = torch.zeros_like(normal)
        varying = covariance.diagonal() > 0
        if bool(varying.any()):
            root = torch.linalg.cholesky(covariance[varying][:, varying])
            drawn[..., varying] = normal[..., varying] @ root.T
        return (centre[:, None] + drawn).to(held[0].dtype)

    def log_likelihood(self, held: tuple[Tensor, Tensor], block: Index) -> tuple[Tensor, Tensor]:
        """Return the log densities given the rest, and of the components by themselves, (row,) each."""
        inputs, weighted = held
        members = torch.as_tensor(block, device=inputs.device)
        some = members[self.variance[members] > 0]
        if not len(some):
            zero = torch.zeros(len(inputs), dtype=torch.float64, device=inputs.device)
            return zero, zero
        matrix = self.precision[some[:, None], some]
        # x_S minus its conditional mean is P_SS^-1 w_S, so its squared length in P_SS is w_S P_SS^-1 w_S
        part = weighted[:, some]
        squared = (part * torch.linalg.solve(matrix, part.T).T).sum(dim=1)
        given = 0.5 * (torch.logdet(matrix) - squared - len(some) * math.log(2 * math.pi))
        deviation = (inputs[:, some].double() - self.mean[some]) ** 2 / self.variance[some]
        alone = -0.5 * (deviation + torch.log(2 * math.pi * self.variance[some])).sum(dim=1)
        return given, alone

    def to(self, device: torch.device) -> GaussianSampler:
        """Return the sampler on a device."""
        names = ("mean", "precision", "variance", "constant")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def tensors(self) -> dict[str, Tensor]:
        """Return all that was fitted."""
        return {name: getattr(self, name) for name in ("mean", "precision", "variance", "constant")}

    def arguments(self) -> dict[str, Any]:
        """Return nothing: the tensors say all."""
        return {}
