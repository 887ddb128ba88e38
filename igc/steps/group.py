"""The step that turns the ROI tables of several subjects into those of a group."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from igc.errors import ConfigError, DataError, MissingFileError, explain
from igc.report.groups import group_figure
from igc.report.selection import method_label
from igc.report.style import save_figure
from igc.roi.aggregate import COLUMNS
from igc.roi.groups import group_table, join_subjects, power_note
from igc.roi.sets import open_rois
from igc.store.atomic import write_table
from igc.store.outputs import check_folder

__all__ = ["group"]

logger = logging.getLogger(__name__)

Key = tuple[str, str]


def _read(path: Path) -> pd.DataFrame:
    """Read one ROI table."""
    text = dict.fromkeys(("set", "roi", "target"), str)
    table = pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=text)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        seen = f"no column {missing[0]!r}"
        raise DataError(explain(path, seen, "an ROI table", "make it with `igc aggregate`"))
    return table


def _tables(folder: Path) -> dict[Key, list[pd.DataFrame]]:
    """Return the ROI tables of a study by model and method, one a seed."""
    if not folder.is_dir():
        raise MissingFileError(explain(folder, "no such folder", "ROI tables", "run `igc aggregate`"))
    found: dict[Key, list[pd.DataFrame]] = {}
    for path in sorted(folder.glob("*/*.tsv")):
        model = path.parent.name.rpartition("-seed")[0] or path.parent.name
        table = _read(path)
        if len(table):
            found.setdefault((model, path.stem), []).append(table)
    return found


def _colours(folder: Path) -> dict[str, dict[str, str]]:
    """Return the colours of the regions of a study's sets, where the sets lie beside its tables."""
    store = folder.parent / "rois.zarr"
    if not store.exists():
        return {}
    return {
        name: {region.name: region.color for region in one.regions.values()} for name, one in open_rois(store).items()
    }


def group(studies: Sequence[Path], output: Path, title: str = "", missing_regions: bool = False, seed: int = 0) -> None:
    """Write tables and figures of a group of studies, one a subject.

    Parameters
    ----------
    studies : sequence of Path
        ``results/<study>/rois`` of each, with ``<model>-seed<seed>/<method>.tsv``; the study's name stands for the
        subject.
    output : Path
        Folder of the group: ``rois/<model>/<method>.tsv`` (:data:`igc.roi.groups.GROUP_COLUMNS`),
        ``rois/<model>/<method>-subjects.tsv`` (:data:`igc.roi.groups.SUBJECT_COLUMNS`) and
        ``figures/<model>/<method>.png`` are written for each model and method that all studies have. Seeds of a model
        are averaged.
    title : str
        Heading of the figures.
    missing_regions : bool
        Allow regions that some subjects lack.
    seed : int
        Of the flips, where there are too many to make all.

    Raises
    ------
    ConfigError
        If there are fewer than two studies, or they have no model and method in common.
    DataError, MissingFileError
        If a table cannot be read, or targets, ROI sets or regions differ. Nothing is written then.
    """
    folders = {folder.absolute().parent.name: folder for folder in studies}
    if len(folders) < 2 or len(folders) < len(studies):
        seen = f"{len(folders)} different studies"
        raise ConfigError(explain("group", seen, "two or more, each once", "name the ROI tables of several studies"))
    check_folder(output)
    tables = {name: _tables(folder) for name, folder in folders.items()}
    common = [key for key in next(iter(tables.values())) if all(key in own for own in tables.values())]
    if not common:
        seen = "no model and method that all studies have, with ROI sets"
        raise ConfigError(explain("group", seen, "at least one", "give the studies models and methods of one name"))
    joined = {key: join_subjects({name: own[key] for name, own in tables.items()}, missing_regions) for key in common}
    note = power_note(len(folders))
    if note:
        logger.warning("%s", note)
    colours = _colours(next(iter(folders.values())))
    for (model, method), subjects in joined.items():
        table = group_table(subjects, seed)
        write_table(output / "rois" / model / f"{method}.tsv", table)
        write_table(output / "rois" / model / f"{method}-subjects.tsv", subjects)
        heading = f"{title or output.name} · {method_label(method)}, {model.replace('_', ' ')}"
        save_figure(group_figure(table, subjects, heading, colours), output / "figures" / model / f"{method}.png")
