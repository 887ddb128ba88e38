"""One pass over pairs of samples: the sums that Integrated Gradient Correlation with the data as baseline is made of.

For samples n and m, a point x = x_m + t (x_n - x_m) and target k, a pair contributes to component i

    v_i = 1/2 (y_n - y_m)_k (x_n - x_m)_i (d_i f_k(x) - g_ki)

where g is a pilot estimate of the mean gradient: the linear control variate, whose expectation g_ki cov(x_i, y_k) is
added back exactly. The gradient at one point serves both samples as each other's baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.correlation.contrast import one_hot
from igc.attribution.correlation.design import PairDesign, PairUnit
from igc.attribution.correlation.pair_state import PairState
from igc.attribution.correlation.pair_sums import (
    LATENT_BYTES,
    Keep,
    PairBatch,
    PairSums,
    add_dense,
    add_heads,
    add_sparse,
    latent_maps,
)
from igc.attribution.forward_mode import cell_derivatives
from igc.attribution.gradients import Inputs, between, flatten, shift
from igc.attribution.prepared import prepare
from igc.attribution.problem import Problem, Rows
from igc.attribution.readout import find_readout
from igc.stats.moments import Array, Moments

__all__ = ["PairInputs", "Side", "pair_unit", "read_pairs"]

TAIL = 16
"""Pairs of classes are filled up to a multiple of this, so that there are few sizes of the last micro-batch."""


@dataclass(frozen=True)
class Side:
    """Of what derivatives are taken, and how.

    Attributes
    ----------
    latents : bool
        Of the input of a linear last layer, in place of the outputs.
    forward : bool
        By one Jacobian-vector product a cell, in place of one vector-Jacobian product an output; with pooling only.
    """

    latents: bool = False
    forward: bool = False


@dataclass(frozen=True)
class PairInputs:
    """Both members of each pair, gathered a micro-batch at a time.

    Attributes
    ----------
    problem : Problem
        Whose samples.
    rows : array of int (row,)
        The samples of all pairs.
    inputs : tuple of torch.Tensor (row, ...) or None
        Their inputs, read once; None where they take too much memory, and are read when they are needed.
    left, right : array of int (pair,)
        Places of the members among the samples.
    half : array (pair, target)
        Half the difference of the responses, times the ratio of the pair.
    classes : bool
        Whether the responses are one-hot.
    """

    problem: Problem
    rows: Rows
    inputs: Inputs | None
    left: Rows
    right: Rows
    half: Array
    classes: bool

    def kept(self, pairs: Rows) -> PairInputs:
        """Return some of the pairs."""
        return replace(self, left=self.left[pairs], right=self.right[pairs], half=self.half[pairs])

    def ends(self, batch: slice) -> tuple[Inputs, Inputs]:
        """Return right (start) and left (stop) of a micro-batch of pairs."""
        members = np.stack([self.right[batch], self.left[batch]])
        held, inputs = members, self.inputs
        if inputs is None:
            places, back = np.unique(members, return_inverse=True)
            inputs, held = self.problem.load(self.rows[places])[0], back.reshape(members.shape)
        start, stop = torch.as_tensor(held, device=self.problem.device)
        return tuple(x.index_select(0, start) for x in inputs), tuple(x.index_select(0, stop) for x in inputs)

    def one(self) -> Inputs:
        """Return the inputs of a single sample."""
        return self.problem.load(self.rows[:1])[0] if self.inputs is None else tuple(x[:1] for x in self.inputs)


def read_pairs(problem: Problem, unit: PairUnit) -> PairInputs:
    """Read both members of each pair of a unit, each block once where it fits into memory."""
    rows, back = np.unique(np.concatenate([unit.left, unit.right]), return_inverse=True)
    inputs: Inputs | None = None
    if len(problem.stripes(len(rows))) == 1:
        inputs, responses = problem.load(rows)
    else:
        responses = np.asarray(problem.source.read_responses(rows), dtype=np.float64)
    left, right = back.reshape(2, -1)
    half = 0.5 * (responses[left] - responses[right]) * unit.ratio[:, None]
    return PairInputs(problem, rows, inputs, left, right, half, one_hot(responses))


@dataclass(frozen=True)
class _Adder:
    """What adds a micro-batch of pairs to the sums of a unit."""

    sums: PairSums
    side: Side
    evaluate: Callable[[Inputs], Tensor]
    weight: Tensor | None
    pilot: Tensor
    sparse: bool

    def add(self, start: Inputs, stop: Inputs, position: Tensor, half: Tensor, groups: tuple[Tensor, Tensor]) -> None:
        difference = flatten(stop) - flatten(start)
        if self.side.forward:
            points = between(start, stop, position)
            maps = cell_derivatives(self.evaluate, points, difference, self.pilot, self.sums.cells)
            batch = PairBatch(points, maps[:, :0, 0], difference, groups)
            add_heads(self.sums, batch, half, maps, self.weight)
            return
        points = shift(start, stop, position)
        with torch.enable_grad():
            outputs = self.evaluate(points)
        batch = PairBatch(points, outputs, difference, groups)
        if self.side.latents:
            add_heads(self.sums, batch, half, latent_maps(self.sums, batch, self.pilot), self.weight)
        elif self.sparse:
            add_sparse(self.sums, batch, half, self.pilot)
        else:
            add_dense(self.sums, batch, half, self.pilot)


def pair_unit(
    problem: Problem, design: PairDesign, pilot: Array, keep: Keep, index: int, *, side: Side | None = None
) -> PairState:
    """Compute the sums of one unit of a design.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    design : PairDesign
        Which pairs.
    pilot : array (target or latent, component)
        The control variate's gradient g.
    keep : {"all", "regions", "none"}
        Of which cells to keep the sums of each group's pairs.
    index : int
        Number of the unit.
    side : Side, optional
        Of what derivatives are taken; ``pilot`` is that of the latents where these are.

    Returns
    -------
    PairState
    """
    chosen, unit, device = side or Side(), design.unit(index), problem.device
    pairs = read_pairs(problem, unit)
    if problem.reads_ahead and index + 1 < design.n_units:
        following = design.unit(index + 1)
        problem.expect(np.unique(np.concatenate([following.left, following.right])))
    n_targets = pairs.half.shape[1]
    members = problem.groups[np.stack([unit.left, unit.right])]
    present = np.unique(members) if keep != "none" else np.zeros(0, np.int64)
    sums = PairSums.zeros(problem.cells, keep, n_targets, len(present), pairs.one()[0])
    outputs = problem.outputs if chosen.forward or len(pilot) == 1 else prepare(problem.outputs, pairs.one())
    readout = find_readout(outputs, pairs.one()) if chosen.latents else None
    sparse = pairs.classes and not chosen.latents and not chosen.forward
    kept = np.arange(len(unit.left))
    if pairs.classes:
        kept = _speaking(pairs.half)
        pairs = pairs.kept(kept)
    first, second = np.searchsorted(present, members[:, kept]) if len(present) else members[:, kept]
    again = np.where(first == second, len(present), second)
    gradient = torch.as_tensor(pilot, device=device, dtype=problem.dtype)
    evaluate = outputs if readout is None else readout.latents
    adder = _Adder(sums, chosen, evaluate, None if readout is None else readout.weight, gradient, sparse)
    weights = torch.as_tensor(pairs.half, device=device, dtype=problem.dtype)
    position = torch.as_tensor(unit.position[kept], device=device, dtype=problem.dtype)
    groups = torch.as_tensor(first, device=device), torch.as_tensor(again, device=device)
    for rows in _batches(problem, chosen, len(pilot), len(kept)):
        adder.add(*pairs.ends(rows), position[rows], weights[rows], (groups[0][rows], groups[1][rows]))
    return _state(sums, unit, len(design.bounds), present, members, len(kept))


def _speaking(half: Array) -> Rows:
    """Return the pairs that contribute: pairs of one class do not, and no gradient is spent on them.

    A few are kept to fill the last micro-batch up, since the first pass of a size takes much longer than others.
    """
    silent = ~np.any(half != 0, axis=1)
    kept = np.flatnonzero(~silent)
    return np.concatenate([kept, np.flatnonzero(silent)[: -len(kept) % TAIL]])


def _batches(problem: Problem, side: Side, n_heads: int, n: int) -> list[slice]:
    """Cut pairs into micro-batches, so small that maps of all heads fit into memory."""
    if side.latents or side.forward:
        width = problem.cells.total if problem.cells.pooled else problem.n_components
        itemsize = torch.empty(0, dtype=problem.dtype).element_size()
        room = LATENT_BYTES // max(1, n_heads * width * itemsize)
        problem = replace(problem, batch_size=max(1, min(problem.batch_size, room)))
    return problem.batches(n)


def _state(
    sums: PairSums,
    unit: PairUnit,
    units: int,
    present: npt.NDArray[np.int64],
    members: npt.NDArray[np.int64],
    evaluations: int,
) -> PairState:
    """Centre the sums of a unit and count the weight of the pairs, silent ones included."""
    within = _moments(sums, len(unit.left), unit.weight)
    n, n_targets = len(present), len(sums.one)
    weight = np.zeros(n)
    if n:
        left, right = np.searchsorted(present, members)
        apart = left != right
        weight += np.bincount(left, unit.ratio, n) + np.bincount(right[apart], unit.ratio[apart], n)
    width = sums.touching.shape[1]
    touching = sums.by_group().mul_(unit.weight).cpu().numpy().reshape(n if width else 0, n_targets, width)
    if sums.keep == "all":
        touching = sums.cells.extended(touching)
    return PairState.of_unit(
        within,
        unit.replicate,
        units,
        group=present,
        touching=touching,
        touching_weight=unit.weight * weight,
        evaluations=evaluations,
    )


def _moments(sums: PairSums, count: int, weight: float) -> Moments:
    one, square = sums.one.cpu().numpy(), sums.square.cpu().numpy()
    total = sums.cells.extended(sums.map.cpu().numpy())
    cross = sums.cells.extended(sums.cross.cpu().numpy())
    n = max(count, 1)
    return Moments(
        block=np.zeros(1, np.int64),
        weight=np.array([weight * count]),
        mean_scalars=(one / n)[None, :, None],
        mean_map=(total / n)[None],
        scalars=weight * (square - one**2 / n)[None, :, None, None],
        scalar_map=weight * (cross - one[:, None] * total / n)[None, :, None],
        map=np.zeros((1, len(one), 0)),
        absolute_map=np.zeros((1, len(one), 0)),
    )
