"""The samples of a study: inputs and responses with their folds and groups, in one zarr folder.

========== ==================== ==========================================================================
variable   dims                 holds
========== ==================== ==========================================================================
inputs     sample, component... float32 model inputs: ``(sample, voxel)`` or ``(sample, channel, row, column)``
responses  sample, target       float32 measured truth; one-hot where targets are categories
fold       sample               outer fold in which the sample is held out; -1: never, it only trains
group      sample               the unit (run, session, image) that no split divides, as a code from 0
sample_id  sample               position in the source
========== ==================== ==========================================================================

Optional: ``block`` (sample), the unit within a group that may change places with its like when responses are permuted
(fMRI: a stretch of volumes of one category), as a code; ``trials`` (sample), how many were averaged into the responses,
and ``target_ncsnr`` (target), see :mod:`igc.store.ceilings`; ``truth`` (target, component...), the planted masks;
``voxel_index`` (voxel, axis) with ``background`` (x, y, z) and the attributes ``affine`` and ``volume_shape``;
``atlas_<name>`` (component...) with attribute ``regions``.
Within a fold, samples are stored in a seeded random order wherever the source allows random access: the pairs
estimator reads them in consecutive blocks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from igc.errors import DataError, explain
from igc.store.arrays import open_store

__all__ = ["COMPONENT_DIMS", "component_dims", "open_samples"]

COMPONENT_DIMS = {1: ("voxel",), 3: ("channel", "row", "column")}
"""Names of the component axes, by their number; others are called ``axis_0``, ``axis_1`` ..."""


def component_dims(n_axes: int) -> tuple[str, ...]:
    """Return the names of the axes of one input.

    Parameters
    ----------
    n_axes : int
        Number of axes of one input, without the sample axis.

    Returns
    -------
    tuple of str
    """
    return COMPONENT_DIMS.get(n_axes, tuple(f"axis_{i}" for i in range(n_axes)))


def open_samples(path: str | Path) -> xr.Dataset:
    """Open the samples of a study lazily.

    Parameters
    ----------
    path : str or Path
        ``samples.zarr``, or the ``zarr.json`` in it.

    Returns
    -------
    xarray.Dataset
        ``inputs`` and ``responses`` with coordinates ``fold``, ``group``, ``sample_id``, ``block`` where there is one,
        ``split`` ("train" where the fold is -1, else "test") on sample and ``target`` names; see the module's
        description.

    Raises
    ------
    DataError
        If the store holds something else.
    """
    dataset = open_store(path)
    missing = [name for name in ("inputs", "responses", "fold", "group", "sample_id") if name not in dataset]
    missing += [name for name in ("target_names",) if name not in dataset.attrs]
    if missing:
        raise DataError(explain(path, f"no {', '.join(missing)}", "a samples store", "make it with `igc preprocess`"))
    split = np.where(dataset["fold"].values < 0, "train", "test")
    coordinates = [name for name in ("fold", "group", "sample_id", "block") if name in dataset]
    return dataset.set_coords(coordinates).assign_coords(
        split=("sample", split), target=("target", np.asarray(dataset.attrs["target_names"], dtype=object))
    )
