"""The surface of a subject's own cortex, on which responses of the native surface are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from nibabel.freesurfer.io import read_geometry, read_morph_data

from igc.data.nsd.betas import Grid
from igc.data.nsd.layout import Layout
from igc.data.source import Variable
from igc.errors import DataError, ShapeError, explain

__all__ = ["read_meshes"]

_REMEDY = "use files of the same subject, or remove them: maps are then not drawn on the surface"


def _read(path: Path, reader: Any) -> Any:
    """Read a file of FreeSurfer, or say which one is damaged."""
    try:
        return reader(path)
    # the library tells of a wrong file by whatever goes wrong while it is decoded
    except (OSError, ValueError, EOFError, IndexError, TypeError) as error:
        raise DataError(explain(path, f"unreadable ({error})", "a file of FreeSurfer", "get the file again")) from error


def _counted(path: Path, found: int, expected: int) -> None:
    if found != expected:
        raise ShapeError(explain(path, f"{found} vertices", f"{expected}, as the responses", _REMEDY))


def read_meshes(layout: Layout, grid: Grid) -> dict[str, Variable]:
    """Read the inflated surfaces of both hemispheres, with the depth of their folds.

    Parameters
    ----------
    layout : Layout
        Where to look.
    grid : Grid
        What the components of the space are.

    Returns
    -------
    dict of str to Variable
        Of the native surface: ``mesh_coordinates`` (mesh_vertex, direction) in millimetres, ``mesh_faces`` (face,
        corner), whose corners are counted over both hemispheres, left first, and ``mesh_folds`` (mesh_vertex), above 0
        in sulci. Empty where a file is not there, and for other spaces: the average surface is known without files.

    Raises
    ------
    DataError, ShapeError
        If a file is damaged, or of another number of vertices.
    """
    if layout.space != "nativesurface" or not all(path.is_file() for path in layout.meshes):
        return {}
    counts = (grid.n_left, grid.shape[0] - grid.n_left)
    coordinates: list[npt.NDArray[Any]] = []
    faces, folds = coordinates.copy(), coordinates.copy()
    for side, count in enumerate(counts):
        inflated, sulci = layout.meshes[2 * side : 2 * side + 2]
        places, corners = _read(inflated, read_geometry)
        depth = _read(sulci, read_morph_data)
        _counted(inflated, len(places), count)
        _counted(sulci, len(depth), count)
        coordinates.append(places)
        faces.append(corners + side * counts[0])
        folds.append(depth)
    return {
        "mesh_coordinates": Variable(("mesh_vertex", "direction"), np.concatenate(coordinates).astype(np.float32)),
        "mesh_faces": Variable(("face", "corner"), np.concatenate(faces).astype(np.int32)),
        "mesh_folds": Variable(("mesh_vertex",), np.concatenate(folds).astype(np.float32)),
    }
