"""What every attribution method is given: the outputs to explain, where samples come from, and how to compute."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from igc.attribution.cells import Cells
from igc.attribution.gradients import Inputs, Outputs
from igc.stats.moments import Array

__all__ = [
    "MAX_GROUP_BLOCKS",
    "PredictionSource",
    "Problem",
    "Rows",
    "SampleSource",
    "explain_predictions",
    "group_blocks",
]

MAX_GROUP_BLOCKS = 64
"""Groups are pooled into at most so many blocks for the errors of sampling."""

PREDICTION_BYTES = 64 << 20
"""The predictions of all samples are kept where they fit into so many bytes."""

STRIPE_BYTES = 256 << 20
"""Samples of a design block are read at once where their inputs fit into so many bytes, else in stripes."""

Rows = npt.NDArray[np.int64]


class SampleSource(Protocol):
    """Samples that can be read by row."""

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        ...

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input of one sample."""
        ...

    def read(self, rows: Rows) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]:
        """Return the inputs (row, ...) and the responses (row, target) of some samples."""
        ...

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        """Return the responses (row, target) of some samples, without reading their inputs."""
        ...


@runtime_checkable
class ExpectingSource(Protocol):
    """Samples that can be read ahead."""

    def expect(self, rows: Rows) -> None:
        """Begin to read samples that will be asked for next."""
        ...


@dataclass(frozen=True)
class Problem:
    """An attribution to be made.

    Attributes
    ----------
    outputs : Outputs
        What is explained.
    source : SampleSource
        The samples.
    groups : array of int (sample,)
        Block of each sample's group, from 0; the unit of sampling errors.
    device : torch.device
        Where the model is.
    dtype : torch.dtype
        Of the model's inputs.
    seed : int
        Seed of all draws.
    batch_size : int
        Samples or pairs a forward pass, on a fixed grid.
    block_size : int
        Samples a design block.
    pooling : Cells, optional
        What components are summed into, and the regions; default: none.
    every_target : SampleSource, optional
        The samples with the responses of all targets, where this problem is one block of many targets: what is decided
        by responses is decided by all of them.
    """

    outputs: Outputs
    source: SampleSource
    groups: Rows
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    seed: int = 0
    batch_size: int = 256
    block_size: int = 1024
    pooling: Cells | None = None
    every_target: SampleSource | None = None

    @property
    def cells(self) -> Cells:
        """The cells of a map, followed by regions."""
        return Cells.of(self.n_components) if self.pooling is None else self.pooling

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.source.n_samples

    @property
    def n_components(self) -> int:
        """Number of components of all inputs together."""
        return int(sum(np.prod(shape, dtype=np.int64) for shape in self.source.input_shapes))

    def block_bounds(self) -> list[tuple[int, int]]:
        """Return the first sample and the end of each design block; sizes differ by one at most."""
        n_blocks = max(1, -(-self.n_samples // self.block_size))
        edges = [self.n_samples * i // n_blocks for i in range(n_blocks + 1)]
        return list(pairwise(edges))

    def load(self, rows: Rows) -> tuple[Inputs, Array]:
        """Read samples and put the inputs on the device.

        Returns
        -------
        tuple of torch.Tensor (row, ...), array (row, target)
        """
        inputs, responses = self.source.read(rows)
        return self.on_device(inputs), np.asarray(responses, dtype=np.float64)

    @property
    def reads_ahead(self) -> bool:
        """Whether the source can read samples in the background."""
        return isinstance(self.source, ExpectingSource)

    def expect(self, rows: Rows) -> None:
        """Announce the samples that will be loaded next, to a source that can read them in the background."""
        if isinstance(self.source, ExpectingSource) and len(self.stripes(len(rows))) == 1:
            self.source.expect(rows)

    def expect_block(self, block: int) -> None:
        """Announce the samples of a design block, if there is such a block."""
        bounds = self.block_bounds()
        if block < len(bounds):
            self.expect(np.arange(*bounds[block]))

    def on_device(self, inputs: tuple[npt.NDArray[Any], ...]) -> Inputs:
        """Put arrays on the device, in the precision of the model."""
        plain = [torch.as_tensor(np.ascontiguousarray(x)) for x in inputs]
        if self.device.type == "cuda":  # from pinned memory a copy does not wait for the work before it
            return tuple(x.pin_memory().to(self.device, self.dtype, non_blocking=True) for x in plain)
        return tuple(x.to(self.device, self.dtype) for x in plain)

    def batches(self, n: int) -> list[slice]:
        """Cut n items into micro-batches on the fixed grid."""
        return [slice(i, min(i + self.batch_size, n)) for i in range(0, n, self.batch_size)]

    def stripes(self, n: int) -> list[slice]:
        """Cut n samples into stripes of whole micro-batches whose inputs fit into :data:`STRIPE_BYTES` in float64."""
        most = STRIPE_BYTES // max(1, 8 * self.n_components)
        step = max(1, most // self.batch_size) * self.batch_size
        return [slice(i, min(i + step, n)) for i in range(0, n, step)]

    def predict(self, inputs: Inputs) -> Array:
        """Return the explained outputs in float64, (row, target), without gradients."""
        with torch.no_grad():
            parts = [self.outputs(tuple(x[rows] for x in inputs)) for rows in self.batches(len(inputs[0]))]
        return torch.cat(parts).double().cpu().numpy()


def group_blocks(groups: npt.ArrayLike | None, n_samples: int) -> Rows:
    """Pool groups into at most :data:`MAX_GROUP_BLOCKS` blocks, whole groups together.

    Parameters
    ----------
    groups : array (sample,), optional
        A label a sample; default: every sample is its own group.
    n_samples : int
        Number of samples.

    Returns
    -------
    array of int (sample,)
        Blocks from 0, of similar numbers of groups.
    """
    labels = np.arange(n_samples) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    n_groups = int(labels.max()) + 1 if n_samples else 0
    n_blocks = min(n_groups, MAX_GROUP_BLOCKS)
    return np.asarray(labels.reshape(-1) * n_blocks // max(n_groups, 1), dtype=np.int64)


@dataclass(frozen=True)
class PredictionSource:
    """The samples of a problem with the model's own predictions in place of the responses.

    Attributes
    ----------
    problem : Problem
        Whose samples and outputs.
    table : array (sample, target), optional
        The predictions of all samples, where they fit into :data:`PREDICTION_BYTES`; else they are made when read.
    """

    problem: Problem
    table: Array | None = None

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.problem.n_samples

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input of one sample."""
        return self.problem.source.input_shapes

    def read(self, rows: Rows) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]:
        """Return the inputs (row, ...) and the predictions (row, target)."""
        inputs = self.problem.source.read(rows)[0]
        if self.table is not None:
            return inputs, self.table[rows]
        return inputs, self.problem.predict(self.problem.on_device(inputs))

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        """Return the predictions (row, target)."""
        return self.read(rows)[1] if self.table is None else self.table[rows]


def explain_predictions(problem: Problem, n_targets: int) -> Problem:
    """Return the problem with the predictions in the role of the responses.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    n_targets : int
        Number of outputs explained.

    Returns
    -------
    Problem
    """
    source = PredictionSource(problem)
    if problem.n_samples * n_targets * 8 <= PREDICTION_BYTES:
        # made here in the fixed order of the blocks, so that no worker sees other bits than another
        parts = [source.read(np.arange(start, stop))[1] for start, stop in problem.block_bounds()]
        source = PredictionSource(problem, np.concatenate(parts))
    return replace(problem, source=source)
