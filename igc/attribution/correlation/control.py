"""The linear control variate: a pilot estimate of the mean gradient, and what a linear model with it would give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from igc.attribution.cells import Cells
from igc.attribution.correlation.design import PairDesign
from igc.attribution.correlation.pair_state import PairState
from igc.attribution.correlation.pair_sums import Keep
from igc.attribution.correlation.pairs import PairInputs, Side, read_pairs
from igc.attribution.gradients import Inputs, flatten, shift, vector_jacobian
from igc.attribution.problem import Problem
from igc.attribution.readout import find_readout
from igc.stats.moments import Array, Moments

__all__ = ["control_unit", "pilot_gradient"]

PILOT_PAIRS = 1024
"""Pairs that estimate the mean gradient of the control variate."""
PILOT_PRODUCTS = 1 << 17
"""So many products are spent on it at most, if there are 32 pairs of each target."""
MIN_PILOT_PAIRS = 32
CONTROL_BYTES = 64 << 20


def pilot_gradient(problem: Problem, side: Side) -> tuple[Array, int]:
    """Estimate the mean gradient of each output, weighted by the squared difference of the responses.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    side : Side
        Whether to estimate the gradient of the latents instead, weighted by the mean over responses.

    Returns
    -------
    array (target or latent, component), int
        The gradient, exact for a linear model, and the number of gradient points used. The pairs are none of those
        that the estimator draws, so that it stays without bias.
    """
    bounds = tuple(problem.block_bounds())
    readout = find_readout(problem.outputs, problem.load(np.arange(1))[0]) if side.latents else None
    evaluate: Callable[[Inputs], Tensor] = problem.outputs if readout is None else readout.latents
    with torch.no_grad():
        n_heads = evaluate(problem.load(np.arange(1))[0]).shape[1]
    wanted = min(PILOT_PAIRS, max(MIN_PILOT_PAIRS, PILOT_PRODUCTS // n_heads))
    design = PairDesign(bounds, problem.seed, 0, 1, min(1.0, wanted / problem.n_samples), purpose="pilot")
    sums: Array = np.zeros(())
    total: Array = np.zeros(())
    evaluations = 0
    for index in range(design.n_units):
        unit = design.unit(index)
        pairs = read_pairs(problem, unit)
        weights = pairs.half**2
        sparse = pairs.classes and readout is None
        if readout is not None:
            weights = np.repeat(weights.mean(axis=1, keepdims=True), readout.weight.shape[1], axis=1)
        sums = sums + unit.weight * _weighted_gradient(problem, evaluate, pairs, weights, unit.position, sparse)
        total = total + unit.weight * weights.sum(axis=0)
        evaluations += len(weights)
    return np.divide(sums, total[:, None], out=np.zeros_like(sums), where=total[:, None] > 0), evaluations


def _weighted_gradient(
    problem: Problem,
    evaluate: Callable[[Inputs], Tensor],
    pairs: PairInputs,
    weights: Array,
    position: Array,
    sparse: bool,
) -> Array:
    """Return the sum over pairs of weight times gradient, (target, component); sparse: two targets of a pair count."""
    cotangent = torch.as_tensor(weights, device=problem.device, dtype=problem.dtype)
    where = torch.as_tensor(position, device=problem.device, dtype=problem.dtype)
    n_targets = weights.shape[1]
    gradient = torch.zeros((n_targets, problem.n_components), dtype=torch.float64, device=problem.device)
    for rows in problem.batches(len(weights)):
        points = shift(*pairs.ends(rows), where[rows])
        with torch.enable_grad():
            outputs = evaluate(points)
        if sparse:
            amounts, classes = cotangent[rows].topk(2, dim=1)
            columns = outputs.gather(1, classes)
            for k in range(2):
                part = vector_jacobian(columns[:, k], amounts[:, k], points, keep=k < 1)
                members = torch.nn.functional.one_hot(classes[:, k], n_targets).T
                gradient += members.double() @ part.double()
            continue
        for k in range(n_targets):
            part = vector_jacobian(outputs[:, k], cotangent[rows, k], points, keep=k < n_targets - 1)
            gradient[k] += part.double().sum(dim=0)
    return gradient.cpu().numpy()


def control_unit(problem: Problem, pilot: Array, weight: Array | None, keep: Keep, units: int, block: int) -> PairState:
    """Sum the control variate of one design block of samples over cells.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    pilot : array (target or latent, component)
        The control variate's gradient.
    weight : array (target, latent), optional
        How targets read latents.
    keep : {"all", "regions", "none"}
        Of which cells to keep the moments of every group.
    units : int
        Units of a replicate of the design that the state will be merged with.
    block : int
        The design block.

    Returns
    -------
    PairState
        With ``control`` and ``control_group`` only.
    """
    start, stop = problem.block_bounds()[block]
    cells, rows = problem.cells, np.arange(start, stop)
    inputs, responses = problem.load(rows)
    flat = flatten(inputs).double().cpu().numpy()
    n_targets = responses.shape[1]
    n_sums = cells.matrix.shape[0]
    state: PairState | None = None
    step = max(1, CONTROL_BYTES // max(1, 8 * n_sums * max(n_targets, len(pilot))))
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        sums = _cell_sums(flat[part], pilot, cells)
        if weight is not None:
            sums = weight @ sums
        kept = {"all": sums, "regions": sums[..., n_sums - cells.n_regions :], "none": sums[..., :0]}[keep]
        scalars = responses[part, :, None]
        groups = Moments.of(scalars, kept, problem.groups[rows[part]]) if keep != "none" else None
        added = PairState.of_control(
            Moments.of(scalars, sums),
            groups if groups is not None else Moments.empty(n_targets, n_targets, 1, 0),
            units,
            cells.total,
            {"all": cells.total, "regions": cells.n_regions, "none": 0}[keep],
        )
        state = added if state is None else state.merge(added)
    if state is None:  # a block is never empty
        raise RuntimeError(block)
    return state


def _cell_sums(flat: Array, pilot: Array, cells: Cells) -> Array:
    """Return the sum over each cell of pilot times input, (sample, head, sum)."""
    sums = np.empty((len(flat), len(pilot), cells.matrix.shape[0]))
    for cell in range(cells.matrix.shape[0]):
        members = cells.members(cell)
        sums[:, :, cell] = flat[:, members] @ pilot[:, members].T
    return sums
