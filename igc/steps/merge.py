"""Merge the shares of one attribution, computed apart, into its result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from igc.config import MethodSettings
from igc.errors import MissingFileError, StateMismatchError, explain
from igc.steps.attribute import attribute_files
from igc.store.atomic import write_text

__all__ = ["REQUEST", "merge", "write_request"]

REQUEST = "request.json"
"""Says in the folder of a share what was asked for."""


def write_request(
    folder: Path, samples: Path, model: Path, settings: MethodSettings, rois: Path | None, seed: int
) -> None:
    """Keep beside a share what it is a share of.

    Parameters
    ----------
    folder : Path
        The checkpoint folder of the share.
    samples, model, settings, rois, seed
        As given to :func:`igc.steps.attribute.attribute_files`.
    """
    request = {
        "samples": str(samples.resolve()),
        "model": str(model.resolve()),
        "settings": settings.model_dump(mode="json"),
        "rois": None if rois is None else str(rois.resolve()),
        "seed": seed,
    }
    write_text(folder / REQUEST, json.dumps(request, indent=2) + "\n")


def _read_request(folder: Path) -> dict[str, Any]:
    file = folder / REQUEST
    if not file.is_file():
        raise MissingFileError(
            explain(file, "no such file", "a share of an attribution", "run `igc attribute --share`")
        )
    try:
        request = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        seen, allowed = f"unreadable JSON ({error})", "a share of an attribution"
        raise StateMismatchError(explain(file, seen, allowed, "run `igc attribute --share` again")) from error
    missing = {"samples", "model", "settings", "rois", "seed"} - set(request)
    if missing:
        seen, allowed = f"no {', '.join(sorted(missing))}", "a share of an attribution"
        raise StateMismatchError(explain(file, seen, allowed, "run `igc attribute --share` again"))
    return request


def merge(shares: Sequence[Path], output: Path, workers: int = 1, progress: bool = False) -> None:
    """Merge shares; what is missing of them is computed here.

    Parameters
    ----------
    shares : sequence of Path
        Checkpoint folders of ``igc attribute --share``, at least one.
    output : Path
        The result store to write, the same bits as without shares.
    workers : int
        Worker processes for what is missing.
    progress : bool
        Whether to show progress.

    Raises
    ------
    MissingFileError, StateMismatchError
        If a folder holds no share, or shares of different requests.
    """
    requests = [_read_request(folder) for folder in shares]
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
