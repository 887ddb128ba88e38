"""Noise added to inputs, the same for a sample whatever its batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, flatten, unflatten
from igc.attribution.problem import Problem, Rows
from igc.attribution.scores import Scores
from igc.errors import MethodError, explain
from igc.seeding import generator

__all__ = ["add_noise", "noise_scale"]


def noise_scale(share: object, problem: Problem, scores: Scores) -> Tensor:
    """Return the standard deviation of the noise of each component.

    Parameters
    ----------
    share : float
        Of the standard deviation of an input over all its components and samples: constant components are moved, too,
        as SmoothGrad does with the black border of an image.
    problem, scores
        What is explained.

    Returns
    -------
    torch.Tensor (component,)

    Raises
    ------
    MethodError
        If the share is no number from 0.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < np.inf:
        remedy = "give a share of the inputs' standard deviation"
        raise MethodError(explain("noise", repr(share), "a number, 0 or more", remedy))
    mean, variance = scores.pooled.mean_map[0, 0], scores.pooled.map_variance()[0, 0]
    sizes = [int(np.prod(shape, dtype=np.int64)) for shape in problem.source.input_shapes]
    bounds = np.cumsum(sizes)[:-1]
    spread = [
        np.full(size, np.sqrt(v.mean() + m.var()))
        for size, m, v in zip(sizes, np.split(mean, bounds), np.split(variance, bounds), strict=True)
    ]
    return torch.as_tensor(share * np.concatenate(spread)).to(problem.device, problem.dtype)


def add_noise(inputs: Inputs, scale: Tensor, seed: int, purpose: str, rows: Rows, *index: int) -> Inputs:
    """Return samples with Gaussian noise that follows from nothing but the number of the sample.

    Parameters
    ----------
    inputs : tuple of torch.Tensor (row, ...)
        The samples.
    scale : torch.Tensor (component,)
        Standard deviation of the noise.
    seed : int
    purpose : str
        Name of the stream.
    rows : array of int (row,)
        Numbers of the samples.
    *index : int
        Number of the draw.

    Returns
    -------
    tuple of torch.Tensor (row, ...)
    """
    drawn = np.stack([generator(seed, purpose, int(row), *index).standard_normal(len(scale)) for row in rows])
    noise = torch.as_tensor(drawn).to(scale.device, scale.dtype) * scale
    return unflatten(flatten(inputs) + noise, inputs)
