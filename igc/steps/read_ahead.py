"""Reading the samples of the next unit of work while the present one is computed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.attribution.problem import Rows, SampleSource

__all__ = ["ReadAhead"]

Samples = tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]


@lru_cache(maxsize=1)
def _thread() -> ThreadPoolExecutor:
    """One thread of a process reads: waiting for the disk and decompressing, it leaves the others to compute."""
    return ThreadPoolExecutor(1, thread_name_prefix="read-ahead")


@dataclass(frozen=True)
class ReadAhead:
    """Samples of a source, those announced read in the background: one unit of work ahead at most.

    Attributes
    ----------
    source : SampleSource
        The samples, on disk.
    """

    source: SampleSource
    _next: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is being read."""
        return {"source": self.source, "_next": {}}

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.source.n_samples

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input of one sample."""
        return self.source.input_shapes

    def expect(self, rows: Rows) -> None:
        """Begin to read samples that will be asked for next; what was announced before and not asked for is dropped."""
        self._next.clear()
        read: Callable[[Rows], Samples] = self.source.read
        self._next.update(rows=rows, samples=_thread().submit(read, rows))

    def read(self, rows: Rows) -> Samples:
        """Return the inputs (row, ...) and the responses (row, target) of some samples."""
        expected = self._next.get("rows")
        if expected is not None and np.array_equal(expected, rows):
            future: Future[Samples] = self._next["samples"]
            self._next.clear()
            return future.result()
        return self.source.read(rows)

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        """Return the responses (row, target) of some samples, without reading their inputs."""
        return self.source.read_responses(rows)
