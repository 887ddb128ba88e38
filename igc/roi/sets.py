"""ROI sets: a labelling of the input components with names and colours, closed by a ``rest``.

A set puts every component into exactly one region: label 0 is the ``rest``, so the sums over a set's regions always
add up to the sum over the whole map. Several sets may overlap each other; regions of one set may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.errors import DataError, ShapeError, explain
from igc.store.arrays import create_store, open_store, read_values
from igc.store.samples import component_dims

__all__ = [
    "PALETTE",
    "REST",
    "REST_COLOR",
    "Region",
    "RoiSet",
    "from_labels",
    "from_masks",
    "indicator",
    "open_rois",
    "parse_rois",
    "region_sums",
    "region_table",
    "save_rois",
]

HEX = re.compile("#[0-9a-f]{6}")

REST = "rest"
"""Name of the region with label 0: everything that belongs to no other region of a set."""

REST_COLOR = "#999999"

PALETTE = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7"),
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499"),
)
"""Default colours, distinguishable with colour-vision deficiency: Okabe & Ito (2008), then Tol's "muted"."""


@dataclass(frozen=True)
class Region:
    """A named region of a set.

    Attributes
    ----------
    name : str
        Unique within its set.
    color : str
        Hexadecimal, for example ``"#e69f00"``.
    """

    name: str
    color: str


@dataclass(frozen=True, eq=False)
class RoiSet:
    """A labelling of the components; make one with :func:`from_labels` or :func:`from_masks`, which check it.

    Attributes
    ----------
    name : str
        Name of the set.
    labels : array (component...) of int32
        The region of each component; 0 is the rest.
    regions : dict of int to Region
        By label, in ascending order, without the rest. A region may be empty.
    """

    name: str
    labels: npt.NDArray[np.int32]
    regions: dict[int, Region]

    @property
    def indices(self) -> list[int]:
        """Labels in the order of every table: ascending, the rest (0) last."""
        return [*self.regions, 0]

    def region(self, index: int) -> Region:
        """Return the region with a label; 0 gives the rest."""
        return self.regions[index] if index else Region(REST, REST_COLOR)

    def rows(self) -> npt.NDArray[np.int64]:
        """Return the position in :attr:`indices` of each component's region, (component,)."""
        table = np.full(max(self.indices) + 1, len(self.regions), dtype=np.int64)
        table[list(self.regions)] = np.arange(len(self.regions))
        return table[self.labels.reshape(-1)]

    def counts(self) -> npt.NDArray[np.int64]:
        """Return the number of components of each region, in the order of :attr:`indices`."""
        return np.bincount(self.rows(), minlength=len(self.regions) + 1)


def _checked_name(where: str, name: object, forbidden: Iterable[str]) -> str:
    """Return a name that can stand in a table and in ``set/name``."""
    bad = not isinstance(name, str) or not name.strip() or any(c in name for c in "\t\r\n") or name in set(forbidden)
    if bad:
        allowed = f"a text, unique, not {REST!r}"
        raise DataError(explain(where, f"the name {name!r}", allowed, "choose another name"))
    return str(name)


def _shade(color: str) -> str:
    """Return a colour as #rrggbb."""
    if HEX.fullmatch(color):
        return color
    from matplotlib.colors import to_hex  # slow to import, and stored sets name no colour otherwise

    return str(to_hex(color))


def _region(where: str, position: int, entry: object, taken: set[str]) -> Region:
    """Return a region from its entry: a name, a :class:`Region`, or a mapping with name and color."""
    values = {"name": entry.name, "color": entry.color} if isinstance(entry, Region) else entry
    name: object = values.get("name") if isinstance(values, Mapping) else values
    color = values.get("color") if isinstance(values, Mapping) else None
    try:
        shade = _shade(color) if color else PALETTE[position % len(PALETTE)]
    except ValueError as error:
        message = explain(where, f"the colour {color!r}", "a name or #rrggbb", "correct it, or leave it out")
        raise DataError(message) from error
    return Region(_checked_name(where, name, {REST, *taken}), shade)


