"""Outputs for inputs with blocks filled in: by the whole model in large batches, or by the windows that change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten, unflatten
from igc.attribution.information.protocol import Index
from igc.attribution.prepared import prepare
from igc.attribution.windows import WindowedNetwork, windowed

__all__ = ["Filled", "filled_outputs"]


class Filled(Protocol):
    """Predicts a batch of inputs whose blocks are filled in."""

    @property
    def original(self) -> Tensor:
        """Outputs for the inputs as they are, (row, output)."""
        ...

    def predict(self, rows: Tensor, blocks: Sequence[Index], which: Tensor, fills: Tensor) -> Tensor:
        """Return the outputs for fills.

        Parameters
        ----------
        rows : torch.Tensor of int (fill,)
            Which of the inputs is filled.
        blocks : sequence of array of int (member,)
        which : torch.Tensor of int (fill,)
            Number of the block, in increasing order.
        fills : torch.Tensor (fill, longest)
            Values of the block's members; shorter ones are followed by copies of their last.

        Returns
        -------
        torch.Tensor (fill, output)
        """
        ...


@dataclass(frozen=True)
class _Whole:
    """The whole model, whatever it is, on batches across blocks."""

    outputs: Outputs
    inputs: Inputs
    flat: Tensor
    original: Tensor
    batch_size: int

    def predict(self, rows: Tensor, blocks: Sequence[Index], which: Tensor, fills: Tensor) -> Tensor:
        table = np.stack([np.pad(block, (0, fills.shape[1] - len(block)), mode="edge") for block in blocks])
        members = torch.as_tensor(table, device=fills.device)
        raw = []
        for first in range(0, len(rows), self.batch_size):
            some = slice(first, first + self.batch_size)
            points = self.flat.index_select(0, rows[some]).scatter_(1, members[which[some]], fills[some])
            raw.append(self.outputs(unflatten(points, self.inputs)))
        return torch.cat(raw)


@dataclass(frozen=True)
class _Windows:
    """A network that is run on windows, one block after the other."""

    network: WindowedNetwork
    trace: list[Tensor]

    @property
    def original(self) -> Tensor:
        return self.trace[-1]

    def predict(self, rows: Tensor, blocks: Sequence[Index], which: Tensor, fills: Tensor) -> Tensor:
        numbers, counts = torch.unique_consecutive(which, return_counts=True)
        raw, first = [], 0
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            block, stop = blocks[number], first + count
            raw.append(self.network.outputs(self.trace, rows[first:stop], block, fills[first:stop, : len(block)]))
            first = stop
        return torch.cat(raw)


def filled_outputs(outputs: Outputs, inputs: Inputs, blocks: Sequence[Index], batch_size: int) -> Filled:
    """Return what predicts a batch of inputs with blocks filled in.

    Parameters
    ----------
    outputs : Outputs
        All raw outputs of the model.
    inputs : tuple of torch.Tensor (row, ...)
        The batch.
    blocks : sequence of array of int (member,)
        What is filled in.
    batch_size : int
        Inputs a forward pass of the whole model.

    Returns
    -------
    Filled
    """
    first, flat = tuple(x[:1] for x in inputs), flatten(inputs)
    network = windowed(outputs, first, blocks, len(flat))
    if network is not None:
        return _Windows(network, network.trace(inputs[0]))
    prepared = prepare(outputs, first)
    # in as large batches as the fills, so that both are rounded alike
    original = torch.cat([prepared(unflatten(part, inputs)) for part in torch.split(flat, batch_size)])
    return _Whole(prepared, inputs, flat, original, batch_size)
