"""The real dataset from its public bucket: only after its terms were accepted, and only what a study reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from igc.config_nsd import NsdData
from igc.data.bucket import Bucket, Remote, Watch, is_there
from igc.data.nsd.wanted import chosen_keys, wanted_folders
from igc.errors import ConfigError, explain

__all__ = ["TERMS", "fetch_nsd"]

TERMS = "naturalscenesdataset.org"
"""Where the terms of use are, and the form by which one accepts them."""


def _listed(data: NsdData, bucket: Bucket) -> list[Remote]:
    """Return the files of a study as the bucket describes them."""
    found = {remote.key: remote for folder in wanted_folders(data) for remote in bucket.files(folder)}
    return [found[key] for key in chosen_keys(data, found)]


def _announce(remotes: list[Remote], folder: Path, console: Console) -> int:
    """Say how much there is to fetch, before anything is; return the bytes."""
    missing = [remote for remote in remotes if not is_there(remote, folder)]
    total = sum(remote.size for remote in missing)
    kept = len(remotes) - len(missing)
    console.print(f"{len(missing)} files, {total / 1e9:.3f} GB to fetch into {folder}; {kept} are there already")
    return total


@contextmanager
def _bar(total: int, console: Console) -> Iterator[Watch]:
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=console) as progress:
        task = progress.add_task("fetching", total=total)
        yield lambda size: progress.advance(task, size)


def fetch_nsd(data: NsdData, bucket: Bucket | None = None) -> None:
    """Fetch the files that a study reads, and tell on standard error how much that is.

    Parameters
    ----------
    data : NsdData
        Nothing is done unless its source is "download".
    bucket : Bucket, optional
        Where from; default: the one of the settings.

    Raises
    ------
    ConfigError
        If the terms of use were not accepted in the settings.
    FetchError
        If the bucket lacks a file, or one could not be fetched; the next call goes on where this one stopped.
    """
    if data.source != "download":
        return
    if not data.terms_accepted:
        remedy = f"read the terms of use at {TERMS}, fill in the form there, and set terms_accepted: true"
        raise ConfigError(explain("data.terms_accepted", "false", "true, to download the dataset", remedy))
    chosen, folder = bucket or Bucket(data.bucket), Path(data.folder)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    remotes = _listed(data, chosen)
    with _bar(_announce(remotes, folder, console), console) as watch:
        chosen.fetch(remotes, folder, watch)
