"""The step that writes the page on which maps of all studies stand side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from igc.errors import ConfigError, explain
from igc.report.explorer import MOST_BYTES, describe_study, explorer_page
from igc.roi.sets import open_rois
from igc.steps.shown import open_results, read_table
from igc.store.arrays import store_path
from igc.store.atomic import write_text
from igc.store.samples import open_samples

__all__ = ["explore"]

_TABLES = ("yardsticks", "yardstick_curves")


def _by_study(attributions: Sequence[Path]) -> dict[Path, list[Path]]:
    """Sort results by the folder of their study, in the order given."""
    if not attributions:
        raise ConfigError(explain("attributions", "none", "at least one result", "name the results to show"))
    studies: dict[Path, list[Path]] = {}
    for path in attributions:
        parents = store_path(path).absolute().parents
        if len(parents) < 3:
            allowed = "<study>/attributions/<model>/<method>.zarr"
            raise ConfigError(explain(path, "no folder of a study", allowed, "keep the folders of the workflow"))
        studies.setdefault(parents[2], []).append(path)
    return studies


def _described(folder: Path, paths: Sequence[Path], output: Path, most_bytes: int) -> dict[str, Any]:
    samples = open_samples(folder / "samples.zarr")
    results = open_results(paths, samples)
    rois = open_rois(folder / "rois.zarr") if (folder / "rois.zarr").exists() else {}
    found = {name: folder / "comparison" / f"{name}.tsv" for name in _TABLES}
    tables: dict[str, pd.DataFrame] = {name: read_table(path) for name, path in found.items() if path.is_file()}
    pages = {key: folder / "viewer" / key[0] / f"{key[1]}.html" for key in results}
    beside = Path(os.path.abspath(output)).parent
    viewers = {
        key: quote(Path(os.path.relpath(page, beside)).as_posix()) for key, page in pages.items() if page.is_file()
    }
    return describe_study(folder.name, samples, rois, results, tables, viewers, most_bytes)


def explore(attributions: Sequence[Path], output: Path) -> None:
    """Write one page on which study, model, target and methods are chosen.

    Parameters
    ----------
    attributions : sequence of Path
        Results of one or more studies, ``<study>/attributions/<model>/<method>.zarr``. The study's folder also holds
        ``samples.zarr``, and where there are any ``rois.zarr``, ``comparison/yardsticks.tsv`` and
        ``comparison/yardstick_curves.tsv``.
    output : Path
        The page, by custom ``results/explorer.html``; all data is inside.

    Raises
    ------
    ConfigError
        If there is no result, or one that is in no folder of a study.
    DataError, ShapeError, MissingFileError, StoreError
        If an input cannot be read or belongs to another study. Nothing is written then.
    """
    studies, left = [], MOST_BYTES
    for folder, paths in _by_study(attributions).items():
        studies.append(_described(folder, paths, output, left))
        left -= sum(len(one["map"]["data"]) for one in studies[-1]["results"] if "map" in one)
    write_text(output, explorer_page(studies))
