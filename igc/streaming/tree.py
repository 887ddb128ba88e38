"""The fixed reduction tree: unit i is leaf i of a binary tree whose shape depends on the index alone.

Node (level, j) covers the units [j 2^level, (j + 1) 2^level). A task computes one aligned node; whatever the size of
the tasks, the same merges are made in the same order, so the result has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["aligned_tasks", "reduce_node", "reduce_roots"]

S = TypeVar("S")


def aligned_tasks(n_units: int, level: int) -> list[tuple[int, int]]:
    """Cut units into tasks that are nodes of the tree.

    Parameters
    ----------
    n_units : int
        Number of units.
    level : int
        Each task covers 2**level units; the last may be ragged.

    Returns
    -------
    list of (int, int)
        First unit and end of each task.
    """
    size = 1 << level
    return [(start, min(start + size, n_units)) for start in range(0, n_units, size)]


def reduce_node(start: int, stop: int, leaf: Callable[[int], S], merge: Callable[[S, S], S]) -> S:
    """Reduce the units of one aligned node, holding one state a level at most.

    Parameters
    ----------
    start, stop : int
        The units; ``start`` must be a multiple of the power of two that spans them.
    leaf : callable
        Computes the state of a unit.
    merge : callable
        Combines the states of two neighbouring nodes.

    Returns
    -------
    state
    """
    return reduce_roots(map(leaf, range(start, stop)), merge)


def reduce_roots(states: Iterable[S], merge: Callable[[S, S], S]) -> S:
    """Combine the states of consecutive nodes of one size, as the rest of the same tree.

    Parameters
    ----------
    states : iterable
        At least one state, in order; one a level is held at most.
    merge : callable
        Combines two neighbouring states.

    Returns
    -------
    state
    """
    stack: list[tuple[int, S]] = []
    for single in states:
        level, state = 0, single
        while stack and stack[-1][0] == level:
            state = merge(stack.pop()[1], state)
            level += 1
        stack.append((level, state))
    _, state = stack.pop()
    while stack:
        state = merge(stack.pop()[1], state)
    return state
