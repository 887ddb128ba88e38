"""What a share of an attribution is a share of, kept beside its partial states."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from igc.config import MethodSettings
from igc.errors import MissingFileError, StateMismatchError, explain
from igc.store.atomic import write_text

__all__ = ["REQUEST", "read_request", "remove_request", "write_request"]

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


def read_request(folder: Path) -> dict[str, Any]:
    """Read what a share is a share of.

    Parameters
    ----------
    folder : Path
        The checkpoint folder of the share.

    Returns
    -------
    dict

    Raises
    ------
    MissingFileError, StateMismatchError
        If the folder holds no share, or a damaged one.
    """
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


def remove_request(folder: Path) -> None:
    """Remove what a share said of itself, after the result was written.

    Parameters
    ----------
    folder : Path
        The checkpoint folder of the share; it is removed where nothing is left in it.
    """
    (folder / REQUEST).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
