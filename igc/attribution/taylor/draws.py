"""One pass over the samples for the parts of Integrated Gradient Correlation: effects between random pairs.

Samples are taken in small sets. Every set has a set of baselines, a stretch of a random permutation of all samples,
and each draw moves on by a random step: in a round every pair is met once, and every sample is a baseline as often as
it is explained, so that what contributions owe to one of both alone adds up to nothing. Outputs and gradients at the
samples and baselines are computed once, and serve all pairs. None of what then lowers the noise moves what is
estimated:

- what an effect owes to its baseline alone is unrelated to the response of the sample: the mean of the other samples
  that met the baseline is taken off;
- half of the linear control variate of a region alone is the gradient at the baseline, whose mean is that of the
  first-order part;
- a slope on the way of all serves both ends of the way, with half the difference of their responses, as in ``igc``: of
  classes only two differ. The straight line between the slopes at both ends is taken off, whose mean over all pairs is
  known from sums over samples, 1/2 [E(y x f'(x)) + cov(y, x) E f'(x)] with y and x centred;
- the effect of a region together with others comes in two ways. *Free*: slopes on the way of all minus the change by
  the region alone, for all pairs. *Coupled*: slopes on the way of all and of the region alone at the same point, 0 at
  every draw for a model without cross terms; but slopes alone cost most, and only a few pairs have them. Both are
  unbiased; they are averaged by what they are worth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, flatten, output_gradients, shift, vector_jacobian
from igc.attribution.prepared import prepare
from igc.attribution.problem import Problem, Rows
from igc.attribution.taylor.moved import MovedOutputs
from igc.attribution.taylor.parts import Design, TaylorState, solo_slopes
from igc.attribution.taylor.points import TAIL, joint_slopes, region_masks, subset_slopes
from igc.seeding import generator
from igc.stats.moments import Array, Moments

__all__ = ["SET", "taylor_unit"]

SET = 64
"""Samples that share baselines."""
SPARED = 256
FEWEST = 8
"""One of :data:`SPARED` pairs has slopes on the way of each region alone, but at least so many of every set and round,
and all where there is a single draw."""


def taylor_unit(problem: Problem, design: Design, resolved: bool, unit: int) -> TaylorState:
    """Compute the moments over the sets that begin in one design block.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    design : Design
        What is drawn.
    resolved : bool
        Whether to keep the groups apart.
    unit : int
        The design block.

    Returns
    -------
    TaylorState
    """
    first, last = problem.block_bounds()[unit]
    few, responses = problem.load(np.arange(min(4, problem.n_samples)))
    prepared = replace(problem, outputs=prepare(problem.outputs, few))
    moved = design.moved(prepared, tuple(x[:1] for x in few), SET)
    total = _nothing(problem, design, responses.shape[1], resolved)
    for start in range(-(-first // SET) * SET, last, SET):
        rows = np.arange(start, min(start + SET, problem.n_samples))
        make = _drawn_state if design.pool.shared is None else _shared_state
        total = total.merge(make(prepared, design, moved, resolved, rows))
    return total


def _nothing(problem: Problem, design: Design, n_targets: int, resolved: bool) -> TaylorState:
    """Return the state of a block in which no set begins."""
    gradients = Moments.empty(n_targets, n_targets, 2, problem.n_components + design.n_regions)
    maps = Moments.empty(n_targets, n_targets, 3, design.n_effects)
    n_groups = int(problem.groups.max()) + 1 if resolved and design.pool.shared is None else 0
    return TaylorState(gradients, maps, maps, np.zeros((n_groups, n_targets, design.n_effects)), np.zeros(n_groups))


def _shared_state(problem: Problem, design: Design, moved: MovedOutputs, resolved: bool, rows: Rows) -> TaylorState:
    """Compute the moments over one set against shared baselines: the residual is what quadrature leaves."""
    inputs, responses = problem.load(rows)
    predictions = problem.predict(inputs)
    parts = []
    for batch in problem.batches(len(rows)):
        here = tuple(x[batch] for x in inputs)
        known = torch.as_tensor(predictions[batch], dtype=here[0].dtype, device=here[0].device)
        parts.append(design.shared_effects(problem, moved, here, known))
    n, effects = design.n_regions, _double(torch.cat(parts))
    rest = predictions - _double(flatten(inputs)) @ design.pilot.T
    centred = responses - design.centre
    residual = centred * (effects[..., :n].sum(axis=2) + effects[..., 2 * n : 3 * n].sum(axis=2) - rest)
    scalars, values = np.stack([responses, predictions, residual], axis=2), centred[..., None] * effects
    groups = problem.groups[rows] if resolved else None
    empty = _nothing(problem, design, responses.shape[1], resolved)
    return replace(empty, maps=Moments.of(scalars, values, groups), replicates=Moments.of(scalars, values))


@dataclass(frozen=True)
class _Known:
    """What is computed once a sample, and serves every pair that it is part of.

    Attributes
    ----------
    rows : array of int (sample,)
        Numbers of the samples.
    inputs : tuple of torch.Tensor (sample, ...)
    responses, predictions : array (sample, target)
    gradients : torch.Tensor (sample, target, component)
    """

    rows: Rows
    inputs: Inputs
    responses: Array
    predictions: Array
    gradients: Tensor

    @classmethod
    def of(cls, problem: Problem, rows: Rows) -> _Known:
        """Load samples, and compute outputs and gradients at them."""
        inputs, responses = problem.load(rows)
        batches = problem.batches(len(rows))
        points = [tuple(x[batch].detach().clone().requires_grad_() for x in inputs) for batch in batches]
        found = [torch.stack(output_gradients(problem.outputs, x), dim=1).detach() for x in points]
        return cls(rows, inputs, responses, problem.predict(inputs), torch.cat(found))

    @property
    def outputs(self) -> Tensor:
        """The predictions on the device, in the precision of the model."""
        return torch.as_tensor(self.predictions, dtype=self.gradients.dtype, device=self.gradients.device)


def _drawn_state(problem: Problem, design: Design, moved: MovedOutputs, resolved: bool, rows: Rows) -> TaylorState:
    """Compute the moments over one set of samples with others as baselines."""
    samples, n = _Known.of(problem, rows), len(rows)
    state = _nothing(problem, design, samples.responses.shape[1], resolved)
    groups = problem.groups[rows] if resolved else None
    found, met = [], []
    for number, first in enumerate(range(0, design.draws, n)):
        order = generator(design.seed, "taylor baselines", number).permutation(problem.n_samples)
        baselines = _Known.of(problem, order[rows])
        chosen = _Round(problem, design, moved, samples, baselines, first, min(first + n, design.draws))
        found.append(chosen.contributions())
        met.append(baselines.rows[chosen.met])
    contributions = np.concatenate(found)
    if resolved:
        _add_by_baseline(state, contributions, problem.groups[np.concatenate(met)])
    parts = [_moments(samples, one, design, np.full(n, index)) for index, one in enumerate(contributions)]
    maps = _moments(samples, contributions.mean(axis=0), design, groups)
    return replace(
        state, gradients=_gradient_moments(design, samples, groups), maps=maps, replicates=Moments.join(parts)
    )


def _add_by_baseline(state: TaylorState, contributions: Array, groups: Rows) -> None:
    """Add distances of draws to the mean of their sample, of which they are part, to the groups (draw, sample) met."""
    n_draws = len(contributions)
    apart = (contributions - contributions.mean(axis=0)) * (n_draws / max(n_draws - 1, 1))
    np.add.at(state.by_baseline, groups.reshape(-1), apart.reshape(-1, *apart.shape[2:]))
    np.add.at(state.baseline_draws, groups.reshape(-1), 1.0)


def _moments(samples: _Known, contributions: Array, design: Design, blocks: npt.ArrayLike | None) -> Moments:
    """Return moments with the residual: what slopes on the way of all add to the sum of the parts."""
    n = design.n_regions
    residual = contributions[..., :n].sum(axis=2) + contributions[..., 2 * n : 3 * n].sum(axis=2)
    return Moments.of(np.stack([samples.responses, samples.predictions, residual], axis=2), contributions, blocks)


def _gradient_moments(design: Design, samples: _Known, groups: npt.ArrayLike | None) -> Moments:
    """Return moments of the gradient, and of its product with the centred input by region."""
    gradients, members = _double(samples.gradients), design.labels == np.arange(design.n_regions)[:, None]
    products = gradients * (_double(flatten(samples.inputs)) - design.middle)[:, None]
    maps = np.concatenate([gradients, products @ members.T.astype(np.float64)], axis=2)
    return Moments.of(np.stack([samples.responses, samples.predictions], axis=2), maps, groups)


@dataclass(frozen=True)
class _Round:
    """Draws of a set of samples in which no pair is met twice.

    Attributes
    ----------
    problem, design
        What is explained and drawn.
    moved : MovedOutputs
        What predicts samples of which one region has moved.
    samples, baselines : _Known
        Sample i of draw k meets baseline i plus the step of the draw, modulo their number.
    first, last : int
        Number of the first draw, and of the one behind the last.
    """

    problem: Problem
    design: Design
    moved: MovedOutputs
    samples: _Known
    baselines: _Known
    first: int
    last: int

    @cached_property
    def met(self) -> Rows:
        """Place of the baseline of each draw, (draw, sample).

        Draws move on by random steps: if by one, neighbours would share most of their baselines, and the noise that
        samples hand each other through the means of baselines would add up.
        """
        n, number = len(self.samples.rows), int(self.samples.rows[0]) // SET
        steps = generator(self.design.seed, "taylor steps", number, self.first).permutation(n)
        return np.asarray((np.arange(n) + steps[: self.last - self.first, None]) % n)

    @property
    def pairs(self) -> tuple[Rows, Rows]:
        """Place of the baseline and of the sample of each pair, draw after draw."""
        return self.met.reshape(-1), np.tile(np.arange(len(self.samples.rows)), self.last - self.first)

    def ends(self, pairs: tuple[Rows, Rows]) -> tuple[Inputs, Inputs]:
        """Return the baselines and the samples of pairs."""
        both = zip((self.baselines, self.samples), pairs, strict=True)
        low, high = (tuple(x[torch.as_tensor(at, device=x.device)] for x in one.inputs) for one, at in both)
        return low, high

    def contributions(self) -> Array:
        """Return effects times centred responses, (draw, sample, target, effect)."""
        design, pairs, shape = self.design, self.pairs, self.met.shape
        masks = region_masks(design.labels, self.samples.inputs[0].device)
        ends, known = zip(*((one.inputs, one.outputs) for one in (self.baselines, self.samples)), strict=True)
        solo, further = design.values(self.moved, ends, pairs, known)
        at_start, at_stop = self._end_slopes(pairs)
        linear = design.control(flatten(self.samples.inputs), masks)[pairs[1]]
        linear -= design.control(flatten(self.baselines.inputs), masks)[pairs[0]]
        alone = solo - design.local * at_start - (1 - design.local) * linear
        effects = _double(torch.cat([alone, *further], dim=2))
        centred = (self.samples.responses - design.centre)[..., None]
        own = centred * _without_baselines(effects.reshape(*shape, *effects.shape[1:]), self.met)
        if len(own) > 1:  # the mean of others is that of all but the sample, whose responses do not add up to nothing
            own *= 1 - 1 / self.problem.n_samples
        place = self._places()
        joint = self._joint(pairs, place, at_start, at_stop, masks).reshape(*shape, *solo.shape[1:])
        coupled = self._coupled(pairs, place, masks).reshape(joint.shape) * centred
        n = design.n_regions
        return np.concatenate([own[..., :n], coupled, joint - own[..., :n], own[..., n:]], axis=3)

    def _places(self) -> Array:
        """Return the place of each pair on its way, one in each of as many stretches as the set has samples."""
        n, number = len(self.samples.rows), int(self.samples.rows[0]) // SET
        draws = (generator(self.design.seed, "taylor", number, index) for index in range(self.first, self.last))
        return np.concatenate([(one.permutation(n) + one.random(n)) / n for one in draws])

    def _end_slopes(self, pairs: tuple[Rows, Rows]) -> tuple[Tensor, Tensor]:
        """Return slopes along each region at the baseline and at the sample, (pair, target, region)."""
        low, high = flatten(self.baselines.inputs), flatten(self.samples.inputs)
        start, stop = pairs
        at_start = low.new_empty(len(start), self.samples.gradients.shape[1], self.design.n_regions)
        at_stop = torch.empty_like(at_start)
        for r in range(self.design.n_regions):
            inside = torch.as_tensor(np.flatnonzero(self.design.labels == r), device=low.device)
            ends = (part[:, inside] for part in (low, high))
            bends = (one.gradients[..., inside] for one in (self.baselines, self.samples))
            (a, b), (at_a, at_b) = ends, bends
            at_start[..., r] = _products(b, at_a)[stop, start] - (a[:, None] * at_a).sum(dim=2)[start]
            at_stop[..., r] = (b[:, None] * at_b).sum(dim=2)[stop] - _products(a, at_b)[start, stop]
        return at_start, at_stop

    def _joint(self, pairs: tuple[Rows, Rows], place: Array, at_start: Tensor, at_stop: Tensor, masks: Tensor) -> Array:
        """Return contributions of slopes on the way of all minus the line between both ends, (pair, target, region)."""
        half = 0.5 * (self.samples.responses[pairs[1]] - self.baselines.responses[pairs[0]])
        t = torch.as_tensor(place, dtype=at_start.dtype, device=at_start.device)[:, None, None]
        amount = torch.as_tensor(half, dtype=at_start.dtype, device=at_start.device)
        values = -amount[..., None] * torch.lerp(at_start, at_stop, t)
        spoken = np.flatnonzero(np.any(half != 0, axis=1))
        filled = np.resize(spoken, -(-len(spoken) // TAIL) * TAIL)
        sparse = half.shape[1] > 2 and bool(((half != 0).sum(axis=1) <= 2).all())
        for batch in self.problem.batches(len(filled)):
            some = filled[batch]
            start, stop = self.ends((pairs[0][some], pairs[1][some]))
            here = torch.as_tensor(some, device=t.device)
            found = _pair_slopes(self.problem, start, stop, t[here, 0, 0], amount[here], masks, sparse)
            new = max(0, min(len(some), len(spoken) - batch.start))
            values[here[:new]] += found[:new]
        return _double(values)

    def _coupled(self, pairs: tuple[Rows, Rows], place: Array, masks: Tensor) -> Array:
        """Return slopes on the way of all minus those alone for a few pairs, 0 for others, (pair, target, region)."""
        values = np.zeros((len(place), self.samples.responses.shape[1], self.design.n_regions))
        count = min(len(place), max(FEWEST, -(-len(place) // SPARED)))
        if self.design.draws == 1:
            count = len(place)
        random = generator(self.design.seed, "taylor coupled", int(self.samples.rows[0]) // SET, self.first)
        chosen = np.sort(random.permutation(len(place))[:count])
        for batch in self.problem.batches(count):
            some = chosen[batch]
            start, stop = self.ends((pairs[0][some], pairs[1][some]))
            position = torch.as_tensor(place[some], dtype=start[0].dtype, device=start[0].device)
            apart = joint_slopes(self.problem.outputs, start, stop, masks, position, self.problem.batch_size)
            apart = apart - solo_slopes(self.problem, start, stop, masks, position)
            values[some] = len(place) / count * _double(apart)
        return values


def _pair_slopes(
    problem: Problem, start: Inputs, stop: Inputs, position: Tensor, amount: Tensor, masks: Tensor, sparse: bool
) -> Tensor:
    """Return slopes along each region on the way of all times an amount by target, (pair, target, region).

    One product a target, or a derivative a region where these are fewer; two products where only two amounts differ
    from 0.
    """
    if not sparse and amount.shape[1] > len(masks):
        every = torch.ones_like(masks)
        found = subset_slopes(problem.outputs, start, stop, every, masks, position, problem.batch_size)
        return found.permute(1, 2, 0) * amount[..., None]
    points, members = shift(start, stop, position), masks.T.to(amount.dtype)
    difference = flatten(stop) - flatten(start)
    if not sparse:
        every_gradient = torch.stack(output_gradients(problem.outputs, points), dim=1) * difference[:, None]
        return (every_gradient @ members) * amount[..., None]
    with torch.enable_grad():
        outputs = problem.outputs(points)
    found = amount.new_zeros(*amount.shape, len(masks))
    columns, own = amount.abs().topk(2, dim=1).indices, torch.arange(len(amount), device=amount.device)
    for i in range(2):
        column = columns[:, i]
        gradient = vector_jacobian(outputs[own, column], amount[own, column], points, keep=i == 0)
        found[own, column] = (gradient * difference) @ members
    return found


def _products(inputs: Tensor, gradients: Tensor) -> Tensor:
    """Return every input times every gradient, (input, sample, target)."""
    flat = gradients.reshape(-1, gradients.shape[2])
    return (inputs @ flat.T).reshape(len(inputs), *gradients.shape[:2])


def _double(values: Tensor) -> Array:
    """Return a tensor as an array in float64."""
    return np.asarray(values.detach().double().cpu().numpy())


def _without_baselines(effects: Array, met: Rows) -> Array:
    """Take off the mean effect of the other samples that met the same baseline in a round.

    Parameters
    ----------
    effects : array (draw, sample, target, effect)
    met : array of int (draw, sample)
        Place of the baseline; in every draw another one for each sample.

    Returns
    -------
    array (draw, sample, target, effect)
    """
    n_draws = len(effects)
    if n_draws < 2:
        return effects
    sums = np.zeros(effects.shape[1:])
    for places, one in zip(met, effects, strict=True):
        sums[places] += one
    return np.stack([(n_draws * e - sums[places]) / (n_draws - 1) for places, e in zip(met, effects, strict=True)])
