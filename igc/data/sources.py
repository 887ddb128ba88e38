"""The registry of dataset kinds, and the one function that turns any of them into ``samples.zarr``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from igc.config import DataSource, SimulatedData, Split
from igc.data.arrays import open_arrays
from igc.data.haxby import open_haxby
from igc.data.mnist import open_mnist
from igc.data.nifti import open_nifti
from igc.data.nsd.source import open_nsd
from igc.data.simulated import open_simulated
from igc.data.simulated_voxels import open_simulated_voxels
from igc.data.source import FloatArray, IntArray, Source
from igc.data.splits import fold_of_samples
from igc.errors import DataError, explain
from igc.seeding import generator
from igc.store.arrays import StoreWriter, create_store
from igc.store.samples import component_dims

__all__ = ["OPENERS", "open_source", "write_samples"]

OPENERS: dict[str, Callable[[Any, int], AbstractContextManager[Source]]] = {
    "arrays": open_arrays,
    "haxby": open_haxby,
    "mnist": open_mnist,
    "nifti": open_nifti,
    "nsd": open_nsd,
    "simulated": open_simulated,
}
"""For each ``kind`` of the configuration, what opens it: (settings, seed) -> context manager of a Source."""


def open_source(data: DataSource, seed: int) -> AbstractContextManager[Source]:
    """Open a dataset.

    Parameters
    ----------
    data : DataSource
        The ``data`` block of a study.
    seed : int
        Seed of the study, for datasets that are simulated.

    Returns
    -------
    context manager of Source
    """
    if isinstance(data, SimulatedData) and data.experiment == "fmri":
        return open_simulated_voxels(data, seed)
    return OPENERS[data.kind](data, seed)


def _stored_order(source: Source, folds: IntArray, seed: int) -> IntArray:
    """Fold after fold, training samples last; shuffled within each unless neighbours in time should stay so."""
    # held-out samples come first and lie together: maps are computed on them, fold by fold
    parts = []
    for fold in [*range(int(folds.max(initial=-1)) + 1), -1]:
        members = np.flatnonzero(folds == fold)
        parts.append(members if source.in_time_order else generator(seed, "order", fold + 1).permutation(members))
    return np.concatenate(parts).astype(np.int64)


def _check_finite(what: str, values: FloatArray, sample_ids: IntArray) -> None:
    bad = np.any(~np.isfinite(values.reshape(len(values), -1)), axis=1)
    if bad.any():
        seen = f"NaN or infinity in {np.count_nonzero(bad)} of {len(bad)} samples, first in sample {sample_ids[bad][0]}"
        raise DataError(explain(what, seen, "finite numbers", "leave these samples out or fill the gaps"))


def _declare(store: StoreWriter, source: Source, n_samples: int) -> None:
    """Declare the large arrays and put the small ones."""
    store.add("inputs", ("sample", *component_dims(len(source.shape))), (n_samples, *source.shape), np.float32)
    store.add("responses", ("sample", "target"), (n_samples, len(source.target_names)), np.float32)
    for name, variable in source.variables.items():
        store.put(name, variable.dims, variable.values, **variable.attributes)


def write_samples(
    data: DataSource,
    split: Split,
    seed: int,
    output: Path,
    study: str,
    title: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the samples of a study in one pass, with memory bounded by a chunk (of fMRI: by a run).

    Parameters
    ----------
    data : DataSource
        The ``data`` block of the study.
    split : Split
        How samples are held out.
    seed : int
        Seed of the study.
    output : Path
        ``samples.zarr``; appears when it is complete. See :mod:`igc.store.samples` for what it holds.
    study, title : str
        Name of the study, and one line about it.
    progress : callable, optional
        Called with the number of samples written so far and in all.

    Raises
    ------
    IgcError
        If the data or the settings are wrong; nothing is left at ``output`` then.
    """
    with open_source(data, seed) as source:
        folds = fold_of_samples(source.groups, split.folds, seed, source.test)
        order = _stored_order(source, folds, seed)
        with create_store(output) as store:
            _declare(store, source, len(order))
            step = store.chunk_rows("inputs")
            for start in range(0, len(order), step):
                positions = order[start : start + step]
                inputs, responses = source.read(positions)
                _check_finite("inputs", inputs, source.sample_ids[positions])
                _check_finite("responses", responses, source.sample_ids[positions])
                store.write("inputs", start, inputs)
                store.write("responses", start, responses)
                if progress is not None:
                    progress(start + len(positions), len(order))
            store.put("fold", ("sample",), folds[order].astype(np.int32))
            store.put("group", ("sample",), source.groups[order])
            store.put("sample_id", ("sample",), source.sample_ids[order])
            if source.blocks is not None:
                store.put("block", ("sample",), source.blocks[order])
            if source.trials is not None:
                store.put("trials", ("sample",), source.trials[order])
            store.set_attributes(_attributes(source, data, study, title, int(folds.max()) + 1))


def _attributes(source: Source, data: DataSource, study: str, title: str, n_folds: int) -> dict[str, Any]:
    origin = {"kind": data.kind, **source.origin, "settings": data.model_dump(mode="json")}
    return {
        "study": study,
        "title": title,
        "kind": source.kind,
        "target_type": source.target_type,
        "target_names": source.target_names,
        "group_names": source.group_names,
        "folds": n_folds,
        "source": origin,
        **source.attributes,
    }
