"""The step that draws the figures of a study, and writes its maps as NIfTI volumes where it has voxels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from igc.comparison.agreement import map_agreement
from igc.comparison.closure import closure_table, runtime_row
from igc.comparison.summary import read_summary
from igc.comparison.target_regions import by_region
from igc.report.agreement import agreement_figure, diagnostics_figure
from igc.report.curves import curve_figure
from igc.report.differences import difference_figure
from igc.report.examples import examples_figure
from igc.report.maps import maps_igc, maps_methods, maps_surface, painters
from igc.report.partition import partition_figure
from igc.report.regions import roi_figure
from igc.report.scores import score_figure
from igc.report.selection import Results
from igc.report.style import Draw, save_figure
from igc.report.surfaces import Surfaces, write_gifti
from igc.report.taylor import taylor_figure
from igc.report.verdict import verdict_figure
from igc.report.viewers import viewer_pages
from igc.report.volumes import Geometry, write_volume
from igc.report.yardsticks import curves_figure, yardstick_figure
from igc.roi.sets import RoiSet, open_rois
from igc.steps.shown import open_results, read_table
from igc.store.arrays import read_values
from igc.store.atomic import write_text
from igc.store.outputs import check_folder
from igc.store.samples import open_samples

__all__ = ["FIGURES", "report"]

FIGURES = (
    *("maps_igc.png", "maps_methods.png", "rois.png", "scores.png", "learning_curves.png", "agreement.png"),
    *("diagnostics.png", "yardsticks.png", "yardstick_curves.png", "taylor.png", "verdict.png"),
    *("linear_partition.png", "deep_linear.png", "examples.png", "maps_surface.png"),
)
"""Names of the figures of every study, whatever its data."""


def _comparison(folder: Path | None, results: Results) -> dict[str, pd.DataFrame]:
    """Read the tables of the comparison, or make the ones that figures need."""
    if folder is not None:
        found = ["agreement", "closure", "runtime"]
        optional = ("recovery", "deep_linear", "linear_partition", "yardsticks", "yardstick_curves")
        found += [name for name in optional if (folder / f"{name}.tsv").is_file()]
        return {name: read_table(folder / f"{name}.tsv") for name in found}
    pairs = [
        map_agreement(results[a], results[b]).assign(model_a=a[0], method_a=a[1], model_b=b[0], method_b=b[1])
        for a, b in combinations(results, 2)
    ]
    closures = [closure_table(one).assign(model=model, method=method) for (model, method), one in results.items()]
    costs = [{"model": model, "method": method, **runtime_row(one)} for (model, method), one in results.items()]
    return {
        "agreement": pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(),
        "closure": pd.concat(closures, ignore_index=True),
        "runtime": pd.DataFrame(costs),
    }


def _figures(
    samples: xr.Dataset,
    rois: Mapping[str, RoiSet],
    results: Results,
    scores: Mapping[str, pd.DataFrame],
    histories: Mapping[str, pd.DataFrame],
    tables: Mapping[str, pd.DataFrame],
) -> dict[str, Draw]:
    """Return what draws each figure, so that only one of them is in memory at a time."""
    title = str(samples.attrs.get("title") or samples.attrs.get("study") or "study")
    draw = painters(samples, results, rois)
    categories = samples.sizes["target"] if samples.attrs.get("target_type") == "categories" else None
    return {
        "maps_igc.png": lambda: maps_igc(samples, results, draw),
        "maps_surface.png": lambda: maps_surface(samples, results),
        "maps_methods.png": lambda: maps_methods(samples, results, draw),
        "examples.png": lambda: examples_figure(samples, results, draw),
        "rois.png": lambda: roi_figure(results, rois, draw.small, title),
        "scores.png": lambda: score_figure(by_region(scores, samples), title, categories),
        "learning_curves.png": lambda: curve_figure(histories, title),
        "agreement.png": lambda: agreement_figure(tables["agreement"], title),
        "diagnostics.png": lambda: diagnostics_figure(
            tables["closure"], tables["runtime"], title, tables.get("recovery")
        ),
        "yardsticks.png": lambda: yardstick_figure(tables.get("yardsticks", pd.DataFrame()), title),
        "yardstick_curves.png": lambda: curves_figure(
            tables.get("yardstick_curves", pd.DataFrame()), title, categories is not None
        ),
        "taylor.png": lambda: taylor_figure(results, rois, title),
        "linear_partition.png": lambda: partition_figure(tables.get("linear_partition", pd.DataFrame()), title),
        "deep_linear.png": lambda: difference_figure(tables.get("deep_linear", pd.DataFrame()), title),
        "verdict.png": lambda: verdict_figure(tables.get("summary", pd.DataFrame()), title),
    }


def _write_volumes(samples: xr.Dataset, results: Results, folder: Path) -> None:
    """Write the maps of all results as NIfTI, each with a JSON file that names its volumes."""
    geometry = Geometry.of(samples)
    for (model, method), result in results.items():
        maps = read_values(result["attribution"]).astype(np.float64)
        write_volume(maps, geometry, folder / model / f"{method}.nii.gz", f"igc {model} {method}")
        complete = bool(result.attrs.get("complete"))
        described = {
            "Volumes": [str(name) for name in result["target"].values],
            "Scores": [None if np.isnan(score) else float(score) for score in result["score"].values],
            "Units": "correlation units, sums to the score" if complete else "unit of the method",
            "Model": model,
            "Method": method,
            "Study": str(samples.attrs.get("study", "")),
        }
        write_text(folder / model / f"{method}.json", json.dumps(described, indent=2) + "\n")


def _write_surfaces(samples: xr.Dataset, results: Results, folder: Path) -> None:
    """Write the maps of all results as GIFTI: on all vertices, or on those of fsaverage5 for volumes in MNI space."""
    surfaces = Surfaces.of(samples)
    if surfaces is None:
        return
    ending = "" if "vertex_index" in samples else "_space-fsaverage5"
    for (model, method), result in results.items():
        maps = read_values(result["attribution"]).astype(np.float64)
        left, right = zip(*(surfaces.project(one) for one in maps), strict=True)
        names = [str(name) for name in result["target"].values]
        write_gifti((np.stack(left), np.stack(right)), names, folder / model, f"{method}{ending}")


def report(
    samples: Path,
    rois: Path | None,
    attributions: Sequence[Path],
    models: Sequence[Path],
    comparison: Path | None,
    output: Path,
) -> None:
    """Draw all figures of a study.

    Parameters
    ----------
    samples : Path
        ``samples.zarr``.
    rois : Path or None
        ``rois.zarr``.
    attributions : sequence of Path
        Results, ``<model>/<method>.zarr``.
    models : sequence of Path
        Folders of the models, with ``scores.tsv`` and, for networks, ``history.tsv``; their order is kept.
    comparison : Path or None
        Folder of the comparison's tables; without it, what figures need is computed here.
    output : Path
        Folder of the study: :data:`FIGURES` are written to ``figures`` in it, and for samples of kind "volume" one
        4-D NIfTI file a result to ``maps/<model>/<method>.nii.gz``, with one volume a target; where these have more
        than one slice, also a page in three planes, ``viewer/<model>/<method>.html``, for the best predicted target.
        Maps on surfaces, and of volumes in MNI space, become GIFTI files, ``maps/<model>/<method>_hemi-L.shape.gii``.

    Raises
    ------
    ConfigError
        If there is no result.
    DataError, ShapeError, MissingFileError, StoreError
        If an input cannot be read or belongs to another study. Nothing is written then.
    """
    check_folder(output)
    dataset = open_samples(samples)
    results = open_results(attributions, dataset)
    sets = {} if rois is None else open_rois(rois)
    folders = {folder.absolute().name: folder for folder in models}
    scores = {name: read_table(folder / "scores.tsv") for name, folder in folders.items()}
    trained = {name: folder for name, folder in folders.items() if (folder / "history.tsv").is_file()}
    histories = {name: read_table(folder / "history.tsv") for name, folder in trained.items()}
    order = list(folders)
    ranked = sorted(results, key=lambda key: order.index(key[0]) if key[0] in order else len(order))
    results = {key: results[key] for key in ranked}
    compared = _comparison(comparison, results)
    if comparison is not None and (comparison / "summary.tsv").is_file():
        compared["summary"] = read_summary(comparison / "summary.tsv")
    # the figures, which the workflow waits for, come last: when they are there, everything is
    if dataset.attrs.get("kind") == "volume":
        _write_volumes(dataset, results, output / "maps")
        for (model, method), page in viewer_pages(dataset, results).items():
            write_text(output / "viewer" / model / f"{method}.html", page)
    _write_surfaces(dataset, results, output / "maps")
    for name, draw in _figures(dataset, sets, results, scores, histories, compared).items():
        save_figure(draw(), output / "figures" / name)
