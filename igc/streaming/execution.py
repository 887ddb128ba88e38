"""Where tasks run: in this process, in threads, on a cluster of Dask, or here until a cluster is worth its start."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, TypeVar

from igc.errors import ConfigError, ExecutionError, explain

__all__ = ["Execution", "stream"]

T = TypeVar("T")
SCHEDULERS = ("synchronous", "threads", "cluster", "growing")
AHEAD = 3
"""Tasks a worker that a cluster is given at a time: enough to keep it busy, few enough to bound memory."""
TRIED = 2
"""Tasks computed here before it is decided whether to go on here: the first one warms up."""

_alone = threading.Lock()


@dataclass(frozen=True)
class Execution:
    """Where the tasks run.

    Attributes
    ----------
    scheduler : str
        "synchronous" (one after the other), "threads", "cluster", or "growing": here, unless ``grow`` gives another
        execution for what is left.
    workers : int
        Tasks at a time, for "threads" and "cluster".
    client : distributed.Client, optional
        For "cluster": the client to submit to.
    grow : callable, optional
        For "growing": takes how many seconds the tasks that are left would take here, and returns where to run them
        (the same as long as it is in use), or None to stay.
    """

    scheduler: str = "synchronous"
    workers: int = 1
    client: Any = None
    grow: Callable[[float], Execution | None] | None = None

    def __post_init__(self) -> None:
        if self.scheduler not in SCHEDULERS:
            raise ConfigError(explain("scheduler", repr(self.scheduler), sorted(SCHEDULERS), "choose one of them"))
        if self.scheduler == "cluster" and self.client is None:
            raise ConfigError(explain("client", None, "a distributed.Client", "pass one, or choose 'threads'"))
        if self.scheduler == "growing" and self.grow is None:
            raise ConfigError(explain("grow", None, "a function", "pass one, or choose 'synchronous'"))


def stream(
    tasks: Sequence[Any], run: Callable[[Any, Any], T], shared: Any, execution: Execution, tried: int = TRIED
) -> Iterator[T]:
    """Yield the results of tasks in their order, computing only a few ahead.

    Parameters
    ----------
    tasks : sequence
        Small descriptions of the tasks.
    run : callable
        Called with ``shared`` and a task.
    shared : object
        What all tasks need; a worker of a cluster receives it once.
    execution : Execution
        Where to run.
    tried : int
        For "growing": tasks computed here first.

    Yields
    ------
    object
        What ``run`` returned.

    Raises
    ------
    ExecutionError
        If the cluster, or worker after worker, is lost.
    """
    if execution.scheduler == "cluster":
        yield from _spread(tasks, run, shared, execution)
    elif execution.scheduler == "growing" and execution.grow is not None:
        yield from _growing(tasks, run, shared, execution.grow, tried)
    elif execution.scheduler == "threads":
        import dask  # loaded where it is used: a small job waits for nothing as long as for its imports

        for first in range(0, len(tasks), execution.workers):
            batch = [dask.delayed(run)(shared, task) for task in tasks[first : first + execution.workers]]
            yield from dask.compute(*batch, scheduler="threads", num_workers=execution.workers)
    else:
        for task in tasks:
            yield run(shared, task)


def _growing(
    tasks: Sequence[Any],
    run: Callable[[Any, Any], T],
    shared: Any,
    grow: Callable[[float], Execution | None],
    tried: int,
) -> Iterator[T]:
    """Compute here, asking with every task whether what is left is worth more than this process."""
    for done, task in enumerate(tasks):
        started = time.perf_counter()
        result = run(shared, task)
        seconds = time.perf_counter() - started
        yield result
        rest = tasks[done + 1 :]
        if done + 1 >= tried and rest and (wider := grow(seconds * len(rest))) is not None:
            yield from stream(rest, run, shared, wider)
            return


def _alone_in_process(run: Callable[[Any, Any], T], shared: Any, task: Any) -> T:
    """Run a task while no other thread of the worker does: they share one model, whose hooks know no threads."""
    with _alone:
        return run(shared, task)


def _same(shared: T) -> T:
    return shared


def _spread(tasks: Sequence[Any], run: Callable[[Any, Any], T], shared: Any, execution: Execution) -> Iterator[T]:
    """Submit tasks to a cluster, a bounded number ahead of what was asked for."""
    import dask
    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    client, ahead, waiting = execution.client, AHEAD * execution.workers, iter(tasks)
    futures: deque[Any] = deque()
    address = client.scheduler.address
    again = "run the same again; with a checkpoint it goes on where it was"
    try:
        # a task of its own and no scattered value: the scheduler makes it again if the workers that hold it are lost
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 PiB"}):
            held = client.submit(_same, shared, pure=False)
        while True:
            while len(futures) < ahead and (task := next(waiting, None)) is not None:
                futures.append(client.submit(_alone_in_process, run, held, task, pure=False))
            if not futures:
                return
            yield futures.popleft().result()
    except KilledWorker as error:
        seen, allowed = f"a task that ended {error.allowed_failures + 1} workers", "workers that survive their tasks"
        remedy = f"give each more memory, or choose a smaller batch_size, and {again}"
        raise ExecutionError(explain(address, seen, allowed, remedy)) from error
    except (CancelledError, OSError) as error:
        # a scheduler that has just gone may be asked before the client knows
        lost = isinstance(error, (CancelledError, CommClosedError)) or client.status != "running"
        if not lost:
            raise
        allowed = "a scheduler that stays to the end"
        raise ExecutionError(explain(address, "a lost connection", allowed, f"start it and {again}")) from error
