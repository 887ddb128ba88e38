"""Runs of a functional series, and what is to be predicted from each of its volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.config import NiftiData
from igc.data.source import IntArray
from igc.data.tables import MISSING, column, numbers, read_table
from igc.errors import ConfigError, DataError, ShapeError, explain

__all__ = ["Labels", "Run", "Samples", "cut_samples", "find_runs", "label_volumes"]

_TOLERANCE = 1e-6
TextArray = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Run:
    """Consecutive volumes of one image, cleaned together.

    Attributes
    ----------
    name : str
        Name of the run.
    image : int
        Number of the image that holds it.
    start : int
        Its first volume within the image.
    first : int
        Its first volume over all images.
    length : int
        Number of volumes.
    """

    name: str
    image: int
    start: int
    first: int
    length: int


@dataclass(frozen=True)
class Labels:
    """What belongs to each volume over all runs.

    Attributes
    ----------
    kept : array of bool (volume,)
        Volumes that have a response.
    groups : array of str (volume,)
        The unit that no split divides.
    categories : array of str (volume,) or None
        Category of each volume, if categories are predicted.
    values : array of float64 (volume, target) or None
        Numbers, otherwise.
    events : array of int (volume,)
        Number of the event that covers the volume; 0 throughout without events.
    target_names : list of str
        Of ``values``.
    """

    kept: npt.NDArray[np.bool_]
    groups: TextArray
    categories: TextArray | None
    values: npt.NDArray[np.float64] | None
    events: IntArray
    target_names: list[str]


@dataclass(frozen=True)
class Samples:
    """Volumes that make each sample: those from ``start`` to before ``stop`` of run number ``run``, all (sample,).

    ``block`` (sample,) numbers stretches of consecutive volumes of one category, event and group; None where responses
    are numbers, which make no blocks.
    """

    run: IntArray
    start: IntArray
    stop: IntArray
    block: IntArray | None = None


# --- runs -----------------------------------------------------------------------------------------------------------


def find_runs(data: NiftiData, lengths: Sequence[int], table: pd.DataFrame | None) -> list[Run]:
    """Divide the images into runs.

    Parameters
    ----------
    data : NiftiData
        The settings.
    lengths : sequence of int
        Number of volumes of each image.
    table : pandas.DataFrame or None
        The table of targets.

    Returns
    -------
    list of Run
        By ``run_lengths``, else by the run column, else one for each image.

    Raises
    ------
    ConfigError, DataError, ShapeError
        If the settings contradict each other or the images.
    """
    total = sum(lengths)
    image_of = np.repeat(np.arange(len(lengths)), lengths)
    if data.run_column is not None and data.run_lengths is not None:
        remedy = "leave one of them out"
        raise ConfigError(explain("data", "run_column and run_lengths", "only one of them", remedy))
    if data.run_lengths is not None:
        _check_run_lengths(data.run_lengths, lengths)
        names = np.repeat([f"run {i + 1}" for i in range(len(data.run_lengths))], data.run_lengths)
    elif data.run_column is not None:
        if table is None or data.targets is None:
            seen = f"run_column {data.run_column!r} with events"
            raise ConfigError(explain("data.run_column", seen, "a targets table", "use run_lengths instead"))
        _check_rows(data.targets, len(table), total)
        names = column(table, data.targets, data.run_column)
    else:
        names = np.array([f"run {i + 1}" for i in image_of])
    changes = np.flatnonzero((names[1:] != names[:-1]) | (image_of[1:] != image_of[:-1])) + 1
    first_of_image = np.concatenate([[0], np.cumsum(lengths)])
    runs = []
    for first, stop in pairwise([0, *changes.tolist(), total]):
        image = int(image_of[first])
        runs.append(Run(str(names[first]), image, first - int(first_of_image[image]), first, stop - first))
    _check_unique(data, runs)
    return runs


def _check_run_lengths(run_lengths: Sequence[int], lengths: Sequence[int]) -> None:
    total = sum(lengths)
    if sum(run_lengths) != total or min(run_lengths) < 1 or (len(lengths) > 1 and list(run_lengths) != list(lengths)):
        allowed = f"lengths that sum to the {total} volumes" if len(lengths) == 1 else f"{list(lengths)}, as the images"
        seen = f"{list(run_lengths)}, together {sum(run_lengths)}"
        raise ShapeError(explain("data.run_lengths", seen, allowed, "correct the lengths"))


def _check_unique(data: NiftiData, runs: list[Run]) -> None:
    # two stretches of one name would be cleaned apart but split together, which nobody can have meant
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            seen = f"run {name!r} in {names.count(name)} separate places"
            remedy = "give each run a name of its own in the run column"
            raise DataError(explain(data.targets or "runs", seen, "consecutive volumes of one image", remedy))


def _check_rows(path: str | Path, rows: int, volumes: int) -> None:
    if rows != volumes:
        seen = f"{rows} rows for {volumes} volumes"
        remedy = "give one row a volume, over all runs in order"
        raise ShapeError(explain(path, seen, f"{volumes} rows", remedy))


# --- labels ---------------------------------------------------------------------------------------------------------


def label_volumes(data: NiftiData, runs: list[Run], table: pd.DataFrame | None, seconds: float | None) -> Labels:
    """Find the response of each volume.

    Parameters
    ----------
    data : NiftiData
        The settings.
    runs : list of Run
        From :func:`find_runs`.
    table : pandas.DataFrame or None
        The table of targets; None with events.
    seconds : float or None
        Repetition time; needed with events or a lag.

    Returns
    -------
    Labels

    Raises
    ------
    DataError, ShapeError, ConfigError
        If tables do not fit the volumes, or nothing is left.
    """
    if table is None or data.targets is None:
        return _labels_from_events(data, runs, float(seconds or 0))
    total = sum(run.length for run in runs)
    _check_rows(data.targets, len(table), total)
    shift = round(data.lag / seconds) if data.lag and seconds else 0
    rows, kept = _lagged_rows(runs, shift)
    groups = _run_names(runs) if data.group_column is None else column(table, data.targets, data.group_column)[rows]
    events = np.zeros(total, dtype=np.int64)
    if data.category_column is not None:
        categories = column(table, data.targets, data.category_column)[rows]
        kept &= ~np.isin(categories.astype(str), [*data.ignore, *MISSING])
        return Labels(kept, groups, categories, None, events, [])
    names = _target_columns(data, table)
    remedy = "name numeric target_columns, or the category_column"
    values = numbers(table, data.targets, names, remedy)[rows]
    return Labels(kept, groups, None, values, events, names)


def _target_columns(data: NiftiData, table: pd.DataFrame) -> list[str]:
    others = {data.run_column, data.group_column}
    names = data.target_columns or [str(name) for name in table.columns if name not in others]
    if not names:
        raise DataError(explain(str(data.targets), "no column to predict", "at least one", "add one to the table"))
    return names


def _lagged_rows(runs: list[Run], shift: int) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Return for each volume the row ``shift`` volumes before it, and whether that lies in the same run."""
    within = np.concatenate([np.arange(run.length) for run in runs])
    kept = within >= shift
    return np.where(kept, np.arange(len(within)) - shift, 0).astype(np.int64), kept


