"""Layers that start from weights of a local file, for example of a backbone trained on other images."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from igc.errors import MissingFileError, ModelError, explain

__all__ = ["file_digest", "read_tensors", "start_from"]

_OWN = ("readout.", "standardize.")
"""What belongs to the targets and inputs at hand, and is never taken from a file."""


def file_digest(file: str | Path) -> str:
    """Return the sha256 of a file's bytes."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_tensors(file: str | Path) -> dict[str, Tensor]:
    """Read tensors by name, without unpickling anything else.

    Parameters
    ----------
    file : str or Path
        A safetensors file; of one that ``igc train`` wrote, the first fold is taken. Or a state dict that PyTorch
        saved (``.pt``, ``.pth``, ``.ckpt``), read as tensors and plain values alone.

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    MissingFileError, ModelError
        If there is no such file, or it holds something else.
    """
    path = Path(file)
    if not path.is_file():
        raise MissingFileError(explain(f"weights: {path}", "no such file", "a file of weights", "check the path"))
    allowed = "a safetensors file, or a state dict saved by PyTorch"
    try:
        if path.suffix in {".pt", ".pth", ".ckpt"}:
            found = torch.load(path, map_location="cpu", weights_only=True)
            found = found.get("state_dict", found) if isinstance(found, Mapping) else {}
        else:
            found = load_file(path)
    except Exception as error:  # what torch raises for a file that is no archive of tensors has no common base
        seen = f"unreadable ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"
        raise ModelError(explain(f"weights: {path}", seen, allowed, "convert the file to safetensors")) from error
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    if any(name.startswith("fold0.") for name in tensors):
        tensors = {name.removeprefix("fold0."): t for name, t in tensors.items() if name.startswith("fold0.")}
    if not tensors:
        raise ModelError(explain(f"weights: {path}", "no tensor", allowed, "give the file of a trained network"))
    return tensors


@torch.no_grad()
def start_from(module: nn.Module, file: str | Path, frozen: bool = False) -> list[nn.Module]:
    """Copy tensors of a file into the layers of the same names.

    Parameters
    ----------
    module : torch.nn.Module
        The network to be trained; its ``readout`` and its standardisation of the inputs are left alone.
    file : str or Path
        See :func:`read_tensors`.
    frozen : bool
        Parameters that came from the file are not trained.

    Returns
    -------
    list of torch.nn.Module
        Where ``frozen``, the layers that came from the file as a whole; they belong into evaluation mode, so that
        normalisations keep their statistics as well.

    Raises
    ------
    MissingFileError, ModelError
        If the file cannot be read, no name fits, or a shape does not.
    """
    given, own = read_tensors(file), module.state_dict()
    common = [name for name in own if name in given and not name.startswith(_OWN)]
    if not common:
        seen = f"tensors {', '.join(list(given)[:3])} ..."
        allowed = f"names of the architecture, as {', '.join(name for name in own if not name.startswith(_OWN))[:120]}"
        raise ModelError(explain(f"weights: {file}", seen, allowed, "rename the tensors, or register an architecture"))
    for name in common:
        if given[name].shape != own[name].shape:
            seen = f"{name} of shape {tuple(given[name].shape)}"
            remedy = "give the architecture the arguments of the file"
            raise ModelError(explain(f"weights: {file}", seen, tuple(own[name].shape), remedy))
        own[name].copy_(given[name])
    if not frozen:
        return []
    for name, parameter in module.named_parameters():
        if name in common:
            parameter.requires_grad_(False)
    layers = []
    for prefix, layer in module.named_modules():
        held = [f"{prefix}.{name}" for name in layer.state_dict()]
        if prefix and held and set(held) <= set(common):
            layers.append(layer)
    return layers
