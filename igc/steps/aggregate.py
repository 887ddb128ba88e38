"""The step that turns attribution results into ROI tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from igc.errors import ConfigError, DataError, explain
from igc.roi.aggregate import roi_table
from igc.roi.sets import open_rois
from igc.store.atomic import write_table
from igc.store.outputs import check_folder
from igc.store.results import open_result

__all__ = ["aggregate"]


def aggregate(attributions: Sequence[Path], outputs: Sequence[Path], rois: Path | None = None) -> None:
    """Write the ROI table of each attribution result.

    Parameters
    ----------
    attributions : sequence of Path
        Attribution results.
    outputs : sequence of Path
        A tab-separated table to write for each, in the same order; see :func:`igc.roi.aggregate.roi_table`.
    rois : Path, optional
        The study's ``rois.zarr``. Without it, only the sums that the results hold are written: no sizes, and no sums
        of positive and negative components.

    Raises
    ------
    ConfigError
        If there are not as many outputs as results.
    DataError, StoreError
        If a result is damaged, does not sum to its score, or belongs to other ROI sets. All results are checked
        before the first table is written.
    """
    if len(attributions) != len(outputs):
        seen = f"{len(attributions)} results and {len(outputs)} outputs"
        raise ConfigError(explain("aggregate", seen, "one output a result", "name an output for each result"))
    for output in outputs:
        check_folder(output.parent)
    sets = None if rois is None else open_rois(rois)
    tables = []
    for path in attributions:
        try:
            tables.append(roi_table(open_result(path), sets))
        except DataError as error:
            raise type(error)(f"{path}: {error}") from error
    for table, output in zip(tables, outputs, strict=True):
        write_table(output, table)
