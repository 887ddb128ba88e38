"""What the report and the page of maps read: results and tables, checked before anything is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import xarray as xr

from igc.errors import ConfigError, DataError, MissingFileError, ShapeError, explain
from igc.store.arrays import store_path
from igc.store.results import open_result

__all__ = ["open_results", "read_table"]

_COLUMNS = {
    "scores.tsv": {"fold", "target", "metric", "value"},
    "history.tsv": {"fold", "epoch", "train_loss", "validation_loss"},
    "agreement.tsv": {"model_a", "method_a", "model_b", "method_b", "target", "compared", "pearson", "spearman"},
    "closure.tsv": {"model", "method", "target", "gap", "gap_se"},
    "runtime.tsv": {"model", "method", "seconds", "evaluations_per_sample"},
    "yardsticks.tsv": {"model", "method", "yardstick", "reference", "better", "value", "se"},
    "yardstick_curves.tsv": {"model", "method", "curve", "reference", "x", "value", "se"},
    "recovery.tsv": {"model", "method", "target", "pearson"},
    "linear_partition.tsv": {"model", "method", "target", "roi", "network", "linear", "alone", "unique", "reading"},
    "deep_linear.tsv": {
        "model",
        "method",
        "linear_model",
        "set",
        "index",
        "roi",
        "target",
        "difference",
        "ci_low",
        "q",
    },
}


def open_results(paths: Sequence[Path], samples: xr.Dataset) -> dict[tuple[str, str], xr.Dataset]:
    """Open results by the names of their folder and file, and check that they belong to the samples.

    Parameters
    ----------
    paths : sequence of Path
        Results, ``<model>/<method>.zarr``.
    samples : xarray.Dataset
        The samples of their study.

    Returns
    -------
    dict of (str, str) to xarray.Dataset
        By model folder and result name, opened lazily.

    Raises
    ------
    ConfigError
        If there is no result.
    DataError, ShapeError, MissingFileError, StoreError
        If one cannot be read or belongs to another study.
    """
    if not paths:
        raise ConfigError(explain("attributions", "none", "at least one result", "name the results to draw"))
    results = {}
    shape, targets = samples["inputs"].shape[1:], samples["target"].values.tolist()
    for path in paths:
        folder, result = store_path(path), open_result(path)
        if "attribution" not in result:
            raise DataError(explain(path, "maps of several inputs", "one map a target", "draw them input by input"))
        if result["attribution"].shape[1:] != shape:
            seen = f"maps of shape {result['attribution'].shape[1:]}"
            raise ShapeError(explain(path, seen, f"{shape}, as the samples", "draw results of one study"))
        # maps of some targets would be put under the names of others, so all results must have the same
        if result["target"].values.tolist() != targets:
            seen = f"{result.sizes['target']} targets"
            raise DataError(explain(path, seen, f"the {len(targets)} of the samples", "run `igc attribute` again"))
        results[folder.absolute().parent.name, folder.stem] = result
    return results


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of this project and check its columns.

    Parameters
    ----------
    path : Path
        A file with the name of one of those that figures are drawn from.

    Returns
    -------
    pandas.DataFrame
        Names as text, ``n/a`` as NaN.

    Raises
    ------
    MissingFileError, DataError
        If it is missing, unreadable or without a column that is needed.
    """
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "a table", "run the step that makes it"))
    text = dict.fromkeys(("fold", "target", "model", "method", "model_a", "method_a", "model_b", "method_b"), str)
    try:
        table = pd.read_csv(path, sep="\t", na_values=["n/a"], keep_default_na=False, dtype=text)
    except ValueError as error:
        seen = f"an unreadable table ({error})"
        raise DataError(explain(path, seen, "a table", "run the step that makes it again")) from error
    missing = sorted(_COLUMNS[path.name] - set(table.columns))
    if missing:
        raise DataError(explain(path, f"no column {missing[0]!r}", "all columns", "run the step that makes it again"))
    return table
