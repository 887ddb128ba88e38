"""The step that puts all models and methods of a study side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from igc.comparison.agreement import map_agreement, profile_agreement
from igc.comparison.closure import closure_table, runtime_row
from igc.comparison.criteria import COLUMNS, CURVE_COLUMNS, join_models
from igc.comparison.linear import deep_against_linear
from igc.comparison.partition import PARTITION_COLUMNS, beside_partition
from igc.comparison.recovery import recovery_table
from igc.comparison.reliability import reliability_table, seed_table
from igc.comparison.sizes import SIZE_COLUMNS
from igc.comparison.summary import summary_table
from igc.comparison.target_regions import regions_of_targets, target_region_table
from igc.errors import ConfigError, DataError, MissingFileError, ShapeError, explain
from igc.store.arrays import read_values, store_path
from igc.store.atomic import write_parquet, write_table
from igc.store.descriptions import read_description
from igc.store.outputs import check_folder
from igc.store.results import open_result
from igc.store.samples import open_samples

__all__ = ["compare"]

Key = tuple[str, str]

_MEMORY = 512 << 20
_PAIR = ("model_a", "method_a", "model_b", "method_b")


def _key(path: Path) -> Key:
    """Return the names of model and method, as the folder and the file of a result give them."""
    folder = store_path(path)
    return folder.absolute().parent.name, folder.stem


def _open_all(paths: Sequence[Path], samples: xr.Dataset) -> dict[Key, xr.Dataset]:
    """Open the results of a study, with their maps in memory where all of them fit."""
    results: dict[Key, xr.Dataset] = {}
    shape = samples["inputs"].shape[1:]
    for path in paths:
        key, result = _key(path), open_result(path)
        if key in results:
            remedy = "name each result once"
            raise ConfigError(explain(path, f"a second result {'/'.join(key)}", "one a model and method", remedy))
        if "attribution" not in result:
            raise DataError(explain(path, "maps of several inputs", "one map a target", "compare them input by input"))
        if result["attribution"].shape[1:] != shape:
            seen = f"maps of shape {result['attribution'].shape[1:]}"
            raise ShapeError(explain(path, seen, f"{shape}, as the samples", "compare results of one study"))
        results[key] = result
    if sum(result["attribution"].nbytes for result in results.values()) <= _MEMORY:
        maps = {
            key: (result["attribution"].dims, read_values(result["attribution"])) for key, result in results.items()
        }
        results = {key: result.assign(attribution=maps[key]) for key, result in results.items()}
    return results


def _pairs(results: dict[Key, xr.Dataset], measure: Callable[[xr.Dataset, xr.Dataset], pd.DataFrame]) -> pd.DataFrame:
    """Return a table over all pairs of results."""
    tables = []
    for a, b in combinations(results, 2):
        tables.append(_labelled(measure(results[a], results[b]), dict(zip(_PAIR, (*a, *b), strict=True))))
    if not tables:
        # a single result has no pair: it is compared with itself to know the columns of an empty table
        alone = next(iter(results.values()))
        return _labelled(measure(alone, alone), dict.fromkeys(_PAIR, "")).iloc[:0]
    return _joined(tables)


def _labelled(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Put columns of constant labels before a table's own."""
    own = list(table.columns)
    return table.assign(**labels)[[*labels, *own]]


