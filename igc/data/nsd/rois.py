"""ROI sets of the Natural Scenes Dataset with the names of their labels.

Volumes hold -1 outside cortex, 0 in cortex without a label, and labels from 1; surfaces hold 0 and labels. Both
hemispheres use the same codes. Sets overlap, and a label may be absent in a subject.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from igc.data.nsd.betas import Grid
from igc.data.nsd.files import read_surface
from igc.data.nsd.layout import HEMISPHERES, Layout
from igc.data.volumes import load_image, read_volumes
from igc.errors import DataError, MissingFileError, ShapeError, explain

__all__ = ["NAMES", "RoiLabels", "read_color_table", "read_map", "read_roi", "right_hemisphere"]

_STREAMS = ("early", "midventral", "midlateral", "midparietal", "ventral", "lateral", "parietal")
NAMES: dict[str, tuple[str, ...]] = {
    "prf-visualrois": ("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4"),
    "prf-eccrois": ("ecc0pt5", "ecc1", "ecc2", "ecc4", "ecc4+"),
    "floc-faces": ("OFA", "FFA-1", "FFA-2", "mTL-faces", "aTL-faces"),
    "floc-words": ("OWFA", "VWFA-1", "VWFA-2", "mfs-words", "mTL-words"),
    "floc-places": ("OPA", "PPA", "RSC"),
    "floc-bodies": ("EBA", "FBA-1", "FBA-2", "mTL-bodies"),
    "streams": _STREAMS,
    "nsdgeneral": ("nsdgeneral",),
    "Kastner2015": (
        *("V1v", "V1d", "V2v", "V2d", "V3v", "V3d", "hV4", "VO1", "VO2", "PHC1", "PHC2", "TO2", "TO1", "LO2", "LO1"),
        *("V3B", "V3A", "IPS0", "IPS1", "IPS2", "IPS3", "IPS4", "IPS5", "SPL1", "FEF"),
    ),
}
"""Names of the labels from 1 on, for sets whose colour table was not downloaded."""

_TOLERANCE = 1e-3
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RoiLabels:
    """A ROI set of one subject.

    Attributes
    ----------
    labels : array of int32, of the space's shape
        0 outside.
    names : dict of int to str
        All labels the set knows, also those that this subject lacks.
    """

    labels: Labels
    names: dict[int, str]

    def counts(self) -> dict[str, int]:
        """Return the number of components of each region, 0 where the subject lacks it."""
        return {name: int(np.count_nonzero(self.labels == code)) for code, name in self.names.items()}

    def by_hemisphere(self, right: npt.NDArray[np.bool_]) -> RoiLabels:
        """Give regions of the right hemisphere codes of their own.

        Parameters
        ----------
        right : array of bool, of the space's shape
            Components of the right hemisphere.

        Returns
        -------
        RoiLabels
            Regions ``lh V1v``, ``rh V1v`` ...; those on the right have the code plus the largest code of the set.
        """
        top = max(self.names, default=0)
        labels = np.where(right & (self.labels > 0), self.labels + top, self.labels).astype(np.int32)
        left = {code: f"lh {name}" for code, name in self.names.items()}
        return RoiLabels(labels, left | {code + top: f"rh {name}" for code, name in self.names.items()})


def read_color_table(path: Path) -> dict[int, str]:
    """Read the names of labels.

    Parameters
    ----------
    path : Path
        Lines ``code name``, without a header; 0 is called Unknown. Some names end in a tab.

    Returns
    -------
    dict of int to str
        Codes from 1.

    Raises
    ------
    DataError
        If a line is something else, or a code comes twice.
    """
    names: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        # names of a FreeSurfer table may be followed by a colour
        match = re.fullmatch(r"\s*(\d+)\s+(\S+)(?:\s+\d+){0,4}\s*", line)
        if match is None or int(match[1]) in names:
            seen = f"line {number}: {line.strip()!r}"
            raise DataError(explain(path, seen, "a new code and its name", "get the file again"))
        names[int(match[1])] = match[2]
    names.pop(0, None)
    return names


def read_map(layout: Layout, grid: Grid, name: str, hemisphere: str | None = None) -> npt.NDArray[np.float64]:
    """Read one value a component that lies with the ROI files.

    Parameters
    ----------
    layout : Layout
        Where to look.
    grid : Grid
        What the components of the space are.
    name : str
        For example ``prf-visualrois``.
    hemisphere : {"lh", "rh"}, optional
        For volumes: the file of one hemisphere; default: that of both.

    Returns
    -------
    array of float64, of the grid's shape

    Raises
    ------
    MissingFileError, ShapeError, DataError
        If a file is not there, or belongs to another space.
    """
    if layout.is_surface:
        lh, rh = (layout.labels / f"{side}.{name}.mgz" for side in HEMISPHERES)
        if not lh.is_file():
            found = sorted(path.name[3:-4] for path in lh.parent.glob("lh.*.mgz"))
            remedy = "name one of them, or fetch the file"
            if layout.space == "fsaverage":
                remedy += "; areas drawn in single subjects (prf-*, floc-*) are not on the average surface"
            raise MissingFileError(explain(lh, "no such file", ", ".join(found) or "ROI sets", remedy))
        values, n_left = read_surface(lh, rh)
        path, shape = lh, (len(values), n_left)
        expected: tuple[int, ...] = (*grid.shape, grid.n_left)
    else:
        path = layout.volumes / "roi" / f"{hemisphere + '.' if hemisphere else ''}{name}.nii.gz"
        values = read_volumes(path, load_image(path, 3))
        shape, expected = values.shape, grid.shape
    if shape != expected:
        seen = f"shape {shape}"
        raise ShapeError(
            explain(path, seen, f"{expected}, as the responses", "use files of the same subject and space")
        )
    return np.asarray(values, dtype=np.float64)


def _names(layout: Layout, name: str, codes: list[int]) -> dict[int, str]:
    table = layout.color_table(name)
    names = dict(enumerate(NAMES.get(name, ()), start=1)) if table is None else read_color_table(table)
    unknown = [code for code in codes if code not in names]
    if unknown and names:
        seen = f"label {unknown[0]} without a name ({len(unknown)} such labels)"
        raise DataError(explain(table or name, seen, "a name for each label", "get the .ctab file of this subject"))
    return names or {code: f"label {code}" for code in codes}


def read_roi(layout: Layout, grid: Grid, name: str, hemisphere: str | None = None) -> RoiLabels:
    """Read a ROI set.

    Parameters
    ----------
    layout, grid, name, hemisphere
        As for :func:`read_map`.

    Returns
    -------
    RoiLabels
        Negative labels, which mark what is not cortex, became 0.

    Raises
    ------
    MissingFileError, ShapeError, DataError
        If a file is not there, belongs to another space, holds fractions, or a label has no name.
    """
    values = read_map(layout, grid, name, hemisphere)
    whole = np.round(values)
    # labels are stored as floating point in some files
    if not np.all(np.abs(whole - values) <= _TOLERANCE):
        raise DataError(explain(f"ROI set {name}", "fractions or NaN", "whole numbers", "name a label file, not a map"))
    labels = np.maximum(whole, 0).astype(np.int32)
    codes = [int(code) for code in np.unique(labels) if code > 0]
    return RoiLabels(labels, _names(layout, name, codes))


def right_hemisphere(layout: Layout, grid: Grid, name: str = "nsdgeneral") -> npt.NDArray[np.bool_]:
    """Tell which components belong to the right hemisphere.

    Parameters
    ----------
    layout, grid
        As for :func:`read_map`.
    name : str
        For volumes: the ROI set whose file of the right hemisphere says so where it is there; elsewhere the right half
        of the grid, whose first axis runs from left to right, is taken.

    Returns
    -------
    array of bool, of the grid's shape
    """
    if layout.is_surface:
        return np.asarray(np.arange(grid.shape[0]) >= grid.n_left)
    half = np.broadcast_to((np.arange(grid.shape[0]) >= grid.shape[0] / 2)[:, None, None], grid.shape)
    try:
        left, right = (read_map(layout, grid, name, side) for side in HEMISPHERES)
    except MissingFileError:
        return half
    # in the file of a hemisphere everything else is -1
    known = (left >= 0) ^ (right >= 0)
    return np.where(known, right >= 0, half)
