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


def write_model(folder: str | Path, weights: Mapping[str, torch.Tensor], description: Mapping[str, Any]) -> None:
    """Write ``model.safetensors`` and then ``model.json``, which marks the model as complete.

    Parameters
    ----------
    folder : str or Path
        Folder of the model.
    weights : mapping of str to torch.Tensor
        Tensors by name; those of fold k start with ``fold<k>.``.
    description : mapping
        JSON values; see :mod:`igc.models.files`.
    """
    target = Path(folder)
    with replacing(target / "model.safetensors") as temporary:
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, temporary)
        digest = _digest(temporary)
    text = json.dumps({"format": FORMAT, **description, "weights": digest}, indent=2)
    write_text(target / "model.json", text + "\n")


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_description(folder: str | Path) -> dict[str, Any]:
    """Read ``model.json``.

    Parameters
    ----------
    folder : str or Path
        Folder of the model, or its ``model.json``.

    Returns
    -------
    dict

    Raises
    ------
    MissingFileError, ModelError
        If it is missing or of another format.
    """
    file = Path(folder) if Path(folder).suffix == ".json" else Path(folder) / "model.json"
    if not file.is_file():
        raise MissingFileError(explain(file, "no such file", "a trained model", "train it with `igc train`"))
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
        version = description["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(
            explain(file, f"unreadable JSON ({error})", "a model description", "train it again")
        ) from error
    if version != FORMAT:
        raise ModelError(explain(file, f"format {version}", f"format {FORMAT}", "train it again with this version"))
    return dict(description)


def read_weights(folder: str | Path, fold: int) -> dict[str, torch.Tensor]:
    """Read the tensors of one fold, after checking the bytes of the file.

    Parameters
    ----------
    folder : str or Path
        Folder of the model, or its ``model.json``.
    fold : int
        The outer fold.

    Returns
    -------
    dict of str to torch.Tensor
        Names without the ``fold<k>.`` prefix.

    Raises
    ------
    MissingFileError, ModelError
        If the file is missing or damaged, or belongs to another ``model.json``.
    """
    file = (Path(folder).parent if Path(folder).suffix == ".json" else Path(folder)) / "model.safetensors"
    if not file.is_file():
        raise MissingFileError(explain(file, "no such file", "the weights beside model.json", "train the model again"))
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            explain(file, f"unreadable ({error})", "a safetensors file", "train the model again")
        ) from error
    expected = read_description(folder).get("weights")
    if expected is not None and expected != _digest(file):
        seen, allowed = "other bytes than were written with model.json", "the weights of the same training"
        raise ModelError(explain(file, seen, allowed, "train the model again"))
    prefix = f"fold{fold}."
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
