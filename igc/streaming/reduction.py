"""Run units of work, here or on a cluster of Dask, and merge their states along the fixed tree."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol, Self, TypeVar

import numpy.typing as npt

from igc.streaming.execution import Execution, stream
from igc.streaming.partials import Partials
from igc.streaming.tree import RADIX, aligned_tasks, reduce_node, reduce_roots

__all__ = ["State", "compute_share", "reduce_units"]


class State(Protocol):
    """What a unit yields: something that merges and can be kept as arrays."""

    def merge(self, other: Self, /) -> Self:
        """Combine with the state of the units that follow."""
        ...

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as named arrays."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], /) -> Self:
        """Rebuild a state from named arrays."""
        ...


S = TypeVar("S", bound=State)


def _compute(unit: Callable[[int], S], task: tuple[int, int], kind: type[S], partials: Partials | None) -> S:
    """Compute one task, or read it back."""
    name = f"units-{task[0]:08d}-{task[1]:08d}"
    if partials is not None:
        arrays = partials.load(name)
        if arrays is not None:
            state: S = kind.from_arrays(arrays)
            return state
    started = time.perf_counter()
    state = reduce_node(task[0], task[1], unit, lambda a, b: a.merge(b))
    if partials is not None:
        partials.save(name, state.to_arrays(), time.perf_counter() - started)
    return state


def reduce_units(
    n_units: int,
    unit: Callable[[int], S],
    kind: type[S],
    *,
    execution: Execution | None = None,
    partials: Partials | None = None,
    units_per_task: int = 1,
    advance: Callable[[int], None] | None = None,
) -> S:
    """Compute the state of every unit and merge all of them.

    Parameters
    ----------
    n_units : int
        Number of units, at least 1.
    unit : callable
        Computes the state of the unit of an index; must be picklable for a cluster of processes.
    kind : type
        The class of the states.
    execution : Execution, optional
        Where to run; default: here, one after the other.
    partials : Partials, optional
        Where finished tasks are kept and found again.
    units_per_task : int
        Rounded down to a power of 8. It changes neither result nor bits, only the size of the tasks.
    advance : callable, optional
        Called with the number of units of each finished task.

    Returns
    -------
    state
        Of all units, the same bits for any executor, task size and interruption.
    """
    tasks = _tasks(n_units, units_per_task)
    run = partial(_compute, kind=kind, partials=partials)
    if partials is not None:
        partials.expect(len(tasks))

    def states() -> Iterator[S]:
        for task, state in zip(tasks, stream(tasks, run, unit, execution or Execution()), strict=True):
            if advance is not None:
                advance(task[1] - task[0])
            yield state

    return reduce_roots(states(), lambda a, b: a.merge(b))


def compute_share(
    n_units: int,
    unit: Callable[[int], S],
    kind: type[S],
    share: tuple[int, int],
    partials: Partials,
    *,
    execution: Execution | None = None,
    units_per_task: int = 1,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Compute every n-th task and keep the states, for a later :func:`reduce_units` that finds them all.

    Parameters
    ----------
    n_units, unit, kind, partials, execution, units_per_task, advance
        As for :func:`reduce_units`, and the same as in the call that will merge.
    share : (int, int)
        Number of this share, from 1, and how many there are.
    """
    every = _tasks(n_units, units_per_task)
    tasks = every[share[0] - 1 :: share[1]]
    run = partial(_keep, kind=kind, partials=partials)
    partials.expect(len(every))
    for task, _ in zip(tasks, stream(tasks, run, unit, execution or Execution()), strict=True):
        if advance is not None:
            advance(task[1] - task[0])


def _keep(unit: Callable[[int], S], task: tuple[int, int], kind: type[S], partials: Partials) -> None:
    """Compute one task for the file it is kept in, which is all that a share is wanted for."""
    _compute(unit, task, kind, partials)


def _tasks(n_units: int, units_per_task: int) -> list[tuple[int, int]]:
    level = 0
    while RADIX ** (level + 1) <= units_per_task:
        level += 1
    return aligned_tasks(n_units, level)
