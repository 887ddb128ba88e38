"""Outputs to explain and their gradients: one forward pass a point, one vector-Jacobian product an output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from igc.errors import MethodError, ModelError, explain

__all__ = ["OUTPUTS", "Outputs", "between", "flatten", "output_gradients", "shift", "unflatten", "vector_jacobian"]

Inputs = tuple[Tensor, ...]

OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "raw": lambda raw: raw,
    "probability": lambda raw: torch.softmax(raw, dim=1),
    "log_probability": lambda raw: torch.log_softmax(raw, dim=1),
}
"""What of the model is explained: its raw outputs, or their softmax over all outputs, or its logarithm."""


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model that are explained.

    Attributes
    ----------
    model : callable
        Maps one tensor (batch, *input_shape), or several, to (batch, n_outputs).
    output : str
        A key of :data:`OUTPUTS`.
    targets : tuple of int, optional
        The columns to explain, after the softmax; default: all.
    """

    model: Callable[..., Any]
    output: str = "raw"
    targets: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise MethodError(explain("output", repr(self.output), sorted(OUTPUTS), "choose one of them"))

    def __call__(self, inputs: Inputs) -> Tensor:
        """Return the explained outputs, (batch, target)."""
        raw = self.model(*inputs)
        if not isinstance(raw, Tensor) or raw.ndim > 2 or len(raw) != len(inputs[0]):
            seen = tuple(raw.shape) if isinstance(raw, Tensor) else type(raw).__name__
            remedy = "wrap the model so that it returns one row a sample"
            raise ModelError(explain("the model's output", seen, f"({len(inputs[0])}, n_targets)", remedy))
        return self.of_raw(raw if raw.ndim == 2 else raw[:, None])

    def of_raw(self, raw: Tensor) -> Tensor:
        """Return the explained outputs of raw ones, (batch, target) of (batch, output)."""
        outputs = OUTPUTS[self.output](raw)
        if self.targets is None:
            return outputs
        if self.targets and max(self.targets) >= outputs.shape[1]:
            allowed = f"0 to {outputs.shape[1] - 1}"
            raise MethodError(explain("targets", max(self.targets), allowed, "name outputs that the model has"))
        return outputs[:, list(self.targets)]


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Join the components of all inputs on one axis.

    Parameters
    ----------
    tensors : sequence of torch.Tensor (batch, ...)
        One tensor an input.

    Returns
    -------
    torch.Tensor (batch, component)
    """
    flat = [tensor.reshape(len(tensor), -1) for tensor in tensors]
    return flat[0] if len(flat) == 1 else torch.cat(flat, dim=1)


def unflatten(points: Tensor, like: Inputs) -> Inputs:
    """Return the inputs that :func:`flatten` joined.

    Parameters
    ----------
    points : torch.Tensor (point, component)
        All inputs of each point on one axis.
    like : tuple of torch.Tensor (batch, ...)
        Inputs of the same shapes.

    Returns
    -------
    tuple of torch.Tensor (point, ...)
    """
    parts = torch.split(points, [x[0].numel() for x in like], dim=1)
    return tuple(part.reshape(-1, *x.shape[1:]) for part, x in zip(parts, like, strict=True))


def between(start: Inputs, stop: Inputs, t: Tensor) -> Inputs:
    """Return the points ``start + t (stop - start)``.

    Parameters
    ----------
    start, stop : tuple of torch.Tensor (batch, ...)
        Ends of the segments, one tensor an input.
    t : torch.Tensor (batch,)
        Position on each segment.

    Returns
    -------
    tuple of torch.Tensor
    """
    ends = zip(start, stop, strict=True)
    return tuple(torch.lerp(a, b, t.reshape(-1, *([1] * (a.ndim - 1)))) for a, b in ends)


def shift(start: Inputs, stop: Inputs, t: Tensor) -> Inputs:
    """Return the points of :func:`between`, ready to be differentiated: leaf tensors that require a gradient."""
    return tuple(point.requires_grad_() for point in between(start, stop, t))


def vector_jacobian(outputs: Tensor, cotangent: Tensor, inputs: Inputs, *, keep: bool) -> Tensor:
    """Return the gradient of ``sum(outputs * cotangent)`` with respect to the inputs.

    Parameters
    ----------
    outputs : torch.Tensor (batch,)
        One output a sample, from a forward pass on ``inputs``.
    cotangent : torch.Tensor (batch,)
        Its weight.
    inputs : tuple of torch.Tensor
        The leaves.
    keep : bool
        Whether the graph is needed again.

    Returns
    -------
    torch.Tensor (batch, component)
    """
    if not outputs.requires_grad:  # a model that ignores its input
        return torch.zeros_like(flatten(inputs))
    gradients = torch.autograd.grad(
        outputs, inputs, cotangent, retain_graph=keep, allow_unused=True, materialize_grads=True
    )
    return flatten(gradients)


def output_gradients(outputs: Callable[[Inputs], Tensor], points: Inputs) -> list[Tensor]:
    """Return the gradient of every output at every point, one (point, component) tensor an output."""
    with torch.enable_grad():
        values = outputs(points)
    ones = torch.ones(len(values), dtype=values.dtype, device=values.device)
    n = values.shape[1]
    return [vector_jacobian(values[:, k], ones, points, keep=k < n - 1) for k in range(n)]
