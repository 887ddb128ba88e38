"""Merge the shares of one attribution, computed apart, into its result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from igc.config import MethodSettings
from igc.errors import StateMismatchError, explain
from igc.steps.attribute import attribute_files
from igc.steps.request import read_request

__all__ = ["merge"]


def merge(shares: Sequence[Path], output: Path, workers: int | None = None, progress: bool = False) -> None:
    """Merge shares; what is missing of them is computed here.

    Parameters
    ----------
    shares : sequence of Path
        Checkpoint folders of ``igc attribute --share``, at least one.
    output : Path
        The result store to write, the same bits as without shares.
    workers : int
        Worker processes for what is missing; default: more than this one where they help.
    progress : bool
        Whether to show progress.

    Raises
    ------
    MissingFileError, StateMismatchError
        If a folder holds no share, or shares of different requests.
    """
    requests = [read_request(folder) for folder in shares]
    for folder, request in zip(shares, requests, strict=True):
        if request != requests[0]:
            different = sorted(name for name in request if request[name] != requests[0].get(name))
            remedy = "merge shares of one attribution"
            raise StateMismatchError(explain(folder, f"another {', '.join(different)}", f"as {shares[0]}", remedy))
    first = requests[0]
    attribute_files(
        Path(first["samples"]),
        Path(first["model"]),
        MethodSettings(**first["settings"]),
        None if first["rois"] is None else Path(first["rois"]),
        output,
        seed=int(first["seed"]),
        checkpoint=shares[0],
        workers=workers,
        progress=progress,
        others=shares[1:],
    )
