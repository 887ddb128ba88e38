"""How large the effects of regions are in some samples: what judges methods by the terms that they mishandle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from igc.attribution.drawn import BaselinePool, uniform_draws
from igc.attribution.estimate import MapEstimate
from igc.attribution.gradients import flatten
from igc.attribution.prepared import prepare
from igc.attribution.problem import Problem, Rows
from igc.attribution.tables import Table
from igc.attribution.taylor.engines import Region, by_sets
from igc.attribution.taylor.guided import pilot_rows
from igc.attribution.taylor.parts import gradients_at
from igc.stats.moments import Array

__all__ = ["SIZES", "effect_sizes"]

SIZES = ("first", "independent", "interactive", "first_order_error", "hidden_zero")
"""What is measured: mean absolute effects; what the first-order expansion at the input leaves out; and the importance
of inputs that are zero. The first four are shares of the mean absolute change of the output."""
SIZED_SAMPLES = 64


def effect_sizes(problem: Problem, pool: BaselinePool, labels: npt.NDArray[np.int64], pairs: bool) -> Table:
    """Measure effects on some samples, each with one random baseline.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    pool : BaselinePool
        Where baselines come from.
    labels : array of int (component,)
        Region of each component, from 0.
    pairs : bool
        Whether the size of interactive effects is that of every pair, and of what three and more do, added up; else
        that of their sum, in which they may cancel.

    Returns
    -------
    Table
        (target, size), with a standard error over samples.
    """
    rows = pilot_rows(problem.n_samples, SIZED_SAMPLES)
    problem = replace(problem, outputs=prepare(problem.outputs, problem.load(rows[:4])[0]))
    batches = problem.batches(len(rows))
    sizes = np.concatenate([_sizes(problem, pool, labels, pairs, rows[batch]) for batch in batches])
    hidden = _hidden(problem, rows)
    n = len(rows)
    left = np.stack([_shares(np.delete(sizes, i, axis=0), np.delete(hidden, i, axis=0)) for i in range(n)])
    estimate = MapEstimate(_shares(sizes, hidden), without_group=left if n > 2 else None)
    return Table(estimate, {"size": np.array(SIZES, dtype=object)})


def _shares(sizes: Array, hidden: Array) -> Array:
    """Turn sums over samples into shares, (target, size)."""
    total, importance = sizes.mean(axis=0), hidden.mean(axis=0)
    change, whole = total[:, -1:], importance[:, 1:]
    shares = np.divide(total[:, :-1], change, out=np.zeros_like(total[:, :-1]), where=change > 0)
    return np.concatenate([shares, np.divide(importance[:, :1], whole, out=np.zeros_like(whole), where=whole > 0)], 1)


def _sizes(problem: Problem, pool: BaselinePool, labels: npt.NDArray[np.int64], pairs: bool, rows: Rows) -> Array:
    """Return absolute effects and the absolute change, (sample, target, size)."""
    stop = problem.load(rows)[0]
    start = pool.draw(uniform_draws(problem.seed, "taylor sizes", rows, 0, 1)[:, 0])
    region = Region(problem.outputs, start, stop, labels, problem.batch_size)
    terms = by_sets(region, pairs)
    together = terms.interactive_total.abs()
    if terms.pairs is not None:
        together = 0.5 * terms.pairs.abs().sum(dim=(-1, -2))
        together = together + (terms.interactive_total - 0.5 * terms.pairs.sum(dim=(-1, -2))).abs()
    at_input = region.slopes(1.0).sum(dim=-1)
    parts = [terms.first.abs().sum(dim=-1), terms.independent.abs().sum(dim=-1), together]
    values = torch.stack([*parts, (terms.change - at_input).abs(), terms.change.abs()], dim=-1)
    return np.asarray(values.double().cpu().numpy())


def _hidden(problem: Problem, rows: Rows) -> Array:
    """Return the importance of inputs that are zero, and of all, (sample, target, 2): gradient times deviation."""
    inputs = list(_loaded(problem, rows))
    deviation = np.concatenate([flat for flat, _ in inputs]).std(axis=0)
    importance = [np.abs(gradients) * deviation for _, gradients in inputs]
    zero = [(part * (flat == 0)[:, None]).sum(axis=2) for part, (flat, _) in zip(importance, inputs, strict=True)]
    return np.stack([np.concatenate(zero), np.concatenate([part.sum(axis=2) for part in importance])], axis=2)


def _loaded(problem: Problem, rows: Rows) -> Iterator[tuple[Array, Array]]:
    for batch in problem.batches(len(rows)):
        inputs = problem.load(rows[batch])[0]
        yield flatten(inputs).double().cpu().numpy(), gradients_at(problem, inputs)
