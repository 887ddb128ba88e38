"""Sampler files: what was fitted for each outer fold, and what it is; nothing is unpickled.

``sampler.json`` holds: ``format``, ``kind``, ``arguments``, ``input_shape``, ``folds``, ``seed``, ``samples`` (digest
of the samples), ``settings`` and ``fitting`` (what happened, by fold). ``sampler.safetensors`` holds the tensors
``fold<k>.<name>``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from igc.attribution.information.protocol import BlockSampler, Index
from igc.attribution.information.samplers import KINDS, rebuild
from igc.errors import ModelError, explain
from igc.store.descriptions import read_description
from igc.store.weights import read_weights, write_model

__all__ = ["StoredSampler", "describe_sampler", "load_sampler", "save_sampler"]

NAME = "sampler"


def save_sampler(folder: str | Path, samplers: Sequence[BlockSampler], description: Mapping[str, Any]) -> None:
    """Write the samplers of all folds.

    Parameters
    ----------
    folder : str or Path
        The folder to write.
    samplers : sequence of BlockSampler
        One for each outer fold, of one kind.
    description : mapping
        The content of ``sampler.json`` but for what the samplers say themselves.
    """
    tensors = {f"fold{k}.{key}": value.clone() for k, s in enumerate(samplers) for key, value in s.tensors().items()}
    first = samplers[0]
    made = {"kind": first.kind, "arguments": first.arguments(), "folds": len(samplers)}
    write_model(folder, tensors, {**description, **made}, NAME)


def describe_sampler(folder: str | Path) -> dict[str, Any]:
    """Read ``sampler.json``.

    Raises
    ------
    MissingFileError, ModelError
        If it is missing or damaged.
    """
    description = read_description(folder, NAME)
    kinds = {"kind": str, "arguments": dict, "folds": int, "samples": str, "input_shape": list}
    for key, kind in kinds.items():
        if not isinstance(description.get(key), kind):
            seen = f"{key} = {description.get(key)!r}"[:200]
            raise ModelError(explain(folder, seen, f"{key} of type {kind.__name__}", "fit the sampler again"))
    if description["kind"] not in KINDS:
        raise ModelError(explain(folder, repr(description["kind"]), ", ".join(KINDS), "fit the sampler again"))
    return description


def load_sampler(folder: str | Path, fold: int = 0) -> BlockSampler:
    """Rebuild the sampler of a fold.

    Parameters
    ----------
    folder : str or Path
        Folder of the sampler, or its ``sampler.json``.
    fold : int
        Outer fold whose held-out samples the sampler has not seen.

    Returns
    -------
    BlockSampler

    Raises
    ------
    MissingFileError, ModelError
        If files are missing or damaged, or do not go together.
    """
    description = describe_sampler(folder)
    if not 0 <= fold < description["folds"]:
        allowed = f"0 to {description['folds'] - 1}"
        raise ModelError(explain(folder, f"fold {fold} asked for", allowed, "choose one of the sampler's folds"))
    try:
        return rebuild(description["kind"], read_weights(folder, fold, NAME), description["arguments"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        seen = f"tensors that do not fit ({reason})"[:200]
        raise ModelError(explain(folder, seen, "those of sampler.json", "fit the sampler again")) from error


@lru_cache(maxsize=4)
def _loaded(folder: str, fold: int, device: str, written: int) -> BlockSampler:
    return load_sampler(folder, fold).to(torch.device(device))


@dataclass(frozen=True)
class StoredSampler:
    """A sampler named by its files: every worker process loads it once.

    Attributes
    ----------
    folder : str
        Folder of the sampler.
    fold : int
        The outer fold.
    device : str
        Where it computes.
    """

    folder: str
    fold: int
    device: str = "cpu"

    @property
    def loaded(self) -> BlockSampler:
        """The sampler itself, loaded when it is first needed."""
        written = (Path(self.folder) / f"{NAME}.json").stat().st_mtime_ns
        return _loaded(self.folder, self.fold, self.device, written)

    @property
    def kind(self) -> str:
        """Name of the kind."""
        return self.loaded.kind

    @property
    def fixed(self) -> bool:
        """Whether there is but one fill."""
        return self.loaded.fixed

    @property
    def constant(self) -> Tensor:
        """The value of components that never varied in training, else NaN."""
        return self.loaded.constant

    @property
    def patch(self) -> int | None:
        """Side of the only patches that can be filled."""
        return self.loaded.patch

    def width(self, size: int) -> int:
        """Return how many uniform numbers a fill takes."""
        return self.loaded.width(size)

    def prepare(self, inputs: Tensor) -> Any:
        """Compute once for a batch of inputs what all their fills need."""
        return self.loaded.prepare(inputs)

    def fill(self, held: Any, rows: Tensor, block: Index, uniform: Tensor) -> Tensor:
        """Draw fills of one block, (row, draw, member)."""
        return self.loaded.fill(held, rows, block, uniform)

    def log_likelihood(self, held: Any, block: Index) -> tuple[Tensor, Tensor] | None:
        """Return how likely the inputs' own block is."""
        return self.loaded.log_likelihood(held, block)

    def to(self, device: torch.device) -> StoredSampler:
        """Return the sampler on a device."""
        return replace(self, device=str(device))

    def tensors(self) -> dict[str, Tensor]:
        """Return all that was fitted."""
        return self.loaded.tensors()

    def arguments(self) -> dict[str, Any]:
        """Return what it is rebuilt with."""
        return self.loaded.arguments()
