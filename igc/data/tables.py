"""Small text tables: events, targets, confounds and lookup tables, separated by tabs, commas or spaces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.errors import DataError, MissingFileError, explain

__all__ = ["MISSING", "column", "numbers", "read_regions", "read_table"]

MISSING = ("", "n/a", "N/A", "NaN", "nan")
"""Entries that mean "no value", as BIDS and pandas write them."""


def _separator(file: Path, first_line: str) -> str:
    if "\t" in first_line:
        return "\t"
    return "," if file.suffix == ".csv" or ("," in first_line and " " not in first_line.strip()) else r"\s+"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table as text; numbers are converted when a column is used as such.

    Parameters
    ----------
    path : str or Path
        Tabs, commas or spaces separate the columns (told by the first line). If the first line holds numbers only,
        there is no header and columns are called "0", "1" ...

    Returns
    -------
    pandas.DataFrame
        All entries as text.

    Raises
    ------
    MissingFileError, DataError
        If there is no such file, or it is not a table.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(explain(file, "no such file", "a TSV or CSV table", "check the path"))
    try:
        with file.open(encoding="utf-8-sig") as stream:
            first = stream.readline()
        separator = _separator(file, first)
        tokens = first.replace(",", " ").split()
        header = None if tokens and all(_is_number(token) for token in tokens) else 0
        table = pd.read_csv(file, sep=separator, header=header, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(explain(file, f"unreadable ({error})", "a TSV or CSV table", "correct the file")) from error
    table.columns = [str(name).strip() for name in table.columns]
    return pd.DataFrame({name: table[name].fillna("").str.strip() for name in table.columns})


def column(table: pd.DataFrame, path: str | Path, name: str) -> npt.NDArray[np.object_]:
    """Return a column as text.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`read_table`.
    path : str or Path
        Its file, for the message.
    name : str
        The column.

    Returns
    -------
    array of str (row,)

    Raises
    ------
    DataError
        If there is no such column.
    """
    if name not in table.columns:
        seen = f"no column {name!r}"
        raise DataError(explain(path, seen, f"one of {', '.join(table.columns)}", "correct the name of the column"))
    return np.asarray(table[name].to_numpy(), dtype=object)


def numbers(table: pd.DataFrame, path: str | Path, names: Sequence[str], remedy: str) -> npt.NDArray[np.float64]:
    """Return columns as finite numbers.

    Parameters
    ----------
    table, path
        As for :func:`column`.
    names : sequence of str
        The columns.
    remedy : str
        What to do about an entry that is not a number.

    Returns
    -------
    array of float64 (row, column)

    Raises
    ------
    DataError
        If a column does not exist, or an entry is missing or not a finite number.
    """
    values = np.empty((len(table), len(names)))
    for j, name in enumerate(names):
        text = pd.Series(column(table, path, name))
        values[:, j] = pd.to_numeric(text.replace(list(MISSING), None), errors="coerce")
        bad = np.flatnonzero(~np.isfinite(values[:, j]))
        if len(bad):
            seen = f"{text[bad[0]]!r} in column {name!r}, row {bad[0] + 1} ({len(bad)} such rows)"
            raise DataError(explain(path, seen, "finite numbers", remedy))
    return values


def read_regions(path: str | Path) -> dict[int, dict[str, str | None]]:
    """Read a lookup table of regions.

    Parameters
    ----------
    path : str or Path
        Table with columns index, name and optionally color.

    Returns
    -------
    dict of int to dict
        For each index above 0 its ``name`` and ``color`` (None without).

    Raises
    ------
    DataError
        If an index is not a whole number, or an index or a name comes twice.
    """
    table = read_table(path)
    indices = numbers(table, path, ["index"], "give each region a whole number")[:, 0]
    names = column(table, path, "name")
    colors = column(table, path, "color") if "color" in table.columns else [None] * len(table)
    if np.any(indices != np.round(indices)):
        raise DataError(explain(path, "an index with a fraction", "whole numbers", "correct the column index"))
    regions: dict[int, dict[str, str | None]] = {}
    for index, name, color in zip(indices.astype(int), names, colors, strict=True):
        if index <= 0:
            continue
        if index in regions or name in {region["name"] for region in regions.values()} or name in MISSING:
            seen = f"index {index} or name {name!r} missing or twice"
            raise DataError(explain(path, seen, "one name for each index", "correct the lookup table"))
        regions[int(index)] = {"name": name, "color": None if color in MISSING else color}
    return regions
