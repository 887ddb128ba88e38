"""Small models with known answers, in float64, and data to run them on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

__all__ = ["Additive", "InputRecorder", "Quadratic", "linear_model", "smooth_network", "toy_samples"]

Values = npt.NDArray[np.float64]


def linear_model(weights: npt.ArrayLike, bias: npt.ArrayLike | float = 0.0) -> nn.Module:
    """Return the model ``x @ weights.T + bias`` in float64.

    Parameters
    ----------
    weights : array (target, component)
    bias : array (target,) or float

    Returns
    -------
    torch.nn.Module
        (batch, component) -> (batch, target).
    """
    matrix = torch.as_tensor(np.asarray(weights, dtype=np.float64))
    model = nn.Linear(matrix.shape[1], matrix.shape[0], dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(matrix)
        model.bias.copy_(torch.as_tensor(np.broadcast_to(bias, len(matrix)).copy()))
    return model


class Quadratic(nn.Module):
    """f_k(x) = b_k.x + 1/2 x' A_k x, for which two nodes integrate a gradient exactly.

    Parameters
    ----------
    linear : array (target, component)
    matrices : array (target, component, component)
        Symmetric.
    """

    def __init__(self, linear: npt.ArrayLike, matrices: npt.ArrayLike) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.as_tensor(np.asarray(linear, dtype=np.float64)))
        self.matrices = nn.Parameter(torch.as_tensor(np.asarray(matrices, dtype=np.float64)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, target)."""
        return x @ self.linear.T + 0.5 * torch.einsum("ni,kij,nj->nk", x, self.matrices, x)


class Additive(nn.Module):
    """f_k(x) = sum_i w_ki sin(x_i): no interaction between components.

    Parameters
    ----------
    weights : array (target, component)
    """

    def __init__(self, weights: npt.ArrayLike) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.as_tensor(np.asarray(weights, dtype=np.float64)))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, target)."""
        return torch.sin(x) @ self.weights.T


class InputRecorder(nn.Module):
    """Passes inputs to a model and keeps what it was called with.

    Parameters
    ----------
    model : torch.nn.Module
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Record and forward."""
        self.seen.append(x.detach().clone())
        output: Tensor = self.model(x)
        return output


def smooth_network(n_components: int, n_targets: int, seed: int = 0, ignored: int | None = None) -> nn.Module:
    """Return a small tanh network in float64.

    Parameters
    ----------
    n_components, n_targets : int
        Its shape.
    seed : int
        Of its weights.
    ignored : int, optional
        A component whose weights are zero.

    Returns
    -------
    torch.nn.Module
    """
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Linear(n_components, 16), nn.Tanh(), nn.Linear(16, n_targets)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2)
        if ignored is not None:
            next(model.parameters())[:, ignored] = 0
    return model


def toy_samples(
    n_samples: int, n_components: int, truth: Callable[[Tensor], Tensor], noise: float = 0.5, seed: int = 0
) -> tuple[Values, Values]:
    """Draw correlated, skewed inputs and noisy responses of a rule.

    Parameters
    ----------
    n_samples, n_components : int
        Shape of the inputs.
    truth : callable
        Maps (sample, component) to (sample, target).
    noise : float
        Standard deviation of the noise over that of the rule.
    seed : int
        Of all draws.

    Returns
    -------
    inputs : array (sample, component)
    responses : array (sample, target)
    """
    random = np.random.default_rng(seed)
    # the population stays the same whatever the seed: seeds are fresh datasets from it
    mixing = np.random.default_rng(n_components).normal(size=(n_components, n_components)) / np.sqrt(n_components)
    mixing += np.eye(n_components)
    inputs = (random.normal(size=(n_samples, n_components)) + 0.3 * random.exponential(size=(n_samples, 1))) @ mixing
    with torch.no_grad():
        clean = truth(torch.as_tensor(inputs)).numpy()
    spread = clean.std(axis=0, keepdims=True)
    return inputs, clean + noise * spread * random.normal(size=clean.shape)
