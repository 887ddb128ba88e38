"""Workflow step: small files in the formats of the Natural Scenes Dataset."""

from __future__ import annotations

from pathlib import Path

from igc.data.nsd.make import Recipe
from igc.data.nsd.make import make_nsd as make

__all__ = ["Recipe", "make_nsd"]


def make_nsd(output: Path, recipe: Recipe, again: bool = False) -> None:
    """Make a small dataset of known responses.

    Parameters
    ----------
    output : Path
        The folder to make; appears when it is complete.
    recipe : Recipe
        What is made.
    again : bool
        Replace what was made there before; never anything else.

    Raises
    ------
    IgcError
        If the recipe cannot be followed, or the folder holds something else.
    """
    make(output, recipe, again)
