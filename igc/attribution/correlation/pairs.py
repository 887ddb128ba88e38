"""One pass over pairs of samples: the sums that Integrated Gradient Correlation with the data as baseline is made of.

For samples n and m, a point x = x_m + t (x_n - x_m) and target k, a pair contributes to component i

    v_i = 1/2 (y_n - y_m)_k (x_n - x_m)_i (d_i f_k(x) - g_ki)

where g is a pilot estimate of the mean gradient: the linear control variate, whose expectation g_ki cov(x_i, y_k) is
added back exactly. The gradient at one point serves both samples as each other's baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.correlation.design import PairDesign, PairUnit
from igc.attribution.gradients import Inputs, flatten, shift, vector_jacobian
from igc.attribution.problem import Problem
from igc.attribution.readout import find_readout
from igc.errors import StateMismatchError, explain
from igc.stats.moments import Array, Moments

__all__ = ["PairState", "pair_unit", "pilot_gradient"]


LATENT_BYTES = 64 << 20
"""Maps of latents, and of a block of targets, are held for so many pairs at a time that they fit into this."""
COVARIANCE_STEP = 8
PILOT_PAIRS = 1024
"""Pairs that estimate the mean gradient of the control variate."""


@dataclass(frozen=True)
class PairState:
    """Mergeable sums over pairs.

    Attributes
    ----------
    moments : Moments
        Blocks are replicates; the scalar is the pair's sum over components, the map its v.
    group : array of int (group,)
        Labels of the groups that any pair touches, increasing.
    touching : array (group, target, component)
        Weighted sum of v over the pairs that touch a group, each counted once.
    touching_weight : array (group,)
        Their weight.
    evaluations : int
        Gradient points used.
    """

    moments: Moments
    group: npt.NDArray[np.int64]
    touching: Array
    touching_weight: Array
    evaluations: int

    def merge(self, other: PairState) -> PairState:
        """Combine with the sums over other pairs of the same design."""
        if self.touching.shape[1:] != other.touching.shape[1:]:
            seen, allowed = other.touching.shape[1:], self.touching.shape[1:]
            raise StateMismatchError(explain("pair sums", seen, allowed, "merge states of one design"))
        groups = np.union1d(self.group, other.group)
        touching = np.zeros((len(groups), *self.touching.shape[1:]))
        weight = np.zeros(len(groups))
        for state in (self, other):
            rows = np.searchsorted(groups, state.group)
            touching[rows] += state.touching
            weight[rows] += state.touching_weight
        evaluations = self.evaluations + other.evaluations
        return PairState(self.moments.merge(other.moments), groups, touching, weight, evaluations)

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the state as named arrays."""
        return {
            **{f"moments.{name}": value for name, value in self.moments.to_arrays().items()},
            "group": self.group,
            "touching": self.touching,
            "touching_weight": self.touching_weight,
            "evaluations": np.array([self.evaluations]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> PairState:
        """Rebuild a state from :meth:`to_arrays`."""
        moments = {
            name.removeprefix("moments."): value for name, value in arrays.items() if name.startswith("moments.")
        }
        return cls(
            Moments.from_arrays(moments),
            np.asarray(arrays["group"], dtype=np.int64),
            np.asarray(arrays["touching"], dtype=np.float64),
            np.asarray(arrays["touching_weight"], dtype=np.float64),
            int(arrays["evaluations"][0]),
        )


@dataclass
class _Sums:
    """Running sums of a unit on the device: float64 across micro-batches, the model's precision within one.

    Few pairs of a unit touch the same group, so these sums keep the model's precision until the unit ends.
    """

    one: Tensor  # (target,) of s
    square: Tensor  # (target,) of s^2
    map: Tensor  # (target, component) of v
    cross: Tensor  # (target, component) of s v
    touching: Tensor  # (group * target, component)

    @classmethod
    def zeros(cls, n_targets: int, n_components: int, n_groups: int, like: Tensor) -> _Sums:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=like.device)

        k, d = n_targets, n_components
        return cls(zeros(k), zeros(k), zeros(k, d), zeros(k, d), like.new_zeros(n_groups * k, d))


@dataclass(frozen=True)
class _Batch:
    """A micro-batch of pairs on the device."""

    points: Inputs
    outputs: Tensor
    difference: Tensor  # (pair, component) x_n - x_m
    groups: tuple[Tensor, Tensor]  # group of left and right (-1: not counted again)


def _contribution(batch: _Batch, column: Tensor, half: Tensor, pilot: Tensor, *, keep: bool) -> Tensor:
    """Return v of every pair for one output a pair, (pair, component), consuming one vector-Jacobian product."""
    gradient = vector_jacobian(column, half, batch.points, keep=keep)
    return gradient.sub_(half[:, None] * pilot).mul_(batch.difference)


def _scatter(sums: _Sums, values: Tensor, targets: Tensor | int, batch: _Batch) -> None:
    """Add each pair's map to the groups of its members."""
    if not len(sums.touching):
        return
    n_targets = len(sums.one)
    for groups in batch.groups:
        if bool((groups < 0).any()):
            counted = groups >= 0
            sums.touching.index_add_(0, (groups * n_targets + targets)[counted], values[counted])
        else:
            sums.touching.index_add_(0, groups * n_targets + targets, values)


def _add_dense(sums: _Sums, batch: _Batch, half: Tensor, pilot: Tensor) -> None:
    """One product a target, for responses without structure."""
    for k in range(half.shape[1]):
        values = _contribution(batch, batch.outputs[:, k], half[:, k], pilot[k], keep=k < half.shape[1] - 1)
        total = values.sum(dim=1)
        sums.one[k] += total.double().sum()
        sums.square[k] += total.double().square().sum()
        both = torch.stack([torch.ones_like(total), total]) @ values
        sums.map[k] += both[0].double()
        sums.cross[k] += both[1].double()
        _scatter(sums, values, k, batch)


def _add_sparse(sums: _Sums, batch: _Batch, half: Tensor, pilot: Tensor) -> None:
    """Two products a point, where a response is one-hot: only the classes of the two samples differ."""
    for step, classes in enumerate((half.argmax(dim=1), half.argmin(dim=1))):
        amount = half.gather(1, classes[:, None])[:, 0]
        column = batch.outputs.gather(1, classes[:, None])[:, 0]
        values = _contribution(batch, column, amount, pilot[classes], keep=step == 0)
        total = values.sum(dim=1)
        members = torch.nn.functional.one_hot(classes, half.shape[1]).to(values.dtype).T
        sums.one += members.double() @ total.double()
        sums.square += members.double() @ total.double().square()
        sums.map += (members @ values).double()
        sums.cross += ((members * total) @ values).double()
        _scatter(sums, values, classes, batch)


def _add_latents(sums: _Sums, batch: _Batch, half: Tensor, pilot: Tensor, weight: Tensor) -> None:
    """One product a latent and one matrix product, where outputs are a linear readout of few latents."""
    n, n_latents = batch.outputs.shape
    ones = torch.ones(n, dtype=half.dtype, device=half.device)
    maps = torch.empty((n, n_latents, batch.difference.shape[1]), dtype=half.dtype, device=half.device)
    for z in range(n_latents):
        values = _contribution(batch, batch.outputs[:, z], ones, pilot[z], keep=z < n_latents - 1)
        maps[:, z] = values
    read = _read_out_resolved if len(sums.touching) else _read_out
    step = max(1, LATENT_BYTES // (n * max(maps.shape[1:]) * maps.element_size()))
    for first in range(0, half.shape[1], step):
        chosen = slice(first, first + step)
        read(sums, batch, chosen, half[:, chosen, None] * weight[chosen], maps)


def _read_out(sums: _Sums, batch: _Batch, chosen: slice, mixing: Tensor, maps: Tensor) -> None:
    """Sum over pairs and latents in one matrix product; the covariance with the sum is taken of every eighth pair.

    That covariance only says where the gap to the score is taken up, and any shares that add to 1 close the map.
    """
    total = torch.einsum("nkz,nz->nk", mixing, maps.sum(dim=2))
    product = torch.einsum("nkz,nzd->kd", mixing, maps).double()
    some = slice(None, None, COVARIANCE_STEP)
    n, m = len(maps), len(total[some])
    weighted = torch.einsum("nkz,nzd->kd", mixing[some] * total[some, :, None], maps[some]).double()
    one, part = total.double().sum(dim=0), total[some].double().sum(dim=0)
    sums.one[chosen] += one
    sums.square[chosen] += total.double().square().sum(dim=0)
    sums.map[chosen] += product
    sums.cross[chosen] += weighted * (n / m) + (one - part * (n / m))[:, None] * product / n


def _read_out_resolved(sums: _Sums, batch: _Batch, chosen: slice, mixing: Tensor, maps: Tensor) -> None:
    """Make the map of every pair and target, to be summed by group too."""
    values = torch.bmm(mixing, maps)
    total = values.sum(dim=2)
    sums.one[chosen] += total.double().sum(dim=0)
    sums.square[chosen] += total.double().square().sum(dim=0)
    sums.map[chosen] += values.sum(dim=0).double()
    sums.cross[chosen] += torch.einsum("nk,nkd->kd", total, values).double()
    for k in range(values.shape[1]):
        _scatter(sums, values[:, k], chosen.start + k, batch)


def _one_hot(responses: Array) -> bool:
    return responses.shape[1] > 2 and bool(
        np.all((responses == 0) | (responses == 1)) and np.all(responses.sum(axis=1) == 1)
    )


def _read_pairs(problem: Problem, unit: PairUnit) -> tuple[Inputs, Inputs, Array, bool]:
    """Read both members of each pair, each block once."""
    rows, back = np.unique(np.concatenate([unit.left, unit.right]), return_inverse=True)
    inputs, responses = problem.load(rows)
    n = len(unit.left)
    index = torch.as_tensor(back.reshape(-1), device=problem.device)
    left = tuple(x[index[:n]] for x in inputs)
    right = tuple(x[index[n:]] for x in inputs)
    half = 0.5 * (responses[back[:n]] - responses[back[n:]])
    return left, right, half, _one_hot(responses)


def pair_unit(
    problem: Problem, design: PairDesign, pilot: Array, resolved: bool, index: int, *, by_latents: bool = False
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
    resolved : bool
        Whether to keep the sums of each group's pairs.
    index : int
        Number of the unit.
    by_latents : bool
        Whether to go through the input of a linear last layer; ``pilot`` is then that of the latents.

    Returns
    -------
    PairState
    """
    unit = design.unit(index)
    left, right, half, one_hot = _read_pairs(problem, unit)
    members = problem.groups[np.stack([unit.left, unit.right])]
    present = np.unique(members) if resolved else np.zeros(0, np.int64)
    sums = _Sums.zeros(half.shape[1], pilot.shape[1], len(present), left[0])
    readout = find_readout(problem.outputs, tuple(x[:1] for x in left)) if by_latents else None
    sparse = one_hot and readout is None
    if sparse:  # pairs of one class contribute nothing: no gradient is spent on them
        keep = np.flatnonzero(np.any(half != 0, axis=1))
        pairs = torch.as_tensor(keep, device=problem.device)
        left, right, half = tuple(x[pairs] for x in left), tuple(x[pairs] for x in right), half[keep]
    else:
        keep = np.arange(len(half))
    first, second = np.searchsorted(present, members[:, keep]) if resolved else members[:, keep]
    again = np.where(first == second, -1, second)
    device = problem.device
    weights = torch.as_tensor(half, device=device, dtype=problem.dtype)
    gradient = torch.as_tensor(pilot, device=device, dtype=problem.dtype)
    position = torch.as_tensor(unit.position[keep], device=device, dtype=problem.dtype)
    groups = torch.as_tensor(first, device=device), torch.as_tensor(again, device=device)
    add = _add_sparse if sparse else _add_dense
    evaluate: Callable[[Inputs], Tensor] = problem.outputs
    if readout is not None:
        add, evaluate = partial(_add_latents, weight=readout.weight), readout.latents
        room = LATENT_BYTES // (pilot.size * gradient.element_size())
        problem = replace(problem, batch_size=max(1, min(problem.batch_size, room)))
    for rows in problem.batches(len(keep)):
        start, stop = tuple(x[rows] for x in right), tuple(x[rows] for x in left)
        points = shift(start, stop, position[rows])
        with torch.enable_grad():
            outputs = evaluate(points)
        difference = flatten(stop) - flatten(start)
        batch = _Batch(points, outputs, difference, (groups[0][rows], groups[1][rows]))
        add(sums, batch, weights[rows], gradient)
    return _state(sums, unit, present, members, len(keep))


def _state(
    sums: _Sums, unit: PairUnit, present: npt.NDArray[np.int64], members: npt.NDArray[np.int64], evaluations: int
) -> PairState:
    """Centre the sums of a unit and count the weight of the pairs, silent ones included."""
    moments = _moments(sums, unit.replicate, len(unit.left), unit.weight)
    n = len(present)
    weight = np.zeros(n)
    if n:
        left, right = np.searchsorted(present, members)
        weight += np.bincount(left, minlength=n) + np.bincount(right[left != right], minlength=n)
    touching = sums.touching.double().cpu().numpy().reshape(n, *sums.map.shape)
    return PairState(moments, present, unit.weight * touching, unit.weight * weight, evaluations)


def _moments(sums: _Sums, replicate: int, count: int, weight: float) -> Moments:
    one, square = sums.one.cpu().numpy(), sums.square.cpu().numpy()
    total, cross = sums.map.cpu().numpy(), sums.cross.cpu().numpy()
    n = max(count, 1)
    return Moments(
        block=np.array([replicate]),
        weight=np.array([weight * count]),
        mean_scalars=(one / n)[None, :, None],
        mean_map=(total / n)[None],
        scalars=weight * (square - one**2 / n)[None, :, None, None],
        scalar_map=weight * (cross - one[:, None] * total / n)[None, :, None],
        map=np.zeros((1, len(one), 0)),
        absolute_map=np.zeros((1, len(one), 0)),
    )


def pilot_gradient(problem: Problem, *, by_latents: bool = False) -> tuple[Array, int]:
    """Estimate the mean gradient of each output, weighted by the squared difference of the responses.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    by_latents : bool
        Estimate the gradient of the latents instead, weighted by the mean over responses.

    Returns
    -------
    array (target or latent, component), int
        The gradient, exact for a linear model, and the number of gradient points used. The pairs are none of those
        that the estimator draws, so that it stays without bias.
    """
    bounds = tuple(problem.block_bounds())
    fraction = min(1.0, PILOT_PAIRS / problem.n_samples)
    design = PairDesign(bounds, problem.seed, 0, 1, fraction, purpose="pilot")
    readout = find_readout(problem.outputs, problem.load(np.arange(1))[0]) if by_latents else None
    evaluate: Callable[[Inputs], Tensor] = problem.outputs if readout is None else readout.latents
    sums: Array = np.zeros(())
    total: Array = np.zeros(())
    evaluations = 0
    for index in range(design.n_units):
        unit = design.unit(index)
        left, right, half, _ = _read_pairs(problem, unit)
        weights = half**2
        if readout is not None:
            weights = np.repeat(weights.mean(axis=1, keepdims=True), readout.weight.shape[1], axis=1)
        sums = sums + unit.weight * _weighted_gradient(problem, evaluate, left, right, weights, unit.position)
        total = total + unit.weight * weights.sum(axis=0)
        evaluations += len(half)
    return np.divide(sums, total[:, None], out=np.zeros_like(sums), where=total[:, None] > 0), evaluations


def _weighted_gradient(
    problem: Problem,
    evaluate: Callable[[Inputs], Tensor],
    left: Inputs,
    right: Inputs,
    weights: Array,
    position: Array,
) -> Array:
    """Return the sum over pairs of weight times gradient, (target, component)."""
    cotangent = torch.as_tensor(weights, device=problem.device, dtype=problem.dtype)
    where = torch.as_tensor(position, device=problem.device, dtype=problem.dtype)
    n_targets = weights.shape[1]
    gradient = np.zeros((n_targets, problem.n_components))
    for rows in problem.batches(len(weights)):
        points = shift(tuple(x[rows] for x in right), tuple(x[rows] for x in left), where[rows])
        with torch.enable_grad():
            outputs = evaluate(points)
        for k in range(n_targets):
            part = vector_jacobian(outputs[:, k], cotangent[rows, k], points, keep=k < n_targets - 1)
            gradient[k] += part.double().sum(dim=0).cpu().numpy()
    return gradient
