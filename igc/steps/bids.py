"""The step that exports a study of voxels or vertices in the Brain Imaging Data Structure (BIDS)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from igc.errors import DataError, MissingFileError, explain
from igc.report.bids import write_derivatives
from igc.report.bids_encoding import write_encoding
from igc.report.places import located_targets
from igc.roi.sets import open_rois
from igc.steps.shown import open_results
from igc.store.atomic import replacing
from igc.store.samples import open_samples

__all__ = ["bids"]


def _fields(folder: Path | None, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], pd.DataFrame]:
    """Read the tables of receptive fields that are there."""
    paths = {} if folder is None else {key: folder / key[0] / f"{key[1]}.tsv" for key in keys}
    return {key: pd.read_csv(path, sep="\t", na_values=["n/a"]) for key, path in paths.items() if path.is_file()}


def _table(path: Path) -> pd.DataFrame:
    """Read a ROI table, whose numbers stay as they are written."""
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "a ROI table", "run `igc aggregate`"))
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    if "set" not in table:
        raise DataError(explain(path, "no column 'set'", "a ROI table", "run `igc aggregate` again"))
    return table


def bids(
    samples: Path,
    rois: Path | None,
    attributions: Sequence[Path],
    tables: Path | None,
    output: Path,
    version: str,
    fields: Path | None = None,
) -> None:
    """Export maps, ROI sets and tables as BIDS derivatives.

    Parameters
    ----------
    samples : Path
        ``samples.zarr``, of voxels or vertices, or of images whose responses are those of voxels or vertices.
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
    fields : Path, optional
        Folder of the tables of receptive fields, ``<model>/<method>.tsv``; results without one have no fields.

    Raises
    ------
    DataError
        If the samples have neither voxels nor vertices, on either side.
    ConfigError, MissingFileError, ShapeError, StoreError
        If an input cannot be read or belongs to another study. Nothing is written then.
    """
    dataset = open_samples(samples)
    places = located_targets(dataset)
    if places is None and not {"voxel_index", "vertex_index"} & set(dataset.variables):
        seen = f"samples of kind {dataset.attrs.get('kind')!r} without positions in a brain"
        raise DataError(explain(samples, seen, "voxels or vertices", "export studies of brain responses only"))
    results = open_results(attributions, dataset)
    found = {} if tables is None else {key: _table(tables / key[0] / f"{key[1]}.tsv") for key in results}
    sets = {} if rois is None else open_rois(rois)
    with replacing(output) as temporary:
        temporary.mkdir(parents=True, exist_ok=True)
        if places is None:
            write_derivatives(dataset, results, sets, found, temporary, version)
        else:
            write_encoding(dataset, places, results, found, _fields(fields, results), temporary, version)
