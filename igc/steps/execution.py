"""Where the units of an attribution run: here, in worker processes that are started where they help, or on a cluster.

Every unit is computed by as many threads of torch as the worker has, and that is one here and in every process that is
started here: so the bits of a result do not depend on where, and beside how many others, its units were computed.
Processes that are started here get the cores and the memory of the job, or one GPU each.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from igc.errors import ExecutionError, explain
from igc.steps.allocation import job_memory, visible_gpus
from igc.streaming import Execution

__all__ = ["open_execution"]

WORTH_SECONDS = 20.0
"""Processes are started where what is left would take longer than this here: starting them takes some five seconds."""
PROCESS_BYTES = 1 << 30
"""Memory of this machine a worker process."""


def _silent(line: str) -> None:
    """Tell nobody."""


@contextmanager
def open_execution(where: Any, device: torch.device, tell: Callable[[str], None] = _silent) -> Iterator[Execution]:
    """Say where units run, and clean up after them.

    Parameters
    ----------
    where : distributed.Client, str, int or None
        A client, the address of a running scheduler, so many worker processes on this machine (1: this process), or
        None: this process, and as many others as there are cores once it shows that they help.
    device : torch.device
        Where the model is: on a GPU nothing is started unasked, and if asked no more than one process a GPU.
    tell : callable
        Told where the dashboard of the workers is, if there is one.

    Yields
    ------
    Execution

    Raises
    ------
    ExecutionError
        If processes cannot be started from here, or as :func:`igc.steps.cluster.running`.
    """
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(1)
        if where is None:
            workers = _helpful(threads) if device.type == "cpu" else 1
            grow = partial(_grow, workers, stack, tell)
            yield Execution("growing", workers, grow=grow) if workers > 1 else Execution()
        elif isinstance(where, int):
            gpus: list[str] = visible_gpus()[:where] if device.type == "cuda" and device.index is None else []
            workers = where if device.type == "cpu" else len(gpus)
            yield Execution() if workers <= 1 else stack.enter_context(_processes(workers, gpus, tell))
        else:
            from igc.steps.cluster import running

            yield stack.enter_context(running(where, tell))


def _helpful(threads: int) -> int:
    """Return how many processes this machine has room for, 1 where none can be started."""
    if multiprocessing.parent_process() is not None or not _importable():
        return 1
    return max(1, min(threads, job_memory() // PROCESS_BYTES))


def _importable() -> bool:
    """Return whether a new process may import the program that runs: a script without a guard would run again."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if file is None:
        return True
    try:
        return "__main__" in Path(file).read_text(encoding="utf-8") or Path(file).name == "__main__.py"
    except (OSError, UnicodeDecodeError):
        return False


def _grow(workers: int, stack: ExitStack, tell: Callable[[str], None], seconds: float) -> Execution | None:
    """Start processes if what is left would take so long here that they help."""
    return stack.enter_context(_processes(workers, [], tell)) if seconds > WORTH_SECONDS else None


def _processes(workers: int, gpus: list[str], tell: Callable[[str], None]) -> AbstractContextManager[Execution]:
    """Start worker processes on this machine."""
    if not _importable():
        remedy = "call it under `if __name__ == '__main__':`, or in this process alone with 1"
        raise ExecutionError(explain("client", workers, "processes that can import the script", remedy))
    from igc.steps.cluster import processes

    return processes(workers, gpus, tell)