def _run_names(runs: list[Run]) -> TextArray:
    return np.array([run.name for run in runs for _ in range(run.length)], dtype=object)


def _labels_from_events(data: NiftiData, runs: list[Run], seconds: float) -> Labels:
    files = data.events or []
    if len(files) != len(runs):
        seen = f"{len(files)} events files for {len(runs)} runs"
        remedy = "give one a run; if one image holds several runs, set run_lengths"
        raise ShapeError(explain("data.events", seen, f"{len(runs)}", remedy))
    total = sum(run.length for run in runs)
    categories, groups = np.full(total, "", dtype=object), _run_names(runs)
    events = np.full(total, -1, dtype=np.int64)
    declared: set[str] = set()
    for run, file in zip(runs, files, strict=True):
        table = read_table(file)
        times = numbers(table, file, ["onset", "duration"], "give onset and duration in seconds")
        kinds = column(table, file, "trial_type")
        units = None if data.group_column is None else column(table, file, data.group_column)
        volume_times = np.arange(run.length) * seconds - data.lag
        for number in np.flatnonzero(~np.isin(kinds.astype(str), [*data.ignore, *MISSING])):
            declared.add(kinds[number])
            onset, end = times[number, 0], times[number].sum()
            inside = (volume_times >= onset - _TOLERANCE) & (volume_times < end - _TOLERANCE)
            volumes = run.first + np.flatnonzero(inside)
            # an event that is left out may overlap others: button presses, for instance
            _check_alone(file, kinds, onset, categories[volumes], int(number))
            categories[volumes], events[volumes] = kinds[number], number
            if units is not None:
                groups[volumes] = units[number]
    _check_all_matched(files, declared, categories, seconds)
    return Labels(events >= 0, groups, categories, None, events, [])


