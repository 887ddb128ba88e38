"""The surfaces that maps are drawn on: the average cortex, which comes with nilearn, or the subject's own.

Vertices of the larger average surfaces begin with those of the smaller ones, so a map of 163,842 vertices a hemisphere
is drawn by its first 10,242. Of a subject's own mesh as many vertices are chosen, evenly over the surface.

nilearn is imported where it is used: it is slow to import, and most studies have no surface.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.store.arrays import read_values

if TYPE_CHECKING:
    from nilearn.surface import InMemoryMesh

__all__ = ["LARGER", "LEVELS", "SIDES", "Mesh", "average_mesh", "average_part", "own_meshes"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SIDES = ("left", "right")

LEVELS = (642, 2562, 10242)
"""Vertices of a hemisphere of fsaverage3, 4 and 5, on which maps are drawn."""

LARGER = (40962, 163842)
"""Vertices of a hemisphere of fsaverage6 and of fsaverage, whose maps are shown on fsaverage5."""

_GROWTH = 1.05


@dataclass(frozen=True)
class Mesh:
    """A hemisphere as it is drawn.

    Attributes
    ----------
    coordinates : array (drawn, 3)
        In millimetres, to the right, forwards and upwards.
    faces : array of int (face, 3)
        Corners, by their place among the drawn vertices.
    folds : array (drawn,)
        Depth; above 0 in sulci.
    vertex : array of int (drawn,)
        Which vertex of the hemisphere each one is.
    """

    coordinates: Floats
    faces: Integers
    folds: Floats
    vertex: Integers

    @property
    def inner(self) -> InMemoryMesh:
        """The form that nilearn draws."""
        from nilearn.surface import InMemoryMesh

        return InMemoryMesh(self.coordinates, self.faces)

    def thinned(self, most: int) -> Mesh:
        """Return a mesh of at most so many vertices: one of each cube of space, the smallest cubes that will do.

        Faces are kept between cubes; those within one vanish.
        """
        if len(self.vertex) <= most:
            return self
        corners = self.coordinates[self.faces]
        sides = corners[:, 1:] - corners[:, :1]
        area = 0.5 * float(np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum())
        edge = np.sqrt(area / most)
        while True:
            cubes = np.floor((self.coordinates - self.coordinates.min(axis=0)) / edge).astype(np.int64)
            number = np.ravel_multi_index(tuple(cubes.T), tuple(cubes.max(axis=0) + 1))
            owner = np.unique(number, return_inverse=True)[1]
            if owner.max() < most:
                break
            edge *= _GROWTH
        return self._merged(owner)

    def _merged(self, owner: Integers) -> Mesh:
        """Keep of each group of vertices the one nearest to its middle."""
        counts = np.bincount(owner)
        middle = np.stack([np.bincount(owner, axis) / counts for axis in self.coordinates.T], axis=1)
        away = np.linalg.norm(self.coordinates - middle[owner], axis=1)
        order = np.lexsort((away, owner))
        kept = order[np.searchsorted(owner[order], np.arange(len(counts)))]
        faces = owner[self.faces]
        whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        # the same triangle may be left several times
        _, first = np.unique(np.sort(faces[whole], axis=1), axis=0, return_index=True)
        drawn = replace(self, coordinates=self.coordinates[kept], folds=self.folds[kept], vertex=self.vertex[kept])
        return replace(drawn, faces=faces[whole][first])


@cache
def average_part(kind: str, side: str) -> Any:
    """Return a surface of fsaverage5, for example ``pial``."""
    from nilearn.datasets import load_fsaverage

    return load_fsaverage("fsaverage5")[kind].parts[side]


@cache
def average_mesh(n_vertices: int, side: str) -> Mesh:
    """Return the inflated average surface of a hemisphere with one of :data:`LEVELS` vertices."""
    from nilearn.datasets import load_fsaverage_data
    from scipy.spatial import ConvexHull

    inflated = average_part("inflated", side)
    folds = load_fsaverage_data(mesh="fsaverage5", data_type="sulcal").data.parts[side]
    faces = np.asarray(inflated.faces, dtype=np.int64)
    if n_vertices < LEVELS[-1]:
        # the smaller meshes divide the same sphere, so their faces are those of its convex hull
        sphere = np.asarray(average_part("sphere", side).coordinates[:n_vertices], dtype=np.float64)
        faces = ConvexHull(sphere).simplices.astype(np.int64)
        inward = np.linalg.det(sphere[faces]) < 0
        faces[inward] = faces[inward][:, ::-1]
    return Mesh(
        coordinates=np.asarray(inflated.coordinates[:n_vertices], dtype=np.float64),
        faces=faces,
        folds=np.asarray(folds[:n_vertices], dtype=np.float64),
        vertex=np.arange(n_vertices),
    )


def own_meshes(samples: xr.Dataset) -> tuple[Mesh, Mesh] | None:
    """Return the subject's own hemispheres, left first, or None where the samples do not hold them.

    Parameters
    ----------
    samples : xarray.Dataset
        With ``mesh_coordinates`` (mesh_vertex, direction), ``mesh_faces`` (face, corner) and ``mesh_folds``
        (mesh_vertex) over both hemispheres, and the attribute ``hemisphere_vertices``.

    Returns
    -------
    tuple of Mesh or None
    """
    if "mesh_coordinates" not in samples:
        return None
    n_left = int(samples.attrs["hemisphere_vertices"][0])
    faces = read_values(samples["mesh_faces"]).astype(np.int64)
    values = {name: read_values(samples[f"mesh_{name}"]).astype(np.float64) for name in ("coordinates", "folds")}
    # a few deep points would leave the rest of the folds without contrast
    values["folds"] = np.clip(values["folds"], *np.quantile(values["folds"], [0.01, 0.99]))
    on_left = faces[:, 0] < n_left
    left, right = (
        Mesh(values["coordinates"][part], corners, values["folds"][part], np.arange(len(values["folds"][part])))
        for part, corners in ((slice(n_left), faces[on_left]), (slice(n_left, None), faces[~on_left] - n_left))
    )
    return left, right
