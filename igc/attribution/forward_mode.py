"""Forward mode: derivatives of all outputs along few directions, one Jacobian-vector product a direction."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from igc.attribution.cells import Cells
from igc.attribution.gradients import Inputs, flatten, unflatten

__all__ = ["cell_derivatives", "has_forward_mode"]

TANGENT_BYTES = 64 << 20
"""So many bytes of directions are pushed through the model at a time."""


def _pushing(evaluate: Callable[[Inputs], Tensor], points: Inputs) -> Callable[[Tensor], Tensor]:
    """Return a function of directions (pair, component) that gives the derivatives of all outputs along them."""

    def push(flat: Tensor) -> Tensor:
        result: Tensor = torch.func.jvp(lambda *x: evaluate(x), points, unflatten(flat, points))[1]
        return result

    return push


def cell_derivatives(
    evaluate: Callable[[Inputs], Tensor], points: Inputs, difference: Tensor, pilot: Tensor, cells: Cells
) -> Tensor:
    """Return the sum over each cell of (gradient minus pilot) times difference, for every output.

    Parameters
    ----------
    evaluate : callable
        Maps the inputs to outputs (pair, output).
    points : tuple of torch.Tensor (pair, ...)
        Where.
    difference : torch.Tensor (pair, component)
        The direction; each cell takes its components of it.
    pilot : torch.Tensor (output, component)
        Gradient of the control variate.
    cells : Cells
        With pooling: the sums to make.

    Returns
    -------
    torch.Tensor (pair, output, cell)
    """
    n_cells, (n, d) = cells.matrix.shape[0], difference.shape
    step = max(1, TANGENT_BYTES // max(1, n * d * difference.element_size()))

    parts = []
    with torch.no_grad(), warnings.catch_warnings():
        # activations without a batching rule are pushed one direction at a time, which is still faster than a loop
        warnings.filterwarnings("ignore", message="There is a performance drop")
        for first in range(0, n_cells, step):
            chosen = range(first, min(first + step, n_cells))
            tangents = difference.new_zeros((len(chosen), n, d))
            control = difference.new_empty((len(chosen), n, len(pilot)))
            for row, cell in enumerate(chosen):
                members = torch.as_tensor(cells.members(cell), device=difference.device)
                part = difference[:, members]
                tangents[row][:, members] = part
                control[row] = part @ pilot[:, members].T
            parts.append(torch.vmap(_pushing(evaluate, points))(tangents) - control)
        return torch.cat(parts).permute(1, 2, 0)


def has_forward_mode(evaluate: Callable[[Inputs], Tensor], points: Inputs) -> bool:
    """Say whether every operation of a model has a forward mode that agrees with its reverse mode on a few points."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")
            forward = torch.vmap(_pushing(evaluate, points))(flatten(points)[None])[0]
    except (RuntimeError, NotImplementedError):
        return False
    leaves = tuple(x.detach().clone().requires_grad_() for x in points)
    with torch.enable_grad():
        values = evaluate(leaves)
    for k in range(min(values.shape[1], 4)):
        gradients = torch.autograd.grad(values[:, k].sum(), leaves, retain_graph=True, allow_unused=True)
        reverse = sum(
            (g * x).reshape(len(x), -1).sum(dim=1) for g, x in zip(gradients, points, strict=True) if g is not None
        )
        scale = float(values[:, k].detach().abs().max()) + 1e-12
        if not torch.allclose(forward[:, k], torch.as_tensor(reverse).to(forward), atol=1e-3 * scale, rtol=1e-3):
            return False
    return True
