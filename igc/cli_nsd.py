"""The verb that makes small files in the formats of the Natural Scenes Dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["make_nsd"]


def make_nsd(
    output: Annotated[Path, typer.Option(help="The folder to make; it must not be there yet, or see --again.")],
    sessions: Annotated[
        list[int] | None, typer.Option(help="Sessions of a subject; give it once a subject. Default: 3 and 2.")
    ] = None,
    space: Annotated[
        list[str] | None,
        typer.Option(help="func1pt8mm, func1mm, nativesurface or fsaverage; give it once a space. Default: all."),
    ] = None,
    version: Annotated[list[str] | None, typer.Option(help="b1, b2 or b3; once a version. Default: b3.")] = None,
    image_size: Annotated[int, typer.Option(help="Height and width of the images in pixels.")] = 32,
    shared: Annotated[int, typer.Option(help="Images that all subjects see.")] = 100,
    vertices: Annotated[int, typer.Option(help="Vertices of a hemisphere.")] = 320,
    seed: Annotated[int, typer.Option(min=0, help="All randomness derives from it.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Replace what this command made there before.")] = False,
) -> None:
    """Make a small dataset in the formats of the Natural Scenes Dataset, with responses that are known.

    Example: igc make-nsd --output nsd --sessions 3 --sessions 2 --space func1pt8mm
    """
    from igc.steps.make_nsd import Recipe
    from igc.steps.make_nsd import make_nsd as step

    chosen: dict[str, Any] = {"sessions": sessions, "spaces": space, "versions": version}
    given = {name: tuple(values) for name, values in chosen.items() if values}
    step(output, Recipe(image_size=image_size, shared=shared, vertices=vertices, seed=seed, **given), again)