def _joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join tables, of which empty ones only give their columns."""
    given = list(tables)
    filled = [table for table in given if len(table)]
    if filled:
        return pd.concat(filled, ignore_index=True)
    return given[0] if given else pd.DataFrame(columns=list(_PAIR))


def _each(results: dict[Key, xr.Dataset], measure: Callable[[xr.Dataset], pd.DataFrame]) -> pd.DataFrame:
    """Return a table over all results."""
    return _joined(
        _labelled(measure(result), {"model": model, "method": method}) for (model, method), result in results.items()
    )


def _is_linear(model: str, result: xr.Dataset, scores: Sequence[Path]) -> bool:
    """Return whether a model is linear, from the result or from the description beside its scores."""
    if "model_kind" in result.attrs:
        return str(result.attrs["model_kind"]) == "linear"
    folders = [path.parent for path in scores if path.absolute().parent.name == model]
    return any(
        read_description(folder).get("kind") == "linear" for folder in folders if (folder / "model.json").is_file()
    )


def _deep_linear(results: dict[Key, xr.Dataset], scores: Sequence[Path]) -> pd.DataFrame:
    """Compare every complete map of a model that is not linear with those of each linear model.

    Where the linear model has a map of the same method, only that one is its partner.
    """
    complete = {key: result for key, result in results.items() if result.attrs.get("complete")}
    linear = {key for key, result in complete.items() if _is_linear(key[0], result, scores)}
    tables = []
    for a in complete:
        for b in linear if a not in linear else ():
            if a[1] != b[1] and (b[0], a[1]) in linear:
                continue
            labels = {"model": a[0], "method": a[1], "linear_model": b[0], "linear_method": b[1]}
            tables.append(_labelled(deep_against_linear(complete[a], complete[b]), labels))
    if tables:
        return _joined(tables).sort_values(
            ["model", "method", "linear_model", "linear_method"], kind="stable", ignore_index=True
        )
    columns = deep_against_linear(xr.Dataset(), xr.Dataset()).columns
    return pd.DataFrame(columns=["model", "method", "linear_model", "linear_method", *columns])


def _seeds(results: dict[Key, xr.Dataset]) -> pd.DataFrame:
    """Return the spread of each model and method between seeds, where there are several."""
    runs: dict[Key, list[xr.Dataset]] = {}
    for (model, method), result in results.items():
        runs.setdefault((re.sub(r"-seed\d+$", "", model), method), []).append(result)
    return _joined(_labelled(seed_table(same), {"model": m, "method": n}) for (m, n), same in runs.items())


def _scores(paths: Sequence[Path]) -> pd.DataFrame:
    """Return the scores of all models in one table, with the model's name first."""
    tables = []
    for path in paths:
        if not path.is_file():
            raise MissingFileError(explain(path, "no such file", "the scores of a model", "train it with `igc train`"))
        try:
            table = pd.read_csv(
                path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype={"fold": str, "target": str}
            )
        except ValueError as error:
            seen = f"an unreadable table ({error})"
            raise DataError(explain(path, seen, "a score table", "train the model again")) from error
        missing = {"fold", "target", "metric", "value"} - set(table.columns)
        if missing:
            raise DataError(
                explain(path, f"no column {sorted(missing)[0]!r}", "a score table", "train the model again")
            )
        tables.append(_labelled(table, {"model": path.absolute().parent.name}))
    return _joined(tables) if tables else pd.DataFrame(columns=["model", "fold", "target", "metric", "value", "n"])


def _partitions(scores: Sequence[Path]) -> dict[str, pd.DataFrame]:
    """Read what the regions of banded models explain, which lies beside their scores."""
    found: dict[str, pd.DataFrame] = {}
    for path in scores:
        file = path.with_name("partition.tsv")
        if not file.is_file():
            continue
        table = pd.read_csv(file, sep="\t", na_values=["n/a"], keep_default_na=False, dtype={"target": str})
        missing = [name for name in PARTITION_COLUMNS if name not in table]
        if missing:
            raise DataError(explain(file, f"no column {missing[0]!r}", "a table of shares", "train the model again"))
        found[path.absolute().parent.name] = table
    return found


def _closure(results: dict[Key, xr.Dataset], scores: pd.DataFrame) -> pd.DataFrame:
    """Return the closure of all results, beside the correlation that the model's own scoring found."""
    table = _each(results, closure_table)
    own = scores[(scores["fold"] == "mean") & (scores["metric"] == "correlation")]
    found: dict[Any, Any] = {(row.model, row.target): row.value for row in own.itertuples()}
    values = [found.get(pair, float("nan")) for pair in zip(table["model"], table["target"].astype(str), strict=True)]
    table.insert(list(table.columns).index("score") + 1, "model_score", values)
    return table


def _yardsticks(folder: Path) -> dict[str, pd.DataFrame]:
    """Join the tables that :func:`igc.steps.yardsticks.judge_models` wrote, of all models."""
    files = {name.stem: name for name in sorted(folder.glob("*.tsv"))}
    known = {name: file for name, file in files.items() if not name.endswith(("-curves", "-sizes"))}
    if not known:
        raise MissingFileError(explain(folder, "no table", "those of `igc yardsticks`", "run that step"))
    return {
        "yardsticks": join_models({name: _read_yardsticks(file, COLUMNS) for name, file in known.items()}),
        "yardstick_curves": _of_models(files, "-curves", CURVE_COLUMNS),
        "roi_size": _of_models(files, "-sizes", ("method", *SIZE_COLUMNS)),
    }


