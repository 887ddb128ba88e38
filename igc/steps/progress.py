"""Progress on the terminal, with the time left and the precision reached; silent when asked to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Reporter"]


class Reporter:
    """Shows one bar a piece of work.

    Parameters
    ----------
    shown : bool
        Whether anything is shown.
    title : str
        What the work is for.
    """

    def __init__(self, shown: bool, title: str) -> None:
        self._title = title
        self._error = ""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[error]}"),
            console=Console(stderr=True),
            disable=not shown,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """Open a bar.

        Parameters
        ----------
        label : str
            Name of the piece of work.
        total : int
            Number of units.

        Yields
        ------
        callable
            To be called with the number of units that are done.
        """
        task = self._progress.add_task(f"{self._title}: {label}", total=total, error=self._error)
        yield lambda done: self._progress.advance(task, done)
        self._progress.refresh()

    def precision(self, error: float | None) -> None:
        """Show the relative error of the map from now on."""
        if error is not None:
            self._error = f"error {error:.1%}"
