"""Baseline Shapley values by random orders of the features (arXiv 1908.08474); the model is a black box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.drawn import MAX_REPLICATES, BaselinePool, uniform_draws
from igc.attribution.gradients import Inputs, Outputs, flatten, unflatten
from igc.attribution.problem import Rows
from igc.errors import MethodError, ShapeError, explain

__all__ = ["BaselineShapley", "feature_labels"]


def feature_labels(choice: Any, shapes: Sequence[tuple[int, ...]]) -> npt.NDArray[np.int64]:
    """Return which feature each component belongs to.

    Parameters
    ----------
    choice : None, int, array or tuple of array
        None: every component is a feature. A number: squares of so many rows and columns of an image, over all
        channels. A label array of the input's shape, or of its leading axes, which then hold for all others; one an
        input where there are several.
    shapes : sequence of tuple of int
        Shape of each input.

    Returns
    -------
    array (component,)
        Numbers from 0.

    Raises
    ------
    MethodError, ShapeError
        If the choice does not fit the inputs.
    """
    if choice is None:
        return np.arange(int(sum(np.prod(shape, dtype=np.int64) for shape in shapes)))
    if isinstance(choice, (bool, str)):
        allowed = "a number of pixels, a label array or an ROI set"
        raise MethodError(explain("features", repr(choice), allowed, "choose one of them"))
    if isinstance(choice, (int, np.integer)):
        given: Sequence[Any] = [_squares(int(choice), shape) for shape in shapes]
    else:
        given = choice if isinstance(choice, (tuple, list)) and len(shapes) > 1 else [choice]
    if len(given) != len(shapes):
        raise ShapeError(explain("features", f"{len(given)} arrays", f"{len(shapes)}, one an input", "pass a tuple"))
    parts, first = [], 0
    for labels, shape in zip(given, shapes, strict=True):
        parts.append(_numbered(np.asarray(labels), shape) + first)
        first = int(parts[-1].max()) + 1
    return np.concatenate(parts)


def _squares(side: int, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    if side < 1 or len(shape) < 2:
        seen = f"squares of {side} in inputs of shape {shape}"
        raise MethodError(explain("features", seen, "at least 1, for images", "give a label array"))
    down, across = (np.arange(n) // side for n in shape[-2:])
    return np.broadcast_to(down[:, None] * (across[-1] + 1) + across, shape)


def _numbered(labels: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    if not labels.ndim or labels.shape != shape[: labels.ndim]:
        remedy = "pass a label for each component"
        raise ShapeError(explain("features", labels.shape, f"{shape}, or its leading axes", remedy))
    spread = np.broadcast_to(labels.reshape(*labels.shape, *[1] * (len(shape) - labels.ndim)), shape)
    return np.unique(spread, return_inverse=True)[1].reshape(-1).astype(np.int64)


@dataclass(frozen=True)
class BaselineShapley:
    """Mean change of the outputs when a feature is switched from its baseline to its value, over random orders.

    Orders come in pairs, one the reverse of the other, which makes models of pairwise products exact; each pair draws
    its own baseline. What a feature of several components gets is divided evenly between them.

    Attributes
    ----------
    pool : BaselinePool
        Where baselines come from.
    features : array of int (component,)
        From :func:`feature_labels`.
    pairs : int
        Pairs of orders a sample.
    seed : int
        Seed of the draws.
    batch_size : int
        Points a forward pass.
    """

    pool: BaselinePool
    features: npt.NDArray[np.int64]
    pairs: int
    seed: int
    batch_size: int

    @property
    def replicates(self) -> int:
        """Number of independent estimates."""
        return min(self.pairs, MAX_REPLICATES)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.features.max()) + 1

    @property
    def n_draws(self) -> int:
        """Draws a sample, over all replicates: each a baseline with a pair of orders."""
        return self.replicates * -(-self.pairs // self.replicates)

    def evaluations(self, n_samples: int) -> int:
        """Return the number of forward passes for so many samples."""
        return n_samples * self.n_draws * 2 * self.n_features

    def replicate(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the maps of a batch, (batch, target, component)."""
        parts = self.draws(outputs, inputs, rows, index)
        total = next(parts)[0]
        for part, _ in parts:
            total = total + part
        return total * (self.replicates / self.n_draws)

    def draws(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Iterator[tuple[Tensor, Rows]]:
        """Yield the draws of a replicate, and the numbers of the samples that are their baselines."""
        n, d = self.n_draws // self.replicates, self.n_features
        uniform = uniform_draws(self.seed, "baseline shapley", rows, index, n * (d + 1))
        for j in range(n):
            drawn = uniform[:, j * (d + 1) : (j + 1) * (d + 1)]
            # the rank of uniform numbers is a random order
            rank = torch.as_tensor(np.argsort(np.argsort(drawn[:, 1:], axis=1), axis=1), device=inputs[0].device)
            with torch.no_grad():
                values = self._pair(outputs, self.pool.draw(drawn[:, 0]), inputs, rank)
            yield self._spread(values), self.pool.rows(drawn[:, 0])

    def _spread(self, values: Tensor) -> Tensor:
        """Divide what features get between their components, (batch, feature, target) -> (batch, target, component)."""
        members = torch.as_tensor(self.features, device=values.device)
        size = torch.bincount(members, minlength=self.n_features).to(values.dtype)
        return (values / size[:, None]).transpose(1, 2)[:, :, members]

    def _pair(self, outputs: Outputs, start: Inputs, stop: Inputs, rank: Tensor) -> Tensor:
        """Return the mean of an order and its reverse, (batch, feature, target)."""
        ends = torch.stack([outputs(start), outputs(stop)])
        last = self.n_features - 1
        return 0.5 * (
            self._walk(outputs, start, stop, rank, ends) + self._walk(outputs, start, stop, last - rank, ends)
        )

    def _walk(self, outputs: Outputs, start: Inputs, stop: Inputs, rank: Tensor, ends: Tensor) -> Tensor:
        """Switch features one after the other; return each one's change, (batch, feature, target)."""
        n, d = len(rank), self.n_features
        when = rank[:, torch.as_tensor(self.features, device=rank.device)]
        low, high = flatten(start), flatten(stop)
        step = max(1, self.batch_size // n)
        values = [ends[:1]]
        for first in range(1, d, step):
            switched = torch.arange(first, min(first + step, d), device=rank.device)
            points = torch.where(when < switched[:, None, None], high, low).reshape(len(switched) * n, -1)
            values.append(outputs(unflatten(points, stop)).reshape(len(switched), n, -1))
        change = torch.cat([*values, ends[1:]]).diff(dim=0)
        return change.transpose(0, 1).gather(1, rank[:, :, None].expand(-1, -1, change.shape[2]))
