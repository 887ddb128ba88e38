"""The number of samples a forward pass: on a GPU as many as still gain speed, found by measuring."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from igc.attribution.gradients import vector_jacobian
from igc.attribution.problem import Problem

__all__ = ["fastest", "search_batch_size", "seconds_a_sample"]

GAIN = 0.95
"""A batch is doubled while the time of a sample falls to this share or below."""
MAX_BATCH = 1 << 14
RUNS = 3


def search_batch_size(problem: Problem) -> int | None:
    """Return the batch size to use on a GPU: that of the problem, or a larger one where that is faster.

    On a processor nothing is searched: there sizes from 128 to 2048 took the same time a sample.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.

    Returns
    -------
    int, optional
        The size of the problem, doubled a number of times; None where nothing is searched.
    """
    if problem.device.type != "cuda":
        return None
    return fastest(problem.batch_size, min(MAX_BATCH, problem.n_samples), lambda size: seconds_a_sample(problem, size))


def fastest(start: int, most: int, seconds: Callable[[int], float]) -> int:
    """Double a size while that gains at least five percent.

    Parameters
    ----------
    start, most : int
        The first size, and the largest one to try.
    seconds : callable
        Measures the time of a sample in batches of a size; raises ``torch.OutOfMemoryError`` where one has no room.

    Returns
    -------
    int
        The last size that gained; ``start`` if the next one did not, or had no room.
    """
    size = start
    try:
        before = seconds(size)
        while 2 * size <= most:
            after = seconds(2 * size)
            if after > GAIN * before:
                break
            size, before = 2 * size, after
    except torch.OutOfMemoryError:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return size


def seconds_a_sample(problem: Problem, size: int) -> float:
    """Measure a forward pass and two vector-Jacobian products in a batch of a size, over the size.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    size : int
        Samples of the batch; the first ones are taken several times where there are fewer.

    Returns
    -------
    float
        The shortest of some runs, after one that warms up.
    """
    points = tuple(x.requires_grad_() for x in problem.load(np.arange(size) % problem.n_samples)[0])
    times = []
    for _ in range(RUNS + 1):
        started = time.perf_counter()
        with torch.enable_grad():
            values = problem.outputs(points)
        ones = torch.ones(size, dtype=values.dtype, device=values.device)
        maps = [vector_jacobian(values[:, k], ones, points, keep=k == 0) for k in (0, values.shape[1] - 1)]
        float(maps[-1].sum())  # waits for the device
        times.append(time.perf_counter() - started)
    return min(times[1:]) / size
