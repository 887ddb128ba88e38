"""The cheap side of a derivative: of outputs or of the few latents that a linear last layer reads, reverse or forward.

Reverse mode takes one product an output (two with one-hot responses) or latent, and gives maps of components. Forward
mode takes one product a cell and gives all outputs at once: the cheaper one where only few sums are wanted.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.cells import Cells
from igc.attribution.correlation.contrast import one_hot
from igc.attribution.correlation.pairs import Side
from igc.attribution.forward_mode import cell_derivatives, has_forward_mode
from igc.attribution.gradients import Inputs, flatten, vector_jacobian
from igc.attribution.problem import Problem
from igc.attribution.readout import Readout, find_readout
from igc.errors import MethodError, explain
from igc.stats.moments import Array

__all__ = ["SIDES", "choose_side", "readout_weight"]

SIDES = {
    "outputs": Side(),
    "latents": Side(latents=True),
    "cells": Side(forward=True),
    "cells of latents": Side(latents=True, forward=True),
}
"""What derivatives can be taken of; those of cells are in forward mode, and need pooling."""

PROBE_SAMPLES, PROBE_TARGETS, PROBE_HEADS = 64, 32, 16
PROBE_CELLS = 8


def _readout(problem: Problem) -> Readout | None:
    return find_readout(problem.outputs, problem.load(np.arange(1))[0])


def readout_weight(problem: Problem) -> Array:
    """Return the weights of a model's linear last layer, (target, latent)."""
    readout = _readout(problem)
    if readout is None:
        message = explain("side", "'latents'", "a model that ends in a linear layer, raw outputs", "choose 'outputs'")
        raise MethodError(message)
    return np.asarray(readout.weight.detach().double().cpu().numpy())


def choose_side(problem: Problem, side: str, kept: str | None = None) -> str:
    """Say of what to take derivatives.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    side : str
        A key of :data:`SIDES` to force it; "auto" measures the cost of each that is possible.
    kept : str, optional
        An earlier choice of "auto".

    Returns
    -------
    str
        A key of :data:`SIDES`.

    Raises
    ------
    MethodError
        If the side is unknown or not possible for the model.
    """
    if side not in ("auto", *SIDES):
        raise MethodError(explain("side", repr(side), ", ".join(("auto", *SIDES)), "choose one of them"))
    if side != "auto":
        return _checked(problem, side)
    if kept in SIDES:
        return kept
    costs = _costs(problem)
    return min(costs, key=lambda name: costs[name])


def _probe(problem: Problem) -> npt.NDArray[np.int64]:
    last = problem.n_samples - 1
    return np.unique(np.linspace(0, last, PROBE_SAMPLES).round().astype(np.int64))


def _checked(problem: Problem, side: str) -> str:
    """Refuse a side that is not possible."""
    if SIDES[side].latents:
        readout_weight(problem)
    if SIDES[side].forward:
        if not problem.cells.pooled:
            allowed = "pooling, so that few sums are wanted"
            raise MethodError(explain("side", repr(side), allowed, "give pool, or choose 'outputs'"))
        points = problem.load(_probe(problem)[:2])[0]
        if not has_forward_mode(problem.outputs, points):
            allowed = "a model whose operations have a forward mode"
            raise MethodError(explain("side", repr(side), allowed, "choose 'outputs' or 'latents'"))
    return side


def _costs(problem: Problem) -> dict[str, float]:
    """Measure the seconds of a micro-batch on every side that is possible; no need to where there is one only."""
    readout, cells, rows = _readout(problem), problem.cells, _probe(problem)
    responses = problem.source.read_responses(rows)
    n_targets = responses.shape[1]
    products = min(2, n_targets) if one_hot(responses) else n_targets
    n_latents = readout.weight.shape[1] if readout is not None else products
    latents = readout is not None and products > n_latents
    forward = cells.pooled and products > 1
    if not latents and not forward:
        return {"outputs": 0.0}
    points = problem.load(rows)[0]
    gradient = _gradient_seconds(problem.outputs, points)
    width = cells.total if cells.pooled else problem.n_components
    costs = {"outputs": products * gradient}
    if latents and readout is not None:
        reading = n_targets * n_latents * _matrix_seconds(points, width)
        costs["latents"] = n_latents * _gradient_seconds(readout.latents, points) + reading
    if forward and has_forward_mode(problem.outputs, tuple(x[:2] for x in points)):
        costs["cells"] = _forward_seconds(problem.outputs, points, problem, n_targets)
        if readout is not None:
            reading = n_targets * n_latents * _matrix_seconds(points, width)
            costs["cells of latents"] = _forward_seconds(readout.latents, points, problem, n_latents) + reading
    return costs


def _gradient_seconds(evaluate: Callable[[Inputs], Tensor], points: Inputs) -> float:
    """Measure one vector-Jacobian product."""
    leaves = tuple(x.detach().clone().requires_grad_() for x in points)
    with torch.enable_grad():
        outputs = evaluate(leaves)
    ones = torch.ones(len(outputs), dtype=outputs.dtype, device=outputs.device)
    return _seconds(lambda: vector_jacobian(outputs[:, 0], ones, leaves, keep=True))


def _matrix_seconds(points: Inputs, width: int) -> float:
    """Measure reading one latent's map into one target's, for all pairs of a micro-batch."""
    n = len(points[0])
    maps = points[0].new_zeros((n * PROBE_HEADS, width))
    weights = points[0].new_zeros((PROBE_TARGETS, n * PROBE_HEADS))
    return _seconds(lambda: weights @ maps) / (PROBE_HEADS * PROBE_TARGETS)


def _forward_seconds(evaluate: Callable[[Inputs], Tensor], points: Inputs, problem: Problem, n_heads: int) -> float:
    """Measure the derivatives along all cells, from those along a few."""
    cells = problem.cells
    few = Cells(cells.n_components, cells.matrix[:PROBE_CELLS], (), min(PROBE_CELLS, cells.matrix.shape[0]))
    pilot = points[0].new_zeros((n_heads, cells.n_components))
    direction = flatten(points)
    seconds = _seconds(lambda: cell_derivatives(evaluate, points, direction, pilot, few))
    return seconds * float(cells.matrix.shape[0] / few.matrix.shape[0])


def _seconds(run: Callable[[], Tensor]) -> float:
    """Return the shortest of three runs, after one that warms up."""
    times = []
    for _ in range(4):
        started = time.perf_counter()
        float(run().flatten()[0])  # waits for the device
        times.append(time.perf_counter() - started)
    return min(times[1:])