def _of_models(files: dict[str, Path], ending: str, columns: Sequence[str]) -> pd.DataFrame:
    """Join the tables of all models whose names end alike."""
    found = {name.removesuffix(ending): file for name, file in files.items() if name.endswith(ending)}
    tables = [_labelled(_read_yardsticks(file, columns), {"model": model}) for model, file in found.items()]
    return _joined(tables) if tables else pd.DataFrame(columns=["model", *columns])


def _memory(folder: Path, results: Iterable[Key]) -> pd.DataFrame:
    """Return the largest memory of the job that made each result, as Snakemake measured it, in MB."""
    rows = []
    for model, method in results:
        file = folder / "attribute" / model / f"{method}.tsv"
        if not file.is_file():
            continue
        table = pd.read_csv(file, sep="\t", na_values=["-"])
        if "max_rss" in table:
            rows.append({"model": model, "method": method, "peak_memory": float(table["max_rss"].max())})
    return pd.DataFrame(rows, columns=["model", "method", "peak_memory"])


def _read_yardsticks(path: Path, given: Sequence[str]) -> pd.DataFrame:
    columns = list(given)
    table = pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False)
    missing = [name for name in columns if name not in table]
    if missing:
        raise DataError(explain(path, f"no column {missing[0]!r}", "a table of yardsticks", "run `igc yardsticks`"))
    return table[columns]


def compare(
    samples: Path,
    attributions: Sequence[Path],
    scores: Sequence[Path],
    output: Path,
    yardsticks: Path | None = None,
    benchmarks: Path | None = None,
) -> None:
    """Compare all attribution results of a study.

    Parameters
    ----------
    samples : Path
        ``samples.zarr``.
    attributions : sequence of Path
        Results, ``<model>/<method>.zarr``.
    scores : sequence of Path
        The ``scores.tsv`` of each model, in the model's folder.
    output : Path
        Folder for the tables: ``agreement.tsv`` and ``roi_agreement.tsv`` (all pairs of results), ``closure.tsv``,
        ``runtime.tsv``, ``deep_linear.tsv``, ``reliability.tsv`` (split halves of the groups), ``seeds.tsv`` (models
        trained with several seeds), ``scores.tsv`` (all models), ``recovery.tsv`` where the truth is known,
        ``target_regions.tsv`` where targets lie in regions, ``linear_partition.tsv`` where a linear model is banded,
        and ``summary.tsv`` and ``summary.parquet``: every metric of every method in one tidy table.
    yardsticks : Path, optional
        Folder that ``igc yardsticks`` wrote; its tables are joined as ``yardsticks.tsv``, ``yardstick_curves.tsv`` and
        ``roi_size.tsv``.
    benchmarks : Path, optional
        Folder in which Snakemake keeps what each job used; it is read for the memory.

    Raises
    ------
    ConfigError
        If there is no result, or the same model and method twice.
    DataError, ShapeError, StoreError, MissingFileError
        If a result or table cannot be read, or belongs to another study. Nothing is written then.
    """
    if not attributions:
        raise ConfigError(explain("attributions", "none", "at least one result", "name the results to compare"))
    check_folder(output)
    dataset = open_samples(samples)
    results = _open_all(attributions, dataset)
    score_table = _scores(scores)
    tables = {
        "agreement": _pairs(results, map_agreement),
        "roi_agreement": _pairs(results, profile_agreement),
        "closure": _closure(results, score_table),
        "runtime": _each(results, lambda result: pd.DataFrame([runtime_row(result)])),
        "deep_linear": _deep_linear(results, scores),
        "reliability": _each(results, reliability_table),
        "seeds": _seeds(results),
        "scores": score_table,
    }
    partitions = _partitions(scores)
    if partitions:
        tables["linear_partition"] = beside_partition(tables["deep_linear"], partitions)
    if "truth" in dataset:
        experiment = dataset.attrs.get("source", {}).get("experiment")
        tables["recovery"] = _each(results, lambda result: recovery_table(result, dataset["truth"], experiment))
    if regions_of_targets(dataset):
        tables["target_regions"] = target_region_table(score_table, dataset)
    if yardsticks is not None:
        tables |= _yardsticks(yardsticks)
    memory = {} if benchmarks is None else {"memory": _memory(benchmarks, results)}
    shares = [table.assign(model=model) for model, table in partitions.items()]
    parts = {"partition": pd.concat(shares, ignore_index=True)} if shares else {}
    tables["summary"] = summary_table({**tables, **memory, **parts}, str(dataset.attrs.get("study", "")))
    for name, table in tables.items():
        write_table(output / f"{name}.tsv", table)
    write_parquet(output / "summary.parquet", tables["summary"])
