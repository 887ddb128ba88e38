"""Model files: trained modules with what is needed to rebuild them, and refusal of files that do not fit.

``model.json`` holds: ``format``, ``architecture`` and ``arguments`` (see :mod:`igc.models.registry`), ``input_shape``,
``n_targets``, ``target_names``, ``target_type`` ("categories" or "values"), ``folds``, ``seed``, ``kind`` ("network",
"linear" or "analytic"), ``samples`` (digest of the samples), ``residual_variance`` (fold, target) of the held-out
samples, and ``training`` (what happened, by fold). ``model.safetensors`` holds the tensors ``fold<k>.<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from igc.errors import ModelError, explain
from igc.models.registry import build_architecture
from igc.store.descriptions import read_description
from igc.store.weights import read_weights, write_model

__all__ = ["describe_model", "load_model", "save_model"]

_REQUIRED = {
    "architecture": str,
    "arguments": dict,
    "input_shape": list,
    "n_targets": int,
    "target_names": list,
    "target_type": str,
    "folds": int,
    "seed": int,
    "kind": str,
    "samples": str,
    "residual_variance": list,
    "training": list,
}
_LARGEST = 2**31
_AXES = 16


def save_model(folder: str | Path, modules: Sequence[nn.Module], description: Mapping[str, Any]) -> None:
    """Write the modules of all folds and what they are.

    Parameters
    ----------
    folder : str or Path
        Folder of the model.
    modules : sequence of torch.nn.Module
        One for each outer fold, all of the architecture and arguments of the description.
    description : mapping
        The content of ``model.json`` but for ``format``.

    Raises
    ------
    ModelError
        If the description is incomplete, or a module does not have the tensors of its architecture.
    """
    _check_description(Path(folder) / "model.json", description)
    if len(modules) != description["folds"]:
        raise ModelError(explain(folder, f"{len(modules)} modules", f"{description['folds']} folds", "save one a fold"))
    weights: dict[str, Tensor] = {}
    for fold, module in enumerate(modules):
        state = module.state_dict()
        _check_tensors(folder, _skeleton(description), state)
        # a copy: safetensors refuses tensors that share memory
        weights |= {f"fold{fold}.{name}": tensor.detach().clone() for name, tensor in state.items()}
    write_model(folder, weights, description)


def describe_model(path: str | Path) -> dict[str, Any]:
    """Read and check ``model.json``.

    Parameters
    ----------
    path : str or Path
        Folder of the model, or its ``model.json``.

    Returns
    -------
    dict
        See the module's description.

    Raises
    ------
    MissingFileError, ModelError
        If it is missing, incomplete, or holds values of another type.
    """
    description = read_description(path)
    _check_description(path, description)
    return description


def load_model(path: str | Path, fold: int = 0, device: str | torch.device = "cpu") -> nn.Module:
    """Rebuild a trained module.

    Parameters
    ----------
    path : str or Path
        Folder of the model, or its ``model.json``.
    fold : int
        Outer fold whose held-out samples the module has not seen.
    device : str or torch.device
        Where to put it.

    Returns
    -------
    torch.nn.Module
        In evaluation mode with frozen parameters: (batch, *input_shape) raw inputs to (batch, target) raw outputs.

    Raises
    ------
    MissingFileError, ModelError
        If files are missing or damaged, the architecture is unknown, or tensors do not fit it.
    """
    description = describe_model(path)
    if not 0 <= fold < description["folds"]:
        allowed = f"0 to {description['folds'] - 1}"
        raise ModelError(explain(path, f"fold {fold} asked for", allowed, "choose one of the model's folds"))
    weights = read_weights(path, fold)
    # shapes are compared before memory is taken, so that a wrong file cannot ask for more than it holds
    _check_tensors(path, _skeleton(description), weights)
    module = _build(description)
    _check_tensors(path, module.state_dict(), weights)
    module.load_state_dict(weights)
    return module.to(device).eval().requires_grad_(False)


def _build(description: Mapping[str, Any]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        return build_architecture(
            description["architecture"],
            description["input_shape"],
            description["n_targets"],
            description["arguments"],
        )


def _skeleton(description: Mapping[str, Any]) -> dict[str, Tensor] | None:
    """Return the tensors of the architecture without memory, or None where a builder cannot do without."""
    try:
        with torch.device("meta"):
            return _build(description).state_dict()
    except (ModelError, NotImplementedError):
        return None


def _check_tensors(path: str | Path, wanted: Mapping[str, Tensor] | None, given: Mapping[str, Tensor]) -> None:
    if wanted is None:
        return
    remedy = "use the model.json and model.safetensors of one training"
    if set(wanted) != set(given):
        names = sorted(set(wanted) ^ set(given))
        seen = f"tensors that are missing or not part of the architecture ({', '.join(names[:5])})"
        raise ModelError(explain(path, seen, "the tensors of the architecture", remedy))
    for name, tensor in given.items():
        expected = wanted[name]
        if tensor.shape != expected.shape or tensor.is_floating_point() != expected.is_floating_point():
            seen = f"tensor {name} of shape {tuple(tensor.shape)} and type {tensor.dtype}"
            raise ModelError(explain(path, seen, f"shape {tuple(expected.shape)}, type {expected.dtype}", remedy))


def _check_description(path: str | Path, description: Mapping[str, Any]) -> None:
    remedy = "train the model again"
    for key, kind in _REQUIRED.items():
        if not isinstance(description.get(key), kind) or isinstance(description.get(key), bool):
            seen = f"{key} = {description.get(key)!r}"[:200]
            raise ModelError(explain(path, seen, f"{key} of type {kind.__name__}", remedy))
    sizes = [*description["input_shape"], description["n_targets"], description["folds"]]
    right = all(isinstance(size, int) and 0 < size < _LARGEST for size in sizes)
    if not right or not 0 < len(description["input_shape"]) <= _AXES:
        seen = f"input_shape, n_targets and folds of {sizes}"[:200]
        raise ModelError(explain(path, seen, f"positive whole numbers, 1 to {_AXES} axes", remedy))
    if description["target_type"] not in ("categories", "values"):
        seen = f"target_type = {description['target_type']!r}"[:200]
        raise ModelError(explain(path, seen, "categories or values", remedy))
