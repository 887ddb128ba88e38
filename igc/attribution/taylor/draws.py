"""One pass over the samples for the parts of Integrated Gradient Correlation: effects between random pairs.

Samples are taken in small sets. Every set has a set of baselines, a stretch of a random permutation of all samples,
and each draw moves on by one: in a round every pair is met once, and every sample is a baseline as often as it is
explained. Four things then lower the noise at hardly any cost, and none moves what is estimated:

- what an effect owes to its baseline alone is unrelated to the response of the sample: the mean of the other samples
  that met the baseline is taken off;
- half of the linear control variate is the gradient at the baseline, whose mean is that of the first-order part;
- slopes on the way of all have what the random place adds taken off to second order, (t - 1/2) D.(f'(x_n) - f'(x_m));
- the effect of a region together with others comes in two ways. *Coupled*: slopes on the way of all and of the region
  alone at the same t, 0 at every draw for a model without cross terms; but slopes alone cost most, and only some
  samples of a draw have them. *Free*: slopes on the way of all minus the change by the region alone, for all. Both are
  unbiased; they are averaged by what they are worth.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.drawn import uniform_draws
from igc.attribution.gradients import Inputs, flatten
from igc.attribution.problem import Problem, Rows
from igc.attribution.taylor.parts import Design, TaylorState, gradients_at, joint_slopes, solo_slopes
from igc.attribution.taylor.points import region_masks
from igc.seeding import generator
from igc.stats.moments import Array, Moments

__all__ = ["SET", "taylor_unit"]

SET = 64
"""Samples that share baselines."""


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
    total: TaylorState | None = None
    for start in range(-(-first // SET) * SET, last, SET):
        rows = np.arange(start, min(start + SET, problem.n_samples))
        state = _set_state(problem, design, resolved, rows)
        total = state if total is None else total.merge(state)
    return _nothing(problem, design) if total is None else total


def _nothing(problem: Problem, design: Design) -> TaylorState:
    """Return the state of a block in which no set begins."""
    inputs, responses = problem.load(np.arange(1))
    n, targets = design.n_regions, responses.shape[1]
    effects = 3 * n + (n + n * (n - 1) // 2 if design.matrix else 0)
    gradients = Moments.empty(targets, targets, 2, flatten(inputs).shape[1])
    maps = Moments.empty(targets, targets, 3, effects)
    return TaylorState(gradients, maps, maps)


def _set_state(problem: Problem, design: Design, resolved: bool, rows: Rows) -> TaylorState:
    """Compute the moments over one set of samples."""
    inputs, responses = problem.load(rows)
    predictions = problem.predict(inputs)
    flat = flatten(inputs).double().cpu().numpy()
    rest = predictions - flat @ design.pilot.T
    groups = problem.groups[rows] if resolved else None
    batches = problem.batches(len(rows))
    gradients = Moments.empty(responses.shape[1], responses.shape[1], 2, flat.shape[1])
    if design.pool.shared is not None:
        found = [design.shared_effects(problem, tuple(x[batch] for x in inputs)) for batch in batches]
        effects = torch.cat(found).detach().double().cpu().numpy()[None]
    else:
        at_samples = np.concatenate([gradients_at(problem, tuple(x[batch] for x in inputs)) for batch in batches])
        gradients = Moments.of(np.stack([responses, predictions], axis=2), at_samples, groups)
        effects = _drawn_effects(problem, design, inputs, rows, at_samples)
    parts = [
        _moments(responses, predictions, rest, one, design, np.full(len(rows), index))
        for index, one in enumerate(effects)
    ]
    maps = _moments(responses, predictions, rest, effects.mean(axis=0), design, groups)
    return TaylorState(gradients, maps, Moments.join(parts))


def _drawn_effects(problem: Problem, design: Design, inputs: Inputs, rows: Rows, at_samples: Array) -> Array:
    """Return the effects of a set by draw, (draw, sample, target, effect)."""
    n, rounds = len(rows), []
    for number, first in enumerate(range(0, design.draws, n)):
        order = generator(design.seed, "taylor baselines", number).permutation(problem.n_samples)
        baselines = order[rows]
        start = problem.load(baselines)[0]
        at_baselines = np.concatenate(
            [gradients_at(problem, tuple(x[batch] for x in start)) for batch in problem.batches(n)]
        )
        drawn = []
        for index in range(first, min(first + n, design.draws)):
            places = (np.arange(n) + index) % n
            met = tuple(x[torch.as_tensor(places, device=x.device)] for x in start)
            position = uniform_draws(design.seed, "taylor", rows, index, 1)[:, 0]
            spared = (rows + index) % design.every != 0
            change = at_samples - at_baselines[places]
            drawn.append(
                np.concatenate(
                    [
                        _effects(
                            problem,
                            design,
                            tuple(x[batch] for x in met),
                            tuple(x[batch] for x in inputs),
                            position[batch],
                            spared[batch],
                            (at_baselines[places[batch]], change[batch]),
                        )
                        for batch in problem.batches(n)
                    ]
                )
            )
        rounds.append(_without_baselines(np.stack(drawn), first, design.n_regions))
    return np.concatenate(rounds)


def _effects(
    problem: Problem,
    design: Design,
    start: Inputs,
    stop: Inputs,
    place: Array,
    spared: npt.NDArray[np.bool_],
    gradients: tuple[Array, Array],
) -> Array:
    """Return the effects of one draw, (sample, target, effect).

    Parameters
    ----------
    problem, design
        What is explained and drawn.
    start, stop : tuple of torch.Tensor (sample, ...)
        Baselines and samples.
    place : array (sample,)
        Place on the way.
    spared : array of bool (sample,)
        Which samples have no coupled effects.
    gradients : tuple of array (sample, target, component)
        The gradient at the baseline, and what it is at the sample beyond that.
    """
    masks = region_masks(design.labels, stop[0].device)
    difference = flatten(stop) - flatten(start)
    position = torch.as_tensor(place, dtype=difference.dtype, device=difference.device)
    solo, further = design.values(problem, start, stop, masks)
    joint = joint_slopes(problem, start, stop, masks, position)
    at_start, bend = (_along(one, difference, masks) for one in gradients)
    alone = solo - design.local * at_start - (1 - design.local) * design.control(difference, masks)
    free = joint - (position - 0.5)[:, None, None] * bend - solo
    coupled = torch.zeros_like(joint)
    here = torch.as_tensor(np.flatnonzero(~spared), device=joint.device)
    if len(here):
        low, high = tuple(x[here] for x in start), tuple(x[here] for x in stop)
        apart = joint[here] - solo_slopes(problem, low, high, masks, position[here])
        coupled[here] = design.every * apart
    return torch.cat([alone, coupled, free, *further], dim=2).detach().double().cpu().numpy()


def _along(gradients: Array, difference: Tensor, masks: Tensor) -> Tensor:
    """Return slopes along each region, (sample, target, region)."""
    slopes = torch.as_tensor(gradients, dtype=difference.dtype, device=difference.device) * difference[:, None]
    return slopes @ masks.to(slopes.dtype).T


def _without_baselines(effects: Array, first: int, n_regions: int) -> Array:
    """Take off the mean effect of the other samples that met the same baseline in a round; not of coupled effects.

    Parameters
    ----------
    effects : array (draw, sample, target, effect)
        Sample i of draw k met baseline i + first + k, modulo the number of samples.
    first : int
        Number of the first draw.
    n_regions : int

    Returns
    -------
    array (draw, sample, target, effect)
    """
    n_draws, n = effects.shape[:2]
    if n_draws < 2:
        return effects
    met = (np.arange(n) + np.arange(first, first + n_draws)[:, None]) % n
    sums = np.zeros(effects.shape[1:])
    for places, one in zip(met, effects, strict=True):
        sums[places] += one
    centred = np.stack([(n_draws * e - sums[places]) / (n_draws - 1) for places, e in zip(met, effects, strict=True)])
    coupled = slice(n_regions, 2 * n_regions)
    centred[..., coupled] = effects[..., coupled]
    return centred


def _moments(
    responses: Array, predictions: Array, rest: Array, effects: Array, design: Design, blocks: npt.ArrayLike | None
) -> Moments:
    """Return moments with the residual: the sum of the effects minus the output that is not in the control variate."""
    n = design.n_regions
    residual = effects[..., :n].sum(axis=2) + effects[..., 2 * n : 3 * n].sum(axis=2) - rest
    return Moments.of(np.stack([responses, predictions, residual], axis=2), effects, blocks)