def _whole_numbers(where: str, labels: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """Return labels as int32 with 0 for everything outside."""
    values = np.asarray(labels)
    numbers = values.dtype.kind in "biu" or (values.dtype.kind == "f" and bool(np.all(values == np.rint(values))))
    if not numbers or (values.size and np.abs(values).max() > np.iinfo(np.int32).max):
        raise DataError(explain(where, f"labels of {values.dtype}", "whole numbers", "give an image of labels"))
    # the NSD marks voxels outside cortex with -1: no region may be made of them
    return np.asarray(np.maximum(values, 0), dtype=np.int32)


def from_labels(name: str, labels: npt.ArrayLike, regions: Mapping[Any, Any] | None = None) -> RoiSet:
    """Make an ROI set from a labelling.

    Parameters
    ----------
    name : str
        Name of the set; it may not contain ``/``.
    labels : array (component...)
        Whole numbers; 0 and negative numbers are the rest.
    regions : mapping of int or str to str, Region or mapping, optional
        For each label its name, or a mapping with ``name`` and optionally ``color``. Names for labels that no
        component has make empty regions. Default: ``"region <label>"`` for each label present.

    Returns
    -------
    RoiSet

    Raises
    ------
    DataError
        If a label has no name, a name is empty, taken twice or ``rest``, or labels are not whole numbers.
    """
    where = f"ROI set {name!r}"
    if "/" in _checked_name(where, name, ()):
        raise DataError(explain(where, f"the name {name!r}", "a name without '/'", "choose another name"))
    values = _whole_numbers(where, labels)
    present = [int(label) for label in np.unique(values) if label > 0]
    entries = {label: f"region {label}" for label in present} if regions is None else _by_label(where, regions)
    unnamed = [label for label in present if label not in entries]
    if unnamed:
        seen = f"label {unnamed[0]} without a name"
        raise DataError(explain(where, seen, f"the labels {sorted(entries)}", "name the label in the lookup table"))
    taken: set[str] = set()
    named: dict[int, Region] = {}
    for position, label in enumerate(sorted(entries)):
        named[label] = _region(where, position, entries[label], taken)
        taken.add(named[label].name)
    return RoiSet(name, values, named)


def _by_label(where: str, regions: Mapping[Any, Any]) -> dict[int, Any]:
    """Return the entries of regions by their label as a number, without one for the rest."""
    try:
        entries = {int(label): entry for label, entry in regions.items()}
    except (TypeError, ValueError) as error:
        raise DataError(explain(where, list(regions), "whole-number labels", "correct the lookup table")) from error
    return {label: entry for label, entry in entries.items() if label > 0}


def from_masks(name: str, masks: Mapping[str, npt.ArrayLike]) -> RoiSet:
    """Make an ROI set from one mask a region.

    Parameters
    ----------
    name : str
        Name of the set.
    masks : mapping of str to array (component...)
        Region names to masks of one shape; above 0 is inside. A mask may be empty.

    Returns
    -------
    RoiSet
        With labels 1, 2 ... in the order of the masks.

    Raises
    ------
    DataError
        If two masks overlap, or there is none.
    ShapeError
        If their shapes differ.
    """
    where = f"ROI set {name!r}"
    if not masks:
        raise DataError(explain(where, "no mask", "at least one", "give a mask for each region"))
    inside = {region: np.asarray(mask) > 0 for region, mask in masks.items()}
    first = next(iter(inside.values()))
    labels = np.zeros(first.shape, dtype=np.int32)
    for index, (region, mask) in enumerate(inside.items(), start=1):
        if mask.shape != first.shape:
            raise ShapeError(explain(f"{where}, mask {region!r}", mask.shape, first.shape, "give masks of one shape"))
        other = labels[mask & (labels > 0)]
        if other.size:
            seen = f"{other.size} components that {list(inside)[int(other[0]) - 1]!r} has too"
            raise DataError(explain(f"{where}, mask {region!r}", seen, "no overlap", "put the masks into two sets"))
        labels[mask] = index
    return from_labels(name, labels, dict(enumerate(inside, start=1)))


def _fitted(where: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array of the shape of the components; one without channels is used for every channel."""
    array = np.asarray(values)
    if array.shape != shape and not (len(shape) == 3 and array.shape == shape[1:]):
        raise ShapeError(explain(where, f"shape {array.shape}", f"shape {shape}", "give labels of the input's shape"))
    return np.broadcast_to(array, shape)


def parse_rois(value: object, component_shape: tuple[int, ...]) -> dict[str, RoiSet]:
    """Read the ROI sets a caller gives.

    Parameters
    ----------
    value : None, array, or mapping
        A label array of the input's shape; or set names to label arrays, to mappings of region names to masks, or to
        :class:`RoiSet`. Where inputs have channels, an array without the channel axis holds for all of them.
    component_shape : tuple of int
        Shape of one input.

    Returns
    -------
    dict of str to RoiSet
        A single label array is called ``"rois"``.

    Raises
    ------
    ShapeError
        If an array has another shape.
    DataError
        If a set is not valid.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return parse_rois({"rois": value}, component_shape)
    sets: dict[str, RoiSet] = {}
    for key, given in value.items():
        name, where = str(key), f"rois[{key!r}]"
        if isinstance(given, RoiSet):
            sets[name] = from_labels(name, _fitted(where, given.labels, component_shape), given.regions)
        elif isinstance(given, Mapping):
            masks = {
                str(region): _fitted(f"{where}[{region!r}]", mask, component_shape) for region, mask in given.items()
            }
            sets[name] = from_masks(name, masks)
        else:
            sets[name] = from_labels(name, _fitted(where, given, component_shape))
    return sets


def region_table(sets: Mapping[str, RoiSet]) -> pd.DataFrame:
    """Return a table of all regions of all sets.

    Parameters
    ----------
    sets : mapping of str to RoiSet
        The sets by name.

    Returns
    -------
    pandas.DataFrame
        A row for each region, set by set, the rest last: ``roi`` ("set/name"), ``roi_set``, ``roi_name``,
        ``roi_index`` (0: rest), ``color``, ``n_components``.
    """
    columns = ["roi", "roi_set", "roi_name", "roi_index", "color", "n_components"]
    records = []
    for roi_set in sets.values():
        for index, count in zip(roi_set.indices, roi_set.counts(), strict=True):
            region = roi_set.region(index)
            roi = f"{roi_set.name}/{region.name}"
            records.append((roi, roi_set.name, region.name, index, region.color, int(count)))
    return pd.DataFrame(records, columns=columns)


def indicator(sets: Mapping[str, RoiSet]) -> tuple[npt.NDArray[np.float64], pd.DataFrame]:
    """Return the matrix that sums maps over all regions of all sets.

    Parameters
    ----------
    sets : mapping of str to RoiSet
        At least one, all of one shape.

    Returns
    -------
    matrix : array (roi, component) of float64
        1 where a component is in a region; ``maps @ matrix.T`` are the sums, maps being (target, component).
    table : pandas.DataFrame
        What each row is; see :func:`region_table`.
    """
    blocks = []
    for roi_set in sets.values():
        rows = roi_set.rows()
        block = np.zeros((len(roi_set.indices), rows.size))
        block[rows, np.arange(rows.size)] = 1.0
        blocks.append(block)
    return np.concatenate(blocks) if blocks else np.zeros((0, 0)), region_table(sets)


def region_sums(roi_set: RoiSet, maps: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Sum maps over the regions of a set, without making the matrix of :func:`indicator`.

    Parameters
    ----------
    roi_set : RoiSet
        The regions.
    maps : array (target, component...)
        The maps.

    Returns
    -------
    array (target, region)
        In the order of :attr:`RoiSet.indices`, the rest last.
    """
    values = np.asarray(maps, dtype=np.float64)
    if values.shape[1:] != roi_set.labels.shape:
        seen = f"a map of shape {values.shape[1:]}"
        raise ShapeError(explain(f"ROI set {roi_set.name!r}", seen, roi_set.labels.shape, "define the ROI sets again"))
    rows, n = roi_set.rows(), len(roi_set.indices)
    flat = values.reshape(len(values), -1)
    return np.stack([np.bincount(rows, weights=row, minlength=n) for row in flat]) if len(flat) else np.zeros((0, n))


def save_rois(sets: Mapping[str, RoiSet], path: str | Path) -> None:
    """Write ROI sets to a zarr folder, one variable a set.

    Parameters
    ----------
    sets : mapping of str to RoiSet
        The sets by name.
    path : str or Path
        The folder to make, by custom ``rois.zarr``.
    """
    with create_store(path) as store:
        store.set_attributes({"rois": list(sets)})
        for name, roi_set in sets.items():
            regions = {str(i): {"name": r.name, "color": r.color} for i, r in roi_set.regions.items()}
            store.put(name, component_dims(roi_set.labels.ndim), roi_set.labels, regions=regions)


def open_rois(path: str | Path) -> dict[str, RoiSet]:
    """Read the ROI sets that :func:`save_rois` wrote.

    Parameters
    ----------
    path : str or Path
        The folder, or the ``zarr.json`` in it.

    Returns
    -------
    dict of str to RoiSet
        In the order in which they were written.

    Raises
    ------
    MissingFileError, StoreError
        If there is no such folder, or it is damaged.
    DataError
        If it holds something else.
    """
    store = open_store(path)
    names = store.attrs.get("rois")
    if names is None or any(name not in store or "regions" not in store[name].attrs for name in names):
        raise DataError(explain(path, f"variables {sorted(map(str, store))}", "ROI sets", "make it with `igc rois`"))
    return {name: from_labels(name, read_values(store[name]), store[name].attrs["regions"]) for name in names}
