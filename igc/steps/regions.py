"""Judge the ROI sums of all methods: against the fall of the score without each ROI, and against the ROI's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from igc.comparison.judged import Array, Judged, Prepare, Rows, constant_reference, image_grid
from igc.comparison.regions import RegionDeletion, judge_regions, resampled_reference
from igc.comparison.sizes import DRAWS, SIZE_COLUMNS, grown_orders, null_sums, size_test, touching
from igc.comparison.yardsticks import Table
from igc.roi.sets import RoiSet
from igc.steps.references import infill_reference
from igc.store.arrays import read_values

__all__ = ["judge_deletion", "judge_sizes", "region_references"]


def region_references(samples: xr.Dataset, fold: Rows, mean: Array, seed: int) -> dict[str, Prepare]:
    """Return what stands in for a region that is taken away.

    Parameters
    ----------
    samples : xarray.Dataset
        Opened samples.
    fold : array of int (sample,)
        Fold of each judged sample.
    mean : array (component...)
        Mean input.
    seed : int
        Of the order in which samples give each other their parts.

    Returns
    -------
    dict of str to Prepare
        ``zero``, ``mean``, ``resampled`` (the region of another sample) and ``conditional`` (the region of the
        training sample that is closest outside of it, where there are training samples).
    """
    found = {
        "zero": constant_reference(0.0),
        "mean": constant_reference(mean),
        "resampled": resampled_reference(fold, seed),
    }
    infill = infill_reference(samples, fold)
    return found if infill is None else {**found, "conditional": infill}


def _sums(result: xr.Dataset, rois: RoiSet, names: Sequence[str]) -> Array | None:
    """Return the ROI sums of a set (target, region) in the order of its regions, None where the result has none."""
    if "roi_attribution" not in result:
        return None
    place = {str(name): i for i, name in enumerate(result["roi"].values)}
    if not set(names) <= set(place):
        return None
    values = read_values(result["roi_attribution"]).astype(np.float64)
    return np.asarray(values[:, [place[name] for name in names]])


def _named(rois: RoiSet) -> tuple[list[int], list[str]]:
    """Return labels and names of the regions of a set that are not empty."""
    kept = [i for i, count in zip(rois.indices, rois.counts(), strict=True) if count]
    return kept, [f"{rois.name}/{rois.region(i).name}" for i in kept]


def judge_deletion(
    judged: Judged,
    responses: Array,
    folds: Rows,
    targets: Sequence[int],
    results: Mapping[str, xr.Dataset],
    sets: Mapping[str, RoiSet],
    references: Mapping[str, Prepare],
    seed: int,
    table: Table,
) -> None:
    """Judge ROI sums by deletion of the ROIs, for every set of two regions or more.

    Parameters
    ----------
    judged : Judged
        Samples on which models are scored.
    responses, folds, targets
        Of these samples; the targets that are scored.
    results : mapping of str to xarray.Dataset
        Results of methods.
    sets : mapping of str to RoiSet
    references : mapping of str to Prepare
        From :func:`region_references`.
    seed : int
    table : Table
        Takes the rows ``roi_rank`` and ``roi_area``.
    """
    for rois in sets.values():
        kept, names = _named(rois)
        shares = {name: _sums(result, rois, names) for name, result in results.items()}
        # shares of the score may be negative, and then losing the region helps; other maps only say how much
        known = {m: s if results[m].attrs.get("complete") else np.abs(s) for m, s in shares.items() if s is not None}
        if len(kept) < 2 or not known or rois.labels.shape != judged.shape:
            continue
        position = np.searchsorted(np.sort(kept), rois.labels.reshape(-1))
        regions = np.argsort(kept)[position]
        for reference, prepare in references.items():
            deletion = RegionDeletion(judged, responses, folds, regions, prepare)
            judge_regions(known, deletion, targets, f"{rois.name}/{reference}", seed, table)


def judge_sizes(
    samples: xr.Dataset,
    results: Mapping[str, xr.Dataset],
    sets: Mapping[str, RoiSet],
    maps: Mapping[str, Array],
    seed: int,
) -> pd.DataFrame:
    """Put each ROI's share beside its size, and beside the sums over random contiguous regions of that size.

    Parameters
    ----------
    samples : xarray.Dataset
        Opened samples, whose pixels or voxels say what touches; of other inputs random subsets are the null.
    results, sets
        As for :func:`judge_deletion`.
    maps : mapping of str to array (target, unit)
        Maps of the dataset.
    seed : int
        Of the random regions, the same for all methods.

    Returns
    -------
    pandas.DataFrame
        With the column ``method`` and :data:`igc.comparison.sizes.SIZE_COLUMNS`.
    """
    shape = tuple(samples["inputs"].shape[1:])
    n_units = int(np.prod(shape)) // (shape[0] if len(shape) == 3 else 1)
    if not sets or not maps:
        return pd.DataFrame(columns=["method", *SIZE_COLUMNS])
    orders = grown_orders(touching(_places(samples, shape, n_units)), DRAWS, seed)
    tables = []
    for rois in sets.values():
        # a pixel is one unit, so that a set must not divide its channels
        labels = rois.labels.reshape(-1, n_units)
        if rois.labels.shape != shape or (labels != labels[0]).any():
            continue
        inside = np.stack([labels[0] == index for index in rois.indices])
        kept = [i for i, mask in enumerate(inside) if mask.any()]
        sizes = inside.sum(axis=1)[kept]
        for method, values in maps.items():
            sums = values @ inside[kept].T.astype(np.float64)
            test = size_test(sums, null_sums(values, orders, sizes))
            names = [str(name) for name in results[method]["target"].values]
            frame = _table(rois, [rois.indices[i] for i in kept], names, sizes / n_units, sizes, sums, test)
            tables.append(frame.assign(method=method)[["method", *SIZE_COLUMNS]])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["method", *SIZE_COLUMNS])


def _table(
    rois: RoiSet,
    indices: Sequence[int],
    targets: Sequence[str],
    size_share: Array,
    sizes: Rows,
    sums: Array,
    test: Mapping[str, Array],
) -> pd.DataFrame:
    n_targets, n_regions = sums.shape
    columns: dict[str, object] = {
        "set": rois.name,
        "index": np.tile(indices, n_targets),
        "roi": np.tile([rois.region(i).name for i in indices], n_targets),
        "target": np.repeat(targets, n_regions),
        "n_components": np.tile(sizes, n_targets),
        "size_share": np.tile(size_share, n_targets),
        "attribution": sums.reshape(-1),
    }
    total = np.abs(sums).sum(axis=1, keepdims=True)
    columns["share"] = np.divide(np.abs(sums), total, out=np.full(sums.shape, np.nan), where=total > 0).reshape(-1)
    columns |= {name: values.reshape(-1) for name, values in test.items()}
    return pd.DataFrame(columns)[list(SIZE_COLUMNS)]


def _places(samples: xr.Dataset, shape: tuple[int, ...], n_units: int) -> Rows:
    """Return coordinates of the units; far apart where the samples have none."""
    if "voxel_index" in samples:
        return read_values(samples["voxel_index"]).astype(np.int64)
    grid = image_grid(shape)
    if grid is not None:
        return np.argwhere(np.ones(grid, dtype=bool))
    return 2 * np.arange(n_units)[:, None]
