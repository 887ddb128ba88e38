"""Points between a baseline and an input where only some regions have moved, with slopes of the outputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients, shift, unflatten

__all__ = ["couples", "joint_slopes", "region_masks", "slopes", "subset_slopes"]

TAIL = 64
"""The last pass is filled up to a multiple of so many points, since the first pass of a new size costs much more."""


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


def joint_slopes(
    outputs: Outputs, start: Inputs, stop: Inputs, masks: Tensor, position: Tensor, batch_size: int
) -> Tensor:
    """Return slopes along each region where all have moved so far: by gradients, or by directions where these are less.

    Parameters
    ----------
    outputs, start, stop, position, batch_size
        As for :func:`subset_slopes`.
    masks : torch.Tensor (region, component)
        Booleans.

    Returns
    -------
    torch.Tensor (batch, target, region)
    """
    with torch.no_grad():
        n_targets = outputs(tuple(x[:1] for x in stop)).shape[1]
    if n_targets > len(masks):
        every = torch.ones_like(masks)
        return subset_slopes(outputs, start, stop, every, masks, position, batch_size).permute(1, 2, 0)
    members, parts = masks.T.to(stop[0].dtype), []
    for first in range(0, len(position), batch_size):
        low, high = (tuple(x[first : first + batch_size] for x in end) for end in (start, stop))
        points = shift(low, high, position[first : first + batch_size])
        change = (flatten(high) - flatten(low))[:, None]
        parts.append((torch.stack(output_gradients(outputs, points), dim=1) * change) @ members)
    return torch.cat(parts)
