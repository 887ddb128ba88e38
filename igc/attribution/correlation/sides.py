"""The cheap side of a gradient: of every output, or of the few latents that a linear last layer reads."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from igc.attribution.gradients import flatten, vector_jacobian
from igc.attribution.problem import Problem
from igc.attribution.readout import Readout, find_readout
from igc.errors import MethodError, explain
from igc.stats.moments import Array

__all__ = ["choose_latents", "readout_weight"]

SIDES = ("auto", "outputs", "latents")
PROBE_SAMPLES, PROBE_TARGETS = 64, 32


def _readout(problem: Problem) -> Readout | None:
    return find_readout(problem.outputs, problem.load(np.arange(1))[0])


def readout_weight(problem: Problem) -> Array:
    """Return the weights of a model's linear last layer, (target, latent)."""
    readout = _readout(problem)
    if readout is None:
        message = explain("side", "'latents'", "a model that ends in a linear layer, raw outputs", "choose 'outputs'")
        raise MethodError(message)
    return np.asarray(readout.weight.detach().double().cpu().numpy())


def choose_latents(problem: Problem, side: str, kept: bool | None = None) -> bool:
    """Say whether to take gradients of latents.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    side : str
        "outputs" or "latents" to force it; "auto" measures the cost of a product and of the matrix product.
    kept : bool, optional
        An earlier choice of "auto".

    Returns
    -------
    bool

    Raises
    ------
    MethodError
        If the side is unknown, or the model has no linear last layer and "latents" is asked for.
    """
    if side not in SIDES:
        raise MethodError(explain("side", repr(side), ", ".join(SIDES), "choose one of them"))
    if side == "latents":
        return bool(readout_weight(problem).size)
    if side == "outputs" or kept is not None:
        return bool(kept) and side == "auto"
    readout = _readout(problem)
    if readout is None:
        return False
    rows = np.unique(np.linspace(0, problem.n_samples - 1, PROBE_SAMPLES).round().astype(np.int64))
    responses = problem.source.read_responses(rows)
    n_targets, n_latents = readout.weight.shape
    one_hot = bool(np.all((responses == 0) | (responses == 1)) and np.all(responses.sum(axis=1) == 1))
    products = min(2, n_targets) if one_hot else n_targets
    if products <= n_latents:
        return False
    gradient, matrix = _costs(problem, readout, rows)
    return n_latents * gradient + n_targets * matrix < products * gradient


def _costs(problem: Problem, readout: Readout, rows: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Measure the seconds of one vector-Jacobian product, and of the matrix product for one target."""
    points = tuple(x.requires_grad_() for x in problem.load(rows)[0])
    with torch.enable_grad():
        latents = readout.latents(points)
    ones = torch.ones(len(rows), dtype=latents.dtype, device=latents.device)
    maps = torch.zeros((len(rows), 16, flatten(points).shape[1]), dtype=latents.dtype, device=latents.device)
    weights = torch.zeros((len(rows), PROBE_TARGETS, 16), dtype=latents.dtype, device=latents.device)
    gradient = _seconds(lambda: vector_jacobian(latents[:, 0], ones, points, keep=True))
    matrix = _seconds(lambda: torch.bmm(weights, maps).sum(dim=0))
    return gradient, matrix * latents.shape[1] / 16 / PROBE_TARGETS


def _seconds(run: Callable[[], torch.Tensor]) -> float:
    """Return the shortest of three runs, after one that warms up."""
    times = []
    for _ in range(4):
        started = time.perf_counter()
        float(run().flatten()[0])  # waits for the device
        times.append(time.perf_counter() - started)
    return min(times[1:])
