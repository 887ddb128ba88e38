"""How many draws: more where they matter, as many as the wanted error of the dataset's map takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from igc.attribution.gradients import Inputs
from igc.attribution.information.fills import MIN_DRAWS, Fills, doublings
from igc.attribution.information.predictive import Categories, Measure, Values
from igc.attribution.problem import Problem
from igc.stats.moments import Array

__all__ = ["Goal", "allot", "unit_for"]

PILOT_SAMPLES = 16
SAMPLING_SHARE = 1 / 3
"""Without another goal, the error of the draws is this share of the sampling error."""
STEP = 2.0**0.5
BIAS = 0.05
"""Bias in nats that may be taken off, unless a number of draws is asked for."""


@dataclass(frozen=True)
class Goal:
    """What decides the number of draws: a number, a relative error, or a share of the sampling error.

    Attributes
    ----------
    draws : float, optional
        Draws a block, on average over blocks and samples.
    tolerance : float, optional
        Relative error of the mean map.
    decided : bool
        Whether the number is decided already.
    """

    draws: float | None = None
    tolerance: float | None = None
    decided: bool = False


def allot(problem: Problem, fills: Fills, goal: Goal) -> Fills:
    """Decide the number of draws, from a few samples.

    The error of a sum of estimates with a given number of draws in all is smallest when each has draws in proportion
    to the spread of a single one (Neyman allocation).

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    fills : Fills
        What is drawn and measured.
    goal : Goal

    Returns
    -------
    Fills
        With the spread for which one draw is made, and what judges spreads.
    """
    fewest = goal.draws is not None and goal.draws <= MIN_DRAWS
    if goal.decided or fewest or fills.most == 0 or fills.sampler.fixed:
        return fills
    n = problem.n_samples
    rows = np.unique(np.linspace(0, n - 1, min(n, PILOT_SAMPLES)).round().astype(np.int64))
    inputs, responses = problem.load(rows)
    first = replace(fills, judge=_judge(fills, inputs, problem), bias=math.inf, unit=None)
    fills = replace(first, bias=math.inf if goal.draws is not None else BIAS)
    first = replace(first, measure=first.judge)
    spread, value, noise = [], [], []
    for batch in first.batches(len(rows), responses.shape[1]):
        truth = torch.as_tensor(responses[batch], device=problem.device)
        for found in first.run(tuple(x[batch] for x in inputs), rows[batch], truth):
            shape = found.spread.shape
            spread.append((batch.start, found.first, found.spread))
            value.append((batch.start, found.first, found.loss.value.mean(dim=1).reshape(shape).cpu().numpy()))
            variance = found.loss.variance().mean(dim=1).reshape(shape)
            noise.append((batch.start, found.first, variance.cpu().numpy()))
    spreads, values, variances = (_joined(parts, len(rows), len(fills.blocks)) for parts in (spread, value, noise))
    return replace(fills, unit=unit_for(spreads, values, variances, n, goal, fills.most))


def _judge(fills: Fills, inputs: Inputs, problem: Problem) -> Measure:
    """Return what decides where draws matter.

    Of values it is the gain where the noise of each response is taken to be as large as what is predicted, since the
    noise is not known for outputs that are not explained.
    """
    if isinstance(fills.measure.predictive, Categories):
        return replace(fills.measure, predictive=Categories())
    with torch.no_grad():
        parts = [fills.outputs(tuple(x[some] for x in inputs)).double() for some in problem.batches(len(inputs[0]))]
    variance = torch.cat(parts).var(dim=0, correction=0)
    return Measure(Values(torch.where(variance > 0, variance, torch.ones_like(variance))), "gain")


def _joined(parts: list[tuple[int, int, Array]], n_rows: int, n_blocks: int) -> Array:
    table = np.empty((n_rows, n_blocks))
    for row, block, values in parts:
        table[row : row + values.shape[0], block : block + values.shape[1]] = values
    return table


def unit_for(spread: Array, value: Array, noise: Array, n_samples: int, goal: Goal, most: int) -> float | None:
    """Return the largest spread for one draw that reaches a goal.

    Parameters
    ----------
    spread : array (row, block)
        Standard deviation of a draw, of some samples.
    value, noise : array (row, block)
        Their measure, and the variance that the draws leave in it.
    n_samples : int
        Samples of the dataset.
    goal : Goal
    most : int
        Doublings of draws at most.

    Returns
    -------
    float, optional
        None where the least number of draws reaches it.
    """
    if not spread.any():
        return None
    between = np.maximum(value.var(axis=0, ddof=1) - noise.mean(axis=0), 0.0) if len(value) > 1 else np.zeros(1)
    allowed = SAMPLING_SHARE**2 * float(between.sum())
    if goal.tolerance is not None:
        allowed = goal.tolerance**2 * n_samples * float((value.mean(axis=0) ** 2).sum())
    unit: float | None = None
    candidate = float(spread.max()) / MIN_DRAWS
    while True:
        draws = MIN_DRAWS * 2.0 ** doublings(torch.as_tensor(spread), unit, most).numpy()
        if goal.draws is None and float((spread**2 / draws).mean(axis=0).sum()) <= allowed:
            return unit
        finer = MIN_DRAWS * 2.0 ** doublings(torch.as_tensor(spread), candidate, most).numpy()
        if goal.draws is not None and finer.mean() > goal.draws:
            return unit
        if bool((draws == MIN_DRAWS * 2**most)[spread > 0].all()):
            return unit
        unit, candidate = candidate, candidate / STEP
