"""Progress with the time left and the precision reached: bars on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Reporter", "duration"]

LINE_SECONDS = 30.0
"""A log gets a line of a piece of work so often; of shorter ones it gets none."""
AT_ONCE = 1.0
"""What is done within so many seconds says nothing of the pace."""


def duration(seconds: float) -> str:
    """Write a time as people read it.

    Parameters
    ----------
    seconds : float
        How long something takes; negative counts as zero.

    Returns
    -------
    str
        Such as ``0:07``, ``12:30`` or ``26:01:05`` (hours, minutes, seconds).
    """
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Reporter:
    """Shows one bar a piece of work on a terminal or in a notebook, and elsewhere a line every half a minute.

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
        console = Console(stderr=True)
        bars = console.is_terminal or console.is_jupyter
        self._shown, self._lines = shown, shown and not bars
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[error]}"),
            console=console,
            disable=not (shown and bars),
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
        name = f"{self._title}: {label}"
        if self._lines:
            yield _Lines(name, total, lambda: self._error).advance
            return
        task = self._progress.add_task(name, total=total, error=self._error)
        yield lambda done: self._progress.advance(task, done)
        self._progress.refresh()

    def say(self, text: str) -> None:
        """Write a line, where anything is shown."""
        if self._shown:
            self._progress.console.print(f"{self._title}: {text}", highlight=False, markup=False, soft_wrap=True)

    def precision(self, error: float | None) -> None:
        """Show the relative error of the map from now on."""
        if error is not None:
            self._error = f"error {error:.1%}"


class _Lines:
    """Writes how far a piece of work is, now and then, and once more when it is done if it wrote before."""

    def __init__(self, name: str, total: int, error: Callable[[], str]) -> None:
        self._name, self._total, self._error = name, total, error
        self._done, self._started = 0, time.monotonic()
        self._written, self._before = self._started, 0

    def advance(self, done: int) -> None:
        """Count units that are done."""
        self._done += done
        now = time.monotonic()
        if now - self._started < AT_ONCE:
            self._before = self._done
        finished = self._done >= self._total and self._written > self._started
        if finished or now - self._written >= LINE_SECONDS:
            # the pace since the line before, without what was read back from an earlier run at the start
            each = (now - self._written) / max(1, self._done - self._before)
            self._written, self._before = now, self._done
            self._write(now - self._started, each * (self._total - self._done))

    def _write(self, seconds: float, left: float) -> None:
        ahead = f"{duration(left)} left" if self._done < self._total else "done"
        parts = [f"{self._done}/{self._total} ({self._done / max(1, self._total):.0%})", f"{duration(seconds)} so far"]
        line = ", ".join([*parts, ahead, *filter(None, [self._error()])])
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {self._name}: {line}\n")
        sys.stderr.flush()
