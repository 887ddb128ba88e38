"""Model files: one safetensors file of weights and one JSON file that says what they are. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from igc.errors import MissingFileError, ModelError, explain
from igc.store.atomic import replacing, write_text

__all__ = ["FORMAT", "read_description", "read_weights", "write_model"]

FORMAT = 1
"""Version of the layout of ``model.json``."""


def write_model(
    folder: str | Path, weights: Mapping[str, torch.Tensor], description: Mapping[str, Any], name: str = "model"
) -> None:
    """Write ``model.safetensors`` and then ``model.json``, which marks the model as complete.

    Parameters
    ----------
    folder : str or Path
        Folder of the model.
    weights : mapping of str to torch.Tensor
        Tensors by name; those of fold k start with ``fold<k>.``.
    description : mapping
        JSON values; see :mod:`igc.models.files`.
    name : str
        Name of both files, for what is kept like a model.
    """
    target = Path(folder)
    with replacing(target / f"{name}.safetensors") as temporary:
        save_file({key: value.detach().cpu().contiguous() for key, value in weights.items()}, temporary)
        digest = _digest(temporary)
    text = json.dumps({"format": FORMAT, **description, "weights": digest}, indent=2)
    write_text(target / f"{name}.json", text + "\n")


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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


def read_weights(folder: str | Path, fold: int, name: str = "model") -> dict[str, torch.Tensor]:
    """Read the tensors of one fold, after checking the bytes of the file.

    Parameters
    ----------
    folder : str or Path
        Folder of the model, or its ``model.json``.
    fold : int
        The outer fold.
    name : str
        As for :func:`write_model`.

    Returns
    -------
    dict of str to torch.Tensor
        Names without the ``fold<k>.`` prefix.

    Raises
    ------
    MissingFileError, ModelError
        If the file is missing or damaged, or belongs to another ``model.json``.
    """
    file = (Path(folder).parent if Path(folder).suffix == ".json" else Path(folder)) / f"{name}.safetensors"
    if not file.is_file():
        allowed = f"the weights beside {name}.json"
        raise MissingFileError(explain(file, "no such file", allowed, f"train the {name} again"))
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            explain(file, f"unreadable ({error})", "a safetensors file", "train the model again")
        ) from error
    expected = read_description(folder, name).get("weights")
    if expected is not None and expected != _digest(file):
        seen, allowed = f"other bytes than were written with {name}.json", "the weights of the same training"
        raise ModelError(explain(file, seen, allowed, f"train the {name} again"))
    prefix = f"fold{fold}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
