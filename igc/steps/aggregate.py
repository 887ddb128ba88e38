"""The step that turns attribution results into ROI tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.errors import ConfigError, DataError, explain
from igc.roi.aggregate import roi_table
from igc.roi.sets import open_rois
from igc.store.atomic import write_table
from igc.store.ceilings import has_ceiling, usable_ceiling
from igc.store.outputs import check_folder
from igc.store.results import open_result
from igc.store.samples import open_samples

__all__ = ["aggregate"]

Array = npt.NDArray[np.float64]


def _ceiling(result: xr.Dataset, samples: xr.Dataset | None) -> Array | None:
    """Return the noise ceiling of the targets of a result."""
    if samples is None or not has_ceiling(samples):
        return None
    if not np.array_equal(result["target"].values.astype(str), samples["target"].values.astype(str)):
        seen, allowed = "targets other than those of the samples", "a result of these samples"
        raise DataError(explain("targets", seen, allowed, "give the samples of the study"))
    return usable_ceiling(samples)


def aggregate(
    attributions: Sequence[Path], outputs: Sequence[Path], rois: Path | None = None, samples: Path | None = None
) -> None:
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
    samples : Path, optional
        The study's samples. Without them, or with responses that are no measurements, nothing is normalised by the
        noise ceiling.

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
    dataset = None if samples is None else open_samples(samples)
    tables = []
    for path in attributions:
        try:
            result = open_result(path)
            tables.append(roi_table(result, sets, _ceiling(result, dataset)))
        except DataError as error:
            raise type(error)(f"{path}: {error}") from error
    for table, output in zip(tables, outputs, strict=True):
        write_table(output, table)
