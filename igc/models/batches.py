"""Batches of samples for training and scoring, from memory where the samples fit and else chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from igc.seeding import generator
from igc.store.arrays import read_values

__all__ = ["MEMORY_BUDGET", "Batches", "SampleSource", "feature_statistics"]

MEMORY_BUDGET = 1 << 30
"""Samples of up to this many bytes are held in memory; larger ones pass through pages of a quarter of it."""

Rows = npt.NDArray[np.int64]


@dataclass
class SampleSource:
    """Rows of inputs and responses as float32 tensors.

    Parameters
    ----------
    samples : xarray.Dataset
        Opened samples.
    budget : int
        Bytes that may be held in memory.
    """

    samples: xr.Dataset
    budget: int = MEMORY_BUDGET
    _held: tuple[Tensor, Tensor] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.samples["inputs"]) * self.row_bytes <= self.budget:
            self._held = self._load(None)

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample as float32."""
        shapes = (self.samples["inputs"].shape[1:], self.samples["responses"].shape[1:])
        return sum(4 * int(np.prod(shape, dtype=np.int64)) for shape in shapes)

    def _load(self, rows: Rows | None) -> tuple[Tensor, Tensor]:
        arrays = (read_values(self.samples[name], rows) for name in ("inputs", "responses"))
        inputs, responses = (torch.from_numpy(np.array(array, dtype=np.float32)) for array in arrays)
        return inputs, responses

    def read(self, rows: Rows) -> tuple[Tensor, Tensor]:
        """Read samples.

        Parameters
        ----------
        rows : array of int (row,)
            Positions of the samples, increasing.

        Returns
        -------
        inputs : torch.Tensor
            (row, *input_shape), float32.
        responses : torch.Tensor
            (row, target), float32.
        """
        if self._held is None:
            return self._load(rows)
        index = torch.from_numpy(rows)
        return self._held[0][index], self._held[1][index]

    def pages(self, rows: Rows) -> list[Rows]:
        """Cut rows into consecutive pieces that fit into memory, at the edges of the store's chunks if possible."""
        if self._held is not None:
            return [rows]
        chunks: Any = self.samples["inputs"].encoding.get("chunks") or (1,)
        at_once = max(1, self.budget // 4 // self.row_bytes)
        step = max(1, at_once // chunks[0]) * chunks[0] if chunks[0] <= at_once else at_once
        page = rows // step
        return np.split(rows, np.flatnonzero(np.diff(page)) + 1)


@dataclass
class Batches:
    """Batches of a set of rows; iterating again gives them again.

    Parameters
    ----------
    source : SampleSource
        Where samples are read.
    rows : array of int (row,)
        Positions of the samples, increasing.
    batch_size : int
        Samples a batch.
    seed : int, optional
        Shuffle with this seed, differently in every epoch, and leave out a last incomplete batch; default: in order.
        Samples that do not fit into memory are shuffled page-wise: the pages, then the samples within each.
    epoch : int
        To be set before each pass.
    """

    source: SampleSource
    rows: Rows
    batch_size: int
    seed: int | None = None
    epoch: int = 0

    def __post_init__(self) -> None:
        self._pages = self.source.pages(self.rows)

    def _batches_of(self, page: Rows) -> int:
        full, rest = divmod(len(page), self.batch_size)
        return full if self.seed is not None and full else full + (rest > 0)

    def __len__(self) -> int:
        return sum(self._batches_of(page) for page in self._pages)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = np.arange(len(self._pages))
        if self.seed is not None:
            order = generator(self.seed, "batches", self.epoch).permutation(order)
        for number in order:
            page = self._pages[number]
            held = self.source.read(page) if len(self._pages) > 1 else None
            places = np.arange(len(page))
            if self.seed is not None:
                places = generator(self.seed, "batches", self.epoch, 1 + int(number)).permutation(places)
            for i in range(self._batches_of(page)):
                chosen = places[i * self.batch_size : (i + 1) * self.batch_size]
                if held is None:
                    yield self.source.read(page[chosen])
                else:
                    index = torch.from_numpy(chosen)
                    yield held[0][index], held[1][index]


def feature_statistics(batches: Batches, by_channel: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Measure mean and standard deviation of inputs and responses in one pass.

    Parameters
    ----------
    batches : Batches
        The training samples.
    by_channel : bool
        Pool all but the first axis of an input (images), instead of keeping every component apart (vectors).

    Returns
    -------
    input_mean, input_scale : torch.Tensor
        (channel) or (component), float64.
    response_mean, response_scale : torch.Tensor
        (target), float64; population standard deviations.
    """
    states: list[tuple[int, Tensor, Tensor] | None] = [None, None]
    for inputs, responses in batches:
        values = inputs.double()
        flat = values.flatten(2).transpose(1, 2).flatten(0, 1) if by_channel else values.flatten(1)
        for i, block in enumerate((flat, responses.double())):
            states[i] = _merged(states[i], block)
    found = [state for state in states if state is not None]
    (n, mean, squares), (m, response_mean, response_squares) = found
    return mean, (squares / n).sqrt(), response_mean, (response_squares / m).sqrt()


def _merged(state: tuple[int, Tensor, Tensor] | None, block: Tensor) -> tuple[int, Tensor, Tensor]:
    """Merge count, mean and centred squares with those of a block (row, column) (Chan et al., 1983)."""
    count, mean = len(block), block.mean(dim=0)
    squares = (block - mean).square().sum(dim=0)
    if state is None:
        return count, mean, squares
    total = state[0] + count
    shift = mean - state[1]
    return (
        total,
        state[1] + shift * (count / total),
        state[2] + squares + shift.square() * (state[0] * count / total),
    )
