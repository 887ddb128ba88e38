"""Functional images: read run by run, masked, cleaned with nilearn, and labelled by events or by a table."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.config import NiftiData
from igc.data.labels import Labels, Run, Samples, cut_samples, find_runs, label_volumes
from igc.data.source import Categories, FloatArray, IntArray, Source, Variable, codes_of, one_hot
from igc.data.tables import numbers, read_table
from igc.data.volumes import check_grid, load_image, read_atlas, read_mask, read_volumes, repetition_time
from igc.errors import ConfigError, DataError, ShapeError, explain

__all__ = ["clean_run", "open_nifti"]

DoubleArray = npt.NDArray[np.float64]


def clean_run(
    series: DoubleArray, data: NiftiData, confounds: DoubleArray | None = None, seconds: float | None = None
) -> DoubleArray:
    """Detrend, filter, regress confounds out of, and standardise the voxels of one run.

    Parameters
    ----------
    series : array of float64 (volume, voxel)
        Measured signal.
    data : NiftiData
        What is to be done.
    confounds : array of float64 (volume, confound), optional
        Signals to regress out; they are detrended and filtered first, as the voxels are.
    seconds : float, optional
        Repetition time, for the filter.

    Returns
    -------
    array of float64 (volume, voxel)
    """
    # nilearn takes seconds to import, and only this step needs it
    from nilearn import signal

    with warnings.catch_warnings():
        # announces another scale of the confounds, on which what is left after regression does not depend
        warnings.simplefilter("ignore", DeprecationWarning)
        cleaned = signal.clean(
            series,
            detrend=data.detrend,
            standardize="zscore_sample" if data.standardize else None,
            confounds=_with_drifts(len(series), data, confounds, seconds),
        )
    return np.asarray(cleaned)


def _with_drifts(n: int, data: NiftiData, confounds: DoubleArray | None, seconds: float | None) -> DoubleArray | None:
    """Return the confounds and, for the high-pass filter, slow cosines beside them.

    nilearn would leave its cosines out, with no more than a warning, where a confound resembles one of them.
    """
    if data.high_pass is None:
        return confounds
    from nilearn.glm.first_level.design_matrix import create_cosine_drift

    drifts = create_cosine_drift(data.high_pass, np.arange(n) * (seconds or 1.0))[:, :-1]
    return drifts if confounds is None else np.column_stack([confounds, drifts])


@dataclass(frozen=True)
class _Series:
    """The open images, with everything that is needed to read a run of them."""

    data: NiftiData
    images: list[Any]
    mask: npt.NDArray[np.bool_]
    runs: list[Run]
    confounds: list[DoubleArray] | None
    seconds: float | None

    def raw(self, number: int) -> npt.NDArray[Any]:
        """Read a run: (x, y, z, volume)."""
        run = self.runs[number]
        path = self.data.images[run.image]
        return read_volumes(path, self.images[run.image], run.start, run.start + run.length)

    def cleaned(self, number: int) -> DoubleArray:
        """Read, mask, check and clean a run: (volume, voxel)."""
        series = np.asarray(self.raw(number)[self.mask].T, dtype=np.float64)
        run = self.runs[number]
        where = f"{self.data.images[run.image]} ({run.name})"
        self._check_voxels(where, "NaN or infinite", np.any(~np.isfinite(series), axis=0))
        self._check_voxels(where, "constant", np.ptp(series, axis=0) == 0)
        return clean_run(series, self.data, self.confounds[number] if self.confounds else None, self.seconds)

    def _check_voxels(self, where: str, what: str, bad: npt.NDArray[np.bool_]) -> None:
        if bad.any():
            first = tuple(int(i) for i in np.argwhere(self.mask)[np.flatnonzero(bad)[0]])
            seen = f"{np.count_nonzero(bad)} {what} voxels inside the mask, the first at {first}"
            raise DataError(explain(where, seen, "finite voxels that vary", f"leave them out of {self.data.mask}"))


class _Reader:
    """Reads samples by position; keeps the run read last, so that each is cleaned once when read in order."""

    def __init__(self, series: _Series, samples: Samples, responses: FloatArray) -> None:
        self._series, self._samples, self._responses = series, samples, responses
        self._number, self._run = -1, np.empty((0, 0))

    def __call__(self, positions: IntArray) -> tuple[FloatArray, FloatArray]:
        inputs = np.empty((len(positions), np.count_nonzero(self._series.mask)), dtype=np.float32)
        numbers_of_runs = self._samples.run[positions]
        for number in dict.fromkeys(numbers_of_runs.tolist()):
            if number != self._number:
                self._run, self._number = self._series.cleaned(number), number
            for row in np.flatnonzero(numbers_of_runs == number):
                start, stop = self._samples.start[positions[row]], self._samples.stop[positions[row]]
                inputs[row] = self._run[start:stop].mean(axis=0)
        return inputs, self._responses[positions]


def _read_confounds(data: NiftiData, runs: list[Run]) -> list[DoubleArray] | None:
    """Read confounds (volume, confound) of each run."""
    if data.confounds is None:
        if data.confound_columns is not None:
            seen = "confound_columns without confounds"
            raise ConfigError(explain("data", seen, "both, or none", "name the confounds files"))
        return None
    if len(data.confounds) not in {1, len(runs)}:
        seen = f"{len(data.confounds)} files for {len(runs)} runs"
        raise ShapeError(explain("data.confounds", seen, "one a run, or one for all", "correct the list"))
    shared = len(data.confounds) == 1
    lengths = [sum(run.length for run in runs)] if shared else [run.length for run in runs]
    tables = []
    for path, length in zip(data.confounds, lengths, strict=True):
        table = read_table(path)
        if len(table) != length:
            seen = f"{len(table)} rows for {length} volumes"
            raise ShapeError(explain(path, seen, "one row a volume", "name the confounds of these images"))
        names = data.confound_columns or [str(name) for name in table.columns]
        tables.append(numbers(table, path, names, "name confound_columns without gaps"))
    return [tables[0][run.first : run.first + run.length] for run in runs] if shared else tables


def _seconds(data: NiftiData, image: Any) -> float | None:
    """Repetition time, where something depends on it."""
    if data.repetition_time is not None:
        return data.repetition_time
    needed = data.events is not None or data.lag > 0 or data.high_pass is not None
    return repetition_time(data.images[0], image) if needed else None


def _open_images(data: NiftiData) -> list[Any]:
    images = [load_image(path, 4) for path in data.images]
    for path, image in zip(data.images[1:], images[1:], strict=True):
        check_grid(path, image, data.images[0], images[0])
    return images


def _responses(data: NiftiData, labels: Labels, first: IntArray) -> tuple[FloatArray, list[str]]:
    """Return responses (sample, target) and the names of the targets; ``first`` is a volume of each sample."""
    if labels.categories is None or labels.values is not None:
        values = np.asarray(labels.values)[first]
        for j in np.flatnonzero(np.ptp(values, axis=0) == 0):
            seen = f"the same number in all volumes of column {labels.target_names[j]!r}"
            raise DataError(explain(str(data.targets), seen, "numbers that vary", "leave the column out"))
        return values.astype(np.float32), labels.target_names
    where = data.targets or (data.events or ["events"])[0]
    categories = Categories.of(where, labels.categories[first].astype(str))
    return one_hot(categories.codes, len(categories.names)), categories.names


def _exchangeable(blocks: IntArray | None, groups: IntArray, responses: FloatArray) -> IntArray | None:
    """Return the blocks, unless all of a group have one category (an image is a group): nothing would be permuted."""
    kinds = np.unique(np.stack([groups, responses.argmax(axis=1)]), axis=1)
    return blocks if kinds.shape[1] > len(np.unique(groups)) else None


def _geometry(series: _Series, image: Any) -> tuple[dict[str, Variable], dict[str, Any]]:
    """Return where the voxels are, and the mean image of the first run to draw them on."""
    background = np.nan_to_num(series.raw(0).mean(axis=3, dtype=np.float64), posinf=0, neginf=0).astype(np.float32)
    variables = {
        "voxel_index": Variable(("voxel", "axis"), np.argwhere(series.mask).astype(np.int32)),
        "background": Variable(("x", "y", "z"), background),
    }
    attributes = {
        "affine": np.asarray(image.affine, dtype=float).tolist(),
        "volume_shape": [int(n) for n in image.shape[:3]],
    }
    return variables, attributes


@contextmanager
def open_nifti(data: NiftiData, seed: int) -> Iterator[Source]:
    """Open functional images with their events or table of targets.

    Parameters
    ----------
    data : NiftiData
        The settings.
    seed : int
        Not used: nothing is random here.

    Yields
    ------
    Source
        Inputs (sample, voxel) in the order of time. Cleaning sees all volumes of a run, also those that are left out
        afterwards. Groups are runs, or what the group column says.

    Raises
    ------
    IgcError
        If a file is missing, or files and settings contradict each other.
    """
    del seed
    images = _open_images(data)
    mask = read_mask(data.mask, data.images[0], images[0])
    table: pd.DataFrame | None = None if data.targets is None else read_table(data.targets)
    seconds = _seconds(data, images[0])
    runs = find_runs(data, [int(image.shape[3]) for image in images], table)
    labels = label_volumes(data, runs, table, seconds)
    samples = cut_samples(data, runs, labels)
    series = _Series(data, images, mask, runs, _read_confounds(data, runs), seconds)
    atlases = {f"atlas_{k}": read_atlas(k, v, mask, data.images[0], images[0]) for k, v in data.atlases.items()}
    first = np.array([run.first for run in runs])[samples.run] + samples.start
    responses, target_names = _responses(data, labels, first)
    groups, group_names = codes_of(labels.groups[first])
    variables, attributes = _geometry(series, images[0])
    yield Source(
        shape=(int(np.count_nonzero(mask)),),
        kind="volume",
        target_type="values" if labels.categories is None else "categories",
        target_names=target_names,
        groups=groups,
        group_names=group_names,
        sample_ids=first.astype(np.int64),
        read=_Reader(series, samples, responses),
        origin={"name": "functional images", "files": [*data.images, data.mask, data.targets, *(data.events or [])]},
        blocks=_exchangeable(samples.block, groups, responses),
        in_time_order=True,
        variables={**variables, **atlases},
        attributes=attributes,
    )
