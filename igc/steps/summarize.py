"""The step that puts the summaries of all studies into one table and one figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from igc.comparison.summary import SUMMARY_COLUMNS, read_summary
from igc.errors import ConfigError, explain
from igc.report.style import save_figure
from igc.report.verdict import verdict_figure
from igc.store.atomic import write_parquet, write_table
from igc.store.outputs import check_folder

__all__ = ["summarize"]


def summarize(summaries: Sequence[Path], output: Path) -> None:
    """Join the summaries of studies, and draw which methods come out ahead.

    Parameters
    ----------
    summaries : sequence of Path
        The ``summary.tsv`` of each study, or the folder of its comparison.
    output : Path
        Folder for ``summary.tsv``, ``summary.parquet`` and ``verdict.png``.

    Raises
    ------
    ConfigError, MissingFileError, DataError
        If there is none, a study comes twice, or a table cannot be read. Nothing is written then.
    """
    if not summaries:
        raise ConfigError(explain("summaries", "none", "at least one", "name those of some studies"))
    check_folder(output)
    tables = [read_summary(path / "summary.tsv" if path.is_dir() else path) for path in summaries]
    names = [name for table in tables for name in table["study"].unique()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(explain("summaries", f"study {twice[0]} twice", "each once", "name each study once"))
    filled = [table for table in tables if len(table)]
    joined = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=list(SUMMARY_COLUMNS))
    figure = verdict_figure(joined, "All studies" if len(names) > 1 else names[0] if names else "No study")
    write_table(output / "summary.tsv", joined)
    write_parquet(output / "summary.parquet", joined)
    save_figure(figure, output / "verdict.png")