def _check_alone(file: str, kinds: TextArray, onset: float, present: TextArray, number: int) -> None:
    """Refuse two events of different kinds over the same volume."""
    others = {kind for kind in present if kind not in {"", kinds[number]}}
    if others:
        seen = f"{kinds[number]!r} at {onset:g} s over the same volume as {sorted(others)[0]!r}"
        raise DataError(explain(file, seen, "one event a volume", "put one of the two into data.ignore"))


def _check_all_matched(files: Sequence[str], declared: set[str], categories: TextArray, seconds: float) -> None:
    where = files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    remedy = "check onset, duration (seconds), lag and repetition_time"
    if not np.any(categories != ""):
        raise DataError(explain(where, f"no event that covers a volume (one every {seconds:g} s)", "some", remedy))
    lost = sorted(declared - set(categories))
    if lost:
        seen = f"no volume within any event {lost[0]!r}"
        raise DataError(explain(where, seen, "at least one a category", f"{remedy}, or put it into data.ignore"))


# --- samples --------------------------------------------------------------------------------------------------------


def cut_samples(data: NiftiData, runs: list[Run], labels: Labels) -> Samples:
    """Make samples of single volumes, or of blocks of consecutive volumes that belong together.

    Parameters
    ----------
    data : NiftiData
        The settings; ``average`` decides.
    runs : list of Run
        The runs.
    labels : Labels
        Responses of the volumes.

    Returns
    -------
    Samples
        In the order of time. A block ends where category, event, group or run changes.

    Raises
    ------
    ConfigError, DataError
        If blocks of numeric responses are asked for, or no volume is left.
    """
    if not labels.kept.any():
        remedy = "check the category column, and what is ignored"
        raise DataError(explain(str(data.targets), "no volume with a response", "at least one", remedy))
    if data.average == "block" and labels.categories is None:
        raise ConfigError(explain("data.average", "'block' with numeric targets", "'volume'", "set it to volume"))
    run_of, starts, stops, blocks, n_blocks = [], [], [], [], 0
    for number, run in enumerate(runs):
        kept = np.flatnonzero(labels.kept[run.first : run.first + run.length])
        first = last = kept
        breaks = _block_ends(kept, kept + run.first, labels)
        block = n_blocks + np.searchsorted(breaks, np.arange(len(kept)), side="right")
        if data.average == "block" and len(kept):
            first, last = kept[np.r_[0, breaks]], kept[np.r_[breaks - 1, len(kept) - 1]]
            block = np.unique(block)
        n_blocks += len(np.unique(block))
        run_of.append(np.full(len(first), number))
        starts.append(first)
        stops.append(last + 1)
        blocks.append(block)
    made = (np.concatenate(parts).astype(np.int64) for parts in (run_of, starts, stops, blocks))
    samples = Samples(*made)
    return samples if labels.categories is not None else replace(samples, block=None)


def _block_ends(kept: IntArray, volumes: IntArray, labels: Labels) -> IntArray:
    """Return the positions among the kept volumes of a run at which another block begins, without the first."""
    same = np.diff(kept) == 1
    for key in (labels.groups, labels.events, labels.categories):
        if key is not None:
            same &= key[volumes][1:] == key[volumes][:-1]
    return np.asarray(np.flatnonzero(~same) + 1, dtype=np.int64)
