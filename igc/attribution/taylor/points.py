"""Points between a baseline and an input where only some regions have moved, with values and slopes of the outputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients, unflatten

__all__ = ["couples", "region_masks", "slopes", "subset_slopes", "subset_values"]


def region_masks(labels: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """Return which components each region holds, (region, component), as booleans.

    Parameters
    ----------
    labels : array of int (component,)
        Region of each component, from 0.
    device : torch.device
    """
    members = torch.as_tensor(labels, device=device)
    return members[None] == torch.arange(int(labels.max()) + 1, device=device)[:, None]


def couples(n_regions: int) -> npt.NDArray[np.int64]:
    """Return all pairs of regions, (2, pair), the smaller number first."""
    return np.stack(np.triu_indices(n_regions, 1))


def subset_values(outputs: Outputs, start: Inputs, stop: Inputs, subsets: Tensor, batch_size: int) -> Tensor:
    """Return the outputs where the components of each subset have moved and all others have not.

    Parameters
    ----------
    outputs : Outputs
        What is explained.
    start, stop : tuple of torch.Tensor (batch, ...)
        Baselines and inputs.
    subsets : torch.Tensor (subset, component)
        Booleans.
    batch_size : int
        Points a forward pass.

    Returns
    -------
    torch.Tensor (subset, batch, target)
    """
    low, high = flatten(start), flatten(stop)
    step = max(1, batch_size // max(len(low), 1))
    parts = []
    with torch.no_grad():
        for first in range(0, len(subsets), step):
            chosen = subsets[first : first + step]
            points = torch.where(chosen[:, None], high, low).reshape(-1, low.shape[1])
            parts.append(outputs(unflatten(points, stop)).reshape(len(chosen), len(low), -1))
    return torch.cat(parts)


def slopes(outputs: Outputs, points: Inputs, directions: Inputs) -> Tensor:
    """Return the derivative of every output along one direction a point, (point, target).

    Forward-mode derivatives serve all outputs at once; where an operation has none, gradients of each output do.

    Parameters
    ----------
    outputs : Outputs
    points, directions : tuple of torch.Tensor (point, ...)
    """
    try:
        derivative: Tensor = torch.func.jvp(lambda *x: outputs(x), points, directions)[1]
        return derivative.detach()
    except (NotImplementedError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
    leaves = tuple(x.detach().clone().requires_grad_() for x in points)
    along = flatten(directions)
    return torch.stack([(g * along).sum(dim=1) for g in output_gradients(outputs, leaves)], dim=1)


def subset_slopes(
    outputs: Outputs,
    start: Inputs,
    stop: Inputs,
    moved: Tensor,
    along: Tensor,
    position: Tensor,
    batch_size: int,
) -> Tensor:
    """Return slopes along one region each, at points of paths on which some regions move.

    Parameters
    ----------
    outputs : Outputs
        What is explained.
    start, stop : tuple of torch.Tensor (batch, ...)
        Baselines and inputs.
    moved, along : torch.Tensor (path, component)
        Booleans: which components move on a path, and along which of them the slope is taken.
    position : torch.Tensor (batch,)
        Place on the path, from 0 to 1.
    batch_size : int
        Points a pass.

    Returns
    -------
    torch.Tensor (path, batch, target)
    """
    low, change = flatten(start), flatten(stop) - flatten(start)
    step = max(1, batch_size // max(len(low), 1))
    parts = []
    for first in range(0, len(moved), step):
        here = slice(first, first + step)
        points = low + moved[here, None].to(low.dtype) * (position[:, None] * change)
        directions = along[here, None].to(low.dtype) * change
        flat = points.reshape(-1, low.shape[1]), directions.reshape(-1, low.shape[1])
        parts.append(slopes(outputs, unflatten(flat[0], stop), unflatten(flat[1], stop)).reshape(*points.shape[:2], -1))
    return torch.cat(parts)
