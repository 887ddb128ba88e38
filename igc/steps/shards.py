"""Say into how many jobs maps must be split to end in time, from what earlier runs of them took."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
import yaml

from igc.config import MethodSettings, Study, load_config
from igc.errors import MissingFileError, explain
from igc.store.atomic import write_text
from igc.store.results import open_result
from igc.store.samples import open_samples

__all__ = ["Planned", "plan_shards"]

MOST_SHARDS = 512
USED = 0.8
"""Part of a job's time that is left for its share: every job starts anew, and passes over all samples once."""


@dataclass(frozen=True)
class Planned:
    """How the maps of a method are split.

    Attributes
    ----------
    study, method : str
        Names in the configuration.
    seconds : float
        What the longest map of the method is expected to take one worker.
    shards : int
        Jobs a map.
    """

    study: str
    method: str
    seconds: float
    shards: int


def plan_shards(config: Path, results: Path, wall_seconds: float, output: Path, workers: int = 1) -> list[Planned]:
    """Write a configuration file that sets the shards of every method that was run before.

    Parameters
    ----------
    config : Path
        The configuration of the run to come.
    results : Path
        The results of an earlier run, which may have used fewer samples or points.
    wall_seconds : float
        How long a job should take at most.
    output : Path
        The file to write: YAML, to be given to Snakemake after the configuration itself.
    workers : int
        Workers of a job: its cores, or its GPUs.

    Returns
    -------
    list of Planned
        In the order of the configuration.

    Raises
    ------
    MissingFileError
        If no method of the configuration has a result.
    """
    planned = []
    for name, study in load_config(config).studies.items():
        folder = results / name
        for key, block in study.methods.items():
            seconds = max(_expected(folder, study, key, block), default=None)
            if seconds is not None:
                needed = math.ceil(seconds / (workers * wall_seconds * USED))
                planned.append(Planned(name, key, seconds, min(max(1, needed), MOST_SHARDS)))
    if not planned:
        remedy = "run once with few points, or with few samples, or set shards yourself"
        raise MissingFileError(explain(results, "no map of this configuration", "maps of an earlier run", remedy))
    text = "# Shards of each method, by what an earlier run took. Give it to --configfile after the configuration.\n"
    write_text(output, text + yaml.safe_dump(_as_config(planned), sort_keys=False))
    return planned


def _as_config(planned: list[Planned]) -> dict[str, Any]:
    studies: dict[str, Any] = {}
    for one in planned:
        methods = studies.setdefault(one.study, {"methods": {}})["methods"]
        methods[one.method] = {"shards": one.shards}
    return {"studies": studies}


def _expected(folder: Path, study: Study, key: str, block: MethodSettings) -> Iterator[float]:
    """Yield how long each map that was made by a method will take with the settings of the run to come."""
    for model, settings in study.models.items():
        for seed in settings.seeds if block.models is None or model in block.models else []:
            store = folder / "attributions" / f"{model}-seed{seed}" / f"{key}.zarr"
            if (store / "zarr.json").is_file():
                with open_result(store) as result:
                    yield _seconds(result) * _growth(result, folder / "samples.zarr", block)


def _seconds(result: xr.Dataset) -> float:
    """Return the time of all workers and shares; results that kept no states have that of the process alone."""
    return float(result.attrs.get("work_seconds") or result.attrs.get("seconds", 0.0))


def _growth(result: xr.Dataset, samples: Path, block: MethodSettings) -> float:
    """Return how many times as much work is to come: work grows with the samples and with the points of each."""
    before: Mapping[str, Any] = result.attrs.get("settings", {})
    points = before.get("points")
    growth = block.points / points if block.points and points else 1.0
    if not (samples / "zarr.json").is_file():
        return growth
    with open_samples(samples) as dataset:
        folds = dataset["fold"].values
    sizes = [int((folds == fold).sum()) for fold in range(len(result["n_fold"]))]
    explained = sum(min(size, block.samples or size) for size in sizes)
    return growth * explained / max(1, int(result["n_fold"].sum()))
