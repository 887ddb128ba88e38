"""Attributions of single samples that follow from what the terms say is wrong with others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.drawn import BaselinePool, uniform_draws
from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients, shift, unflatten
from igc.attribution.problem import Problem, Rows
from igc.attribution.taylor.parts import gradients_at
from igc.attribution.taylor.points import region_masks
from igc.stats.moments import Array

__all__ = ["InteractionAware", "SegmentedTaylor", "UnbiasedGradients", "choose_segments", "pilot_rows"]

SEGMENT_TOLERANCE = 0.01
"""Share of the change of the outputs that segments may leave unexplained, over some samples."""
MAX_SEGMENTS = 64
PILOT_SAMPLES = 256
"""Samples whose gradients make a control variate."""


def pilot_rows(n_samples: int, count: int = PILOT_SAMPLES) -> Rows:
    """Return the numbers of some samples, evenly spread."""
    return np.unique(np.linspace(0, n_samples - 1, min(n_samples, count)).astype(np.int64))


@dataclass(frozen=True)
class InteractionAware:
    """What each region does alone: gradients on the path on which nothing but the region moves.

    Terms inside a region stay in it, component by component; those that join it with another region are left out, so
    that the sum over a region is what the region does by itself. Integrated Gradients mixes both.

    Attributes
    ----------
    pool : BaselinePool
        Where baselines come from.
    labels : array of int (component,)
        Region of each component, from 0.
    draws : int
        Baselines, each with a point of every region's path, a sample.
    seed : int
        Of the draws.
    batch_size : int
        Points a pass.
    """

    pool: BaselinePool
    labels: npt.NDArray[np.int64]
    draws: int
    seed: int
    batch_size: int

    @property
    def replicates(self) -> int:
        """Number of independent estimates."""
        return self.draws

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * self.draws * (int(self.labels.max()) + 1)

    def replicate(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the maps of a batch, (batch, target, component)."""
        uniform = uniform_draws(self.seed, "interaction aware", rows, index, 2)
        start, stop = flatten(self.pool.draw(uniform[:, 0])), flatten(inputs)
        position = torch.as_tensor(uniform[:, 1:], dtype=stop.dtype, device=stop.device)
        change = stop - start
        masks = region_masks(self.labels, stop.device)
        step, total = max(1, self.batch_size // max(len(stop), 1)), torch.zeros(())
        for first in range(0, len(masks), step):
            moved = masks[first : first + step, None].to(stop.dtype)
            points = unflatten((start + moved * (position * change)).reshape(-1, stop.shape[1]), inputs)
            leaves = tuple(x.detach().requires_grad_() for x in points)
            gradients = torch.stack(output_gradients(outputs, leaves), dim=1)
            parts = gradients.reshape(len(moved), len(stop), -1, stop.shape[1]) * (moved * change)[:, :, None]
            total = total.to(stop.device) + parts.sum(dim=0)
        return total


@dataclass(frozen=True)
class SegmentedTaylor:
    """First-order terms around the middle of each segment of the path, added up.

    Around the middle of a segment the terms of second order cancel between its ends, so that a segment leaves out
    nothing below third order, and the error falls with the square of the number of segments. With more and more of
    them this becomes Integrated Gradients.

    Attributes
    ----------
    baselines : tuple of torch.Tensor (baseline, ...)
        Shared reference inputs, averaged over.
    segments : int
        Segments of each path.
    """

    baselines: Inputs
    segments: int

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * len(self.baselines[0]) * self.segments

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target, component)."""
        total = torch.zeros(())
        for b in range(len(self.baselines[0])):
            start = tuple(x[b].expand_as(y) for x, y in zip(self.baselines, inputs, strict=True))
            change = (flatten(inputs) - flatten(start))[:, None] / self.segments
            for s in range(self.segments):
                middle = inputs[0].new_full((len(inputs[0]),), (s + 0.5) / self.segments)
                gradients = torch.stack(output_gradients(outputs, shift(start, inputs, middle)), dim=1)
                total = total.to(change.device) + gradients * change
        return total / len(self.baselines[0])


def choose_segments(problem: Problem, baselines: Inputs, points: float | None) -> int:
    """Return how many segments explain the change of the outputs.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    baselines : tuple of torch.Tensor (baseline, ...)
        Shared reference inputs.
    points : float, optional
        Gradient points a sample, over all baselines; default: so many segments that :data:`SEGMENT_TOLERANCE` is kept
        on some samples, at most :data:`MAX_SEGMENTS`.

    Returns
    -------
    int
    """
    if points is not None:
        return max(1, round(points / len(baselines[0])))
    inputs = problem.load(pilot_rows(problem.n_samples, 32))[0]
    reference = problem.predict(baselines).mean(axis=0)
    change = problem.predict(inputs) - reference
    segments = 1
    while segments < MAX_SEGMENTS:
        maps = SegmentedTaylor(baselines, segments).attribute(problem.outputs, inputs, np.arange(len(change)))
        left = maps.detach().double().sum(dim=2).cpu().numpy() - change
        if np.linalg.norm(left) <= SEGMENT_TOLERANCE * np.linalg.norm(change):
            break
        segments *= 2
    return segments


@dataclass(frozen=True)
class UnbiasedGradients:
    """Expected Gradients with the data as baseline and a linear control variate: no input is hidden by its baseline.

    A single baseline hides every component that equals it. Over all samples as baselines none is hidden, but few draws
    leave much noise: what a linear model with the mean gradient p would give, p_i (x_i - m_i), is taken off each draw,
    and its mean over all baselines, p_i (x_i - mean of m_i), put in its place.

    Attributes
    ----------
    pool : BaselinePool
        Where baselines come from.
    problem : Problem
        Its samples make the control variate.
    draws : int
        Baselines, each with a point of the path, a sample.
    """

    pool: BaselinePool
    problem: Problem
    draws: int

    @property
    def replicates(self) -> int:
        """Number of independent estimates."""
        return self.draws

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * self.draws

    @cached_property
    def _control(self) -> tuple[Array, Array]:
        """Mean gradient of some samples, (target, component), and mean of all baselines, (component,)."""
        rows = pilot_rows(self.problem.n_samples)
        total = np.zeros(())
        for batch in self.problem.batches(len(rows)):
            total = total + gradients_at(self.problem, self.problem.load(rows[batch])[0]).sum(axis=0)
        if self.pool.shared is not None:
            return np.asarray(total / len(rows)), flatten(self.pool.shared).double().mean(dim=0).cpu().numpy()
        sums = np.zeros(self.problem.n_components)
        for first, last in self.problem.block_bounds():
            sums += flatten(self.problem.load(np.arange(first, last))[0]).double().sum(dim=0).cpu().numpy()
        return np.asarray(total / len(rows)), sums / self.problem.n_samples

    def replicate(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the maps of a batch, (batch, target, component)."""
        uniform = uniform_draws(self.problem.seed, "unbiased gradients", rows, index, 2)
        start, stop = self.pool.draw(uniform[:, 0]), flatten(inputs)
        position = torch.as_tensor(uniform[:, 1], dtype=stop.dtype, device=stop.device)
        gradients = torch.stack(output_gradients(outputs, shift(start, inputs, position)), dim=1)
        pilot, mean = (torch.as_tensor(part, dtype=stop.dtype, device=stop.device) for part in self._control)
        return (gradients - pilot) * (stop - flatten(start))[:, None] + pilot * (stop - mean)[:, None]
