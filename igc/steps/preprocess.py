"""Workflow step: raw data to samples."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from igc.config import DataSource, Split
from igc.data.sources import write_samples

__all__ = ["preprocess"]


def preprocess(
    data: DataSource,
    split: Split,
    seed: int,
    output: Path,
    study: str,
    title: str = "",
) -> None:
    """Read, clean and split a dataset, and write its samples.

    Parameters
    ----------
    data : DataSource
        The ``data`` block of the study.
    split : Split
        How samples are held out.
    seed : int
        Seed of the study.
    output : Path
        ``samples.zarr``, or the ``zarr.json`` in it.
    study, title : str
        Name of the study, and one line about it.

    Raises
    ------
    IgcError
        If the data or the settings are wrong; nothing is left at ``output`` then.
    """
    console = Console(stderr=True)
    # off a terminal, a bar would put an empty line into the log and before an error
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"samples of {study}", total=None)
        write_samples(
            data, split, seed, output, study, title, lambda done, total: bar.update(task, completed=done, total=total)
        )
