"""States made of states, as one flat mapping of named arrays: ``part.name``, as files of partial states hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy.typing as npt

__all__ = ["NamedArrays", "join_parts", "split_parts"]

NamedArrays = dict[str, npt.NDArray[Any]]


class _Saved(Protocol):
    def to_arrays(self) -> NamedArrays: ...


def join_parts(**parts: _Saved) -> NamedArrays:
    """Return the arrays of states under the names of the states.

    Parameters
    ----------
    **parts : states
        What has ``to_arrays``.

    Returns
    -------
    dict
        Arrays by ``part.name``.
    """
    return {f"{part}.{name}": array for part, state in parts.items() for name, array in state.to_arrays().items()}


def split_parts(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, NamedArrays]:
    """Undo :func:`join_parts`.

    Parameters
    ----------
    arrays : mapping
        Arrays by ``part.name``; names without a dot belong to no part and are left out.

    Returns
    -------
    dict
        Arrays by name, by part; a name after the first dot may have dots of its own.
    """
    parts: dict[str, NamedArrays] = {}
    for key, array in arrays.items():
        part, dot, name = key.partition(".")
        if dot:
            parts.setdefault(part, {})[name] = array
    return parts
