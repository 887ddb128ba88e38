"""Occlusion: what the outputs lose when components are switched to their baseline (arXiv 1311.2901, 1612.08220)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten, unflatten
from igc.attribution.problem import Rows
from igc.attribution.standard.baseline_shapley import feature_labels
from igc.errors import MethodError, explain

__all__ = ["Occlusion", "Patches", "label_patches", "square_patches"]


@dataclass(frozen=True)
class Patches:
    """Sets of components that are switched together; they may overlap and leave components out.

    Attributes
    ----------
    members : array of int (member,)
        The components of one patch after the other.
    bounds : array of int (patch + 1,)
        Where each patch starts in ``members``, and the end.
    n_components : int
        Components of all inputs together.
    """

    members: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    n_components: int

    def __len__(self) -> int:
        """Return the number of patches."""
        return len(self.bounds) - 1

    def mask(self, start: int, stop: int) -> Tensor:
        """Return which components some patches cover, (patch, component)."""
        covered = torch.zeros(stop - start, self.n_components, dtype=torch.bool)
        within = slice(self.bounds[start], self.bounds[stop])
        owner = np.repeat(np.arange(stop - start), np.diff(self.bounds[start : stop + 1]))
        covered[torch.as_tensor(owner), torch.as_tensor(self.members[within])] = True
        return covered

    def spreading(self) -> Tensor:
        """Return the sparse matrix (component, patch) that hands the effects of patches to their components.

        The effect of a patch is divided evenly between its components, so that the map of patches that do not overlap
        sums to the effects; where patches overlap, a component has the mean of what it gets.
        """
        size = np.diff(self.bounds)
        owner = np.repeat(np.arange(len(self)), size)
        times = np.bincount(self.members, minlength=self.n_components)
        weights = 1.0 / (size[owner] * times[self.members])
        where = torch.as_tensor(np.stack([self.members, owner]))
        shape = (self.n_components, len(self))
        return torch.sparse_coo_tensor(where, torch.as_tensor(weights), shape, check_invariants=True).coalesce()


def _patches(groups: Sequence[npt.NDArray[np.int64]], n_components: int) -> Patches:
    bounds = np.cumsum([0, *(len(group) for group in groups)])
    return Patches(np.concatenate(groups), bounds, n_components)


def label_patches(choice: Any, shapes: Sequence[tuple[int, ...]]) -> Patches:
    """Return one patch a feature.

    Parameters
    ----------
    choice
        As for :func:`igc.attribution.standard.baseline_shapley.feature_labels`; None: each component by itself.
    shapes : sequence of tuple of int
        Shape of each input.

    Returns
    -------
    Patches
    """
    labels = feature_labels(choice, shapes)
    order = np.argsort(labels, kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(labels))])
    return Patches(order.astype(np.int64), bounds, len(labels))


def square_patches(side: int, stride: int, shapes: Sequence[tuple[int, ...]]) -> Patches:
    """Return squares of pixels over all channels; each component of a vector is a patch of its own.

    Parameters
    ----------
    side : int
        Rows and columns of a patch.
    stride : int
        Rows and columns from one patch to the next; the last ones are cut at the border of the image.
    shapes : sequence of tuple of int
        Shape of each input; the last two axes of one are row and column.

    Returns
    -------
    Patches

    Raises
    ------
    MethodError
        If patches would leave pixels between them.
    """
    for name, value in (("patch", side), ("stride", stride)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise MethodError(explain(name, repr(value), "a number of pixels, at least 1", "correct it"))
    if stride > side:
        raise MethodError(explain("stride", stride, f"1 to {side}, the patch", "choose a smaller stride"))
    groups: list[npt.NDArray[np.int64]] = []
    offsets = np.cumsum([0, *(int(np.prod(shape, dtype=np.int64)) for shape in shapes)])
    for shape, (first, last) in zip(shapes, pairwise(offsets), strict=True):
        numbers = np.arange(first, last).reshape(shape)
        if len(shape) < 2:
            groups += [numbers[i : i + 1] for i in range(len(numbers))]
            continue
        downs, acrosses = (_starts(n, side, stride) for n in shape[-2:])
        groups += [numbers[..., i : i + side, j : j + side].reshape(-1) for i in downs for j in acrosses]
    return _patches(groups, int(offsets[-1]))


def _starts(length: int, side: int, stride: int) -> range:
    """Return where patches start on an axis: no more than it takes to reach its end."""
    return range(0, max(length - side, 0) + stride, stride)


@dataclass(frozen=True)
class Occlusion:
    """What the outputs lose when a patch is switched to its baseline, averaged over shared baselines.

    One forward pass serves all targets, for which captum's classes need a pass a target.

    Attributes
    ----------
    baselines : tuple of torch.Tensor (baseline, ...)
        Reference inputs.
    patches : Patches
        What is switched.
    batch_size : int
        Points a forward pass.
    """

    baselines: Inputs
    patches: Patches
    batch_size: int

    def evaluations(self, n_samples: int) -> int:
        """Return the number of forward passes for so many samples."""
        return n_samples * (1 + len(self.baselines[0]) * len(self.patches))

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target, component)."""
        n, d, here = len(inputs[0]), len(self.patches), flatten(inputs)
        step = min(d, max(1, self.batch_size // max(n, 1)))
        effects: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, d, step):
                stop = min(start + step, d)
                if start == 0 or stop - start < step:
                    # in a batch of the same shape, so that what the model ignores has an effect of exactly zero
                    whole = outputs(unflatten(here.repeat(stop - start, 1), inputs))
                effects.append(self._effects(outputs, inputs, whole, start, stop))
            together = torch.cat(effects, dim=2)
            spreading = self.patches.spreading().to(together.device, together.dtype)
            flat = torch.sparse.mm(spreading, together.reshape(-1, d).T)
        maps: Tensor = flat.T.reshape(n, -1, self.patches.n_components)
        return maps

    def _effects(self, outputs: Outputs, inputs: Inputs, whole: Tensor, start: int, stop: int) -> Tensor:
        """Return the effects of some patches, (batch, target, patch)."""
        n, count, here = len(inputs[0]), stop - start, flatten(inputs)
        covered = self.patches.mask(start, stop).to(here.device)[:, None]
        total = torch.zeros_like(whole)
        reference = flatten(self.baselines)
        for baseline in reference:
            points = torch.where(covered, baseline, here).reshape(count * n, -1)
            total += whole - outputs(unflatten(points, inputs))
        return (total / len(reference)).reshape(count, n, -1).permute(1, 2, 0)
