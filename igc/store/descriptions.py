"""What is said of a model beside its weights: read without the packages that the weights need."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from igc.errors import MissingFileError, ModelError, explain

__all__ = ["FORMAT", "read_description"]

FORMAT = 1
"""Version of the layout of ``model.json``."""


def read_description(folder: str | Path, name: str = "model") -> dict[str, Any]:
    """Read ``model.json``.

    Parameters
    ----------
    folder : str or Path
        Folder of the model, or its ``model.json``.
    name : str
        As for :func:`write_model`.

    Returns
    -------
    dict

    Raises
    ------
    MissingFileError, ModelError
        If it is missing or of another format.
    """
    file = Path(folder) if Path(folder).suffix == ".json" else Path(folder) / f"{name}.json"
    if not file.is_file():
        remedy = "train it with `igc train`" if name == "model" else f"fit it with `igc fit-{name}`"
        raise MissingFileError(explain(file, "no such file", f"a trained {name}", remedy))
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        version = description["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(
            explain(file, f"unreadable JSON ({error})", f"a {name} description", "train it again")
        ) from error
    if version != FORMAT:
        raise ModelError(explain(file, f"format {version}", f"format {FORMAT}", "train it again with this version"))
    return dict(description)
