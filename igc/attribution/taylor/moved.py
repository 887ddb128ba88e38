"""Outputs where one region of a baseline has moved to an input: by the windows that it changes, or by whole inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten, unflatten
from igc.attribution.problem import Rows
from igc.attribution.taylor.points import TAIL
from igc.attribution.windows import WindowedNetwork, windowed

__all__ = ["MovedOutputs"]

NARROW = {1: 1 / 2, 3: 1 / 8}
"""Share of a vector, or of an image, from which on a subset is too wide for windows to be faster than whole inputs."""

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MovedOutputs:
    """What predicts inputs of which only one of some subsets has moved away from a baseline.

    Attributes
    ----------
    outputs : Outputs
        What is explained.
    subsets : torch.Tensor (subset, component)
        Booleans.
    batch_size : int
        Points a forward pass of the whole model.
    network : WindowedNetwork, optional
        The model run on windows, where it can be.
    moving, staying : dict of int to array of int (component,)
        Subsets that are run on windows of the baseline, and those of which the rest is put back into the input.
    """

    outputs: Outputs
    subsets: Tensor
    batch_size: int
    network: WindowedNetwork | None
    moving: dict[int, Index]
    staying: dict[int, Index]

    @classmethod
    def of(cls, outputs: Outputs, few: Inputs, subsets: Tensor, rows: int, batch_size: int) -> MovedOutputs:
        """Find out which subsets can be run on windows.

        Parameters
        ----------
        outputs, subsets, batch_size
            As above.
        few : tuple of torch.Tensor (sample, ...)
            Samples, on which windows must give what the model predicts.
        rows : int
            Baselines, or inputs, that will be there at a time.

        Returns
        -------
        MovedOutputs
        """
        shape = tuple(few[0].shape[1:])
        both = [_narrow(chosen, shape) if len(few) == 1 else {} for chosen in (subsets, ~subsets)]
        blocks = [block for part in both for block in part.values()]
        network = windowed(Outputs(outputs.model), few, blocks, rows) if blocks else None
        return cls(outputs, subsets, max(1, batch_size), network, *both)

    def values(self, ends: tuple[Inputs, Inputs], pairs: tuple[Rows, Rows], at_start: Tensor) -> Tensor:
        """Return the outputs of pairs where one subset has moved; nothing is run where nothing in it differs.

        Parameters
        ----------
        ends : tuple of Inputs (sample, ...)
            Baselines and inputs.
        pairs : tuple of array of int (pair,)
            Number of the baseline and of the input of each pair.
        at_start : torch.Tensor (baseline, target)
            The outputs at the baselines.

        Returns
        -------
        torch.Tensor (pair, subset, target)
        """
        low, high = (flatten(end) for end in ends)
        start, stop = (torch.as_tensor(which, device=low.device) for which in pairs)
        moves = self._differ((low, high), (start, stop))
        values = at_start[start][:, None].repeat(1, len(self.subsets), 1)
        with torch.no_grad():
            for number, who, found in self._by_windows(ends, (start, stop), moves):
                values[who, number] = found
                moves[who, number] = False
            pair, subset = torch.nonzero(moves, as_tuple=True)
            for first in range(0, len(pair), self.batch_size):
                here = slice(first, first + self.batch_size)
                who, which = pair[here], subset[here]
                points = torch.where(self.subsets[which], high[stop[who]], low[start[who]])
                full = min(self.batch_size, -(-len(points) // TAIL) * TAIL)
                points = torch.cat([points, points[:1].expand(full - len(points), -1)])
                values[who, which] = self.outputs(unflatten(points, ends[1]))[: len(who)]
        return values

    def _differ(self, flat: tuple[Tensor, Tensor], pairs: tuple[Tensor, Tensor]) -> Tensor:
        """Say which pairs differ within which subset, (pair, subset)."""
        (low, high), (start, stop) = flat, pairs
        members, step = self.subsets.T.to(low.dtype), self.batch_size
        parts = [
            (high[stop[i : i + step]] != low[start[i : i + step]]).to(low.dtype) @ members > 0
            for i in range(0, len(start), step)
        ]
        return torch.cat(parts)

    def _by_windows(
        self, ends: tuple[Inputs, Inputs], pairs: tuple[Tensor, Tensor], moves: Tensor
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield a subset, pairs that differ in it, and their outputs."""
        for here, other, blocks in ((0, 1, self.moving), (1, 0, self.staying)):
            if self.network is None or not blocks:
                continue
            trace, flat = self.network.trace(ends[here][0]), flatten(ends[other])
            for number, block in blocks.items():
                members = torch.as_tensor(block, device=flat.device)
                new, same = torch.unique(flat[:, members], dim=0, return_inverse=True)
                who = torch.nonzero(moves[:, number])[:, 0]
                # samples that are alike in a subset, such as empty ones, need one window of a baseline together
                window, which = torch.unique(pairs[here][who] * len(new) + same[pairs[other][who]], return_inverse=True)
                step = max(1, self.batch_size * flat.shape[1] // len(block))  # as much memory as whole inputs
                found = [
                    self.network.outputs(trace, part // len(new), block, new[part % len(new)])
                    for part in window.split(step)
                ]
                yield number, who, self.outputs.of_raw(torch.cat(found))[which]


def _narrow(subsets: Tensor, shape: tuple[int, ...]) -> dict[int, Index]:
    """Return the components of those subsets that are narrow: of images, those in a small box."""
    limit = NARROW.get(len(shape), 0) * subsets.shape[1]
    blocks = {number: np.flatnonzero(subset) for number, subset in enumerate(subsets.cpu().numpy())}
    return {number: block for number, block in blocks.items() if len(block) and _spanned(block, shape) <= limit}


def _spanned(block: Index, shape: tuple[int, ...]) -> int:
    """Return how many components the box around a block holds; of a vector, the block itself."""
    if len(shape) == 1:
        return len(block)
    return int(np.prod([np.ptp(place) + 1 for place in np.unravel_index(block, shape)]))
