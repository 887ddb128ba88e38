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
from igc.store.descriptions import FORMAT, read_description

__all__ = ["read_weights", "write_model"]


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
    with replacing(target / f"{name}.safetensors", alone=True) as temporary:  # safetensors writes beside it first
        save_file({key: value.detach().cpu().contiguous() for key, value in weights.items()}, temporary)
        digest = _digest(temporary)
    text = json.dumps({"format": FORMAT, **description, "weights": digest}, indent=2)
    write_text(target / f"{name}.json", text + "\n")


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


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
