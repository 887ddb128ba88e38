"""The fixed reduction tree: unit i is leaf i of a tree whose shape depends on the index alone.

Node (level, j) covers the units [j R^level, (j + 1) R^level) and adds up its R children one after the other. A task
computes one aligned node; whatever the size of the tasks, the same merges are made in the same order, so the result has
the same bits. A wide tree is flat: one state a level is held at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["RADIX", "aligned_tasks", "reduce_node", "reduce_roots"]

S = TypeVar("S")
RADIX = 8
"""Children of a node."""


def aligned_tasks(n_units: int, level: int) -> list[tuple[int, int]]:
    """Cut units into tasks that are nodes of the tree.

    Parameters
    ----------
    n_units : int
        Number of units.
    level : int
        Each task covers RADIX**level units; the last may be ragged.

    Returns
    -------
    list of (int, int)
        First unit and end of each task.
    """
    size = RADIX**level
    return [(start, min(start + size, n_units)) for start in range(0, n_units, size)]


def reduce_node(start: int, stop: int, leaf: Callable[[int], S], merge: Callable[[S, S], S]) -> S:
    """Reduce the units of one aligned node, holding one state a level at most.

    Parameters
    ----------
    start, stop : int
        The units; ``start`` must be a multiple of the power of the radix that spans them.
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
    stack: list[tuple[int, int, S]] = []  # level, children added up so far, and their state
    for single in states:
        level, count, state = 0, 1, single
        while True:
            if stack and stack[-1][0] == level:
                _, before, sum_before = stack.pop()
                count, state = before + 1, merge(sum_before, state)
            if count < RADIX:
                stack.append((level, count, state))
                break
            level, count = level + 1, 1
    *_, state = stack.pop()
    while stack:
        state = merge(stack.pop()[2], state)
    return state
