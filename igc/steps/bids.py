"""The step that exports a study of voxels or vertices in the Brain Imaging Data Structure (BIDS)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from igc.errors import DataError, MissingFileError, explain
from igc.report.bids import write_derivatives
from igc.roi.sets import open_rois
from igc.steps.shown import open_results
from igc.store.atomic import replacing
from igc.store.samples import open_samples

__all__ = ["bids"]


def _table(path: Path) -> pd.DataFrame:
    """Read a ROI table, whose numbers stay as they are written."""
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "a ROI table", "run `igc aggregate`"))
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    if "set" not in table:
        raise DataError(explain(path, "no column 'set'", "a ROI table", "run `igc aggregate` again"))
    return table


def bids(
    samples: Path, rois: Path | None, attributions: Sequence[Path], tables: Path | None, output: Path, version: str
) -> None:
    """Export maps, ROI sets and ROI tables as BIDS derivatives.

    Parameters
    ----------
    samples : Path
        ``samples.zarr``, of voxels or vertices.
    rois : Path or None
        ``rois.zarr``.
    attributions : sequence of Path
        Results, ``<model>/<method>.zarr``.
    tables : Path or None
        Folder of the ROI tables, ``<model>/<method>.tsv``.
    output : Path
        The folder to make; appears when it is complete, in the place of an earlier one.
    version : str
        Version of this package, to be written down.

    Raises
    ------
    DataError
        If the samples have neither voxels nor vertices.
    ConfigError, MissingFileError, ShapeError, StoreError
        If an input cannot be read or belongs to another study. Nothing is written then.
    """
    dataset = open_samples(samples)
    if not {"voxel_index", "vertex_index"} & set(dataset.variables):
        seen = f"samples of kind {dataset.attrs.get('kind')!r} without positions in a brain"
        raise DataError(explain(samples, seen, "voxels or vertices", "export studies of brain responses only"))
    results = open_results(attributions, dataset)
    found = {} if tables is None else {key: _table(tables / key[0] / f"{key[1]}.tsv") for key in results}
    sets = {} if rois is None else open_rois(rois)
    with replacing(output) as temporary:
        temporary.mkdir(parents=True, exist_ok=True)
        write_derivatives(dataset, results, sets, found, temporary, version)
