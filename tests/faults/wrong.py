"""The collection of wrong commands: each spoils a copied study and says which words the refusal must hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Wrong = tuple[list[str], list[str]]
"""Arguments of the command line, and what its one line of error must name: the place, the value seen, the remedy."""

CASES: dict[str, Callable[[Path], Wrong]] = {}


def case(spoil: Callable[[Path], Wrong]) -> Callable[[Path], Wrong]:
    """Add a case under the name of its function."""
    if spoil.__name__ in CASES:
        raise ValueError(spoil.__name__)
    CASES[spoil.__name__] = spoil
    return spoil
