"""Samplers that need no fit but statistics or other samples: zero, mean, and resampling with or without the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from igc.attribution.information.protocol import Index

__all__ = ["FixedSampler", "NeighbourSampler", "ResamplingSampler"]


@dataclass(frozen=True)
class FixedSampler:
    """Fills a block with fixed values: one draw says all.

    Attributes
    ----------
    values : torch.Tensor (component,)
        What is put in.
    kind : str
        "zero" or "mean".
    """

    values: Tensor
    kind: str = "zero"
    patch: ClassVar[int | None] = None
    fixed: ClassVar[bool] = True

    @property
    def constant(self) -> Tensor:
        """The values: nothing varies."""
        return self.values

    def width(self, size: int) -> int:
        """Return 1: no number is needed, but one must be handed in."""
        return 1

    def prepare(self, inputs: Tensor) -> Tensor:
        """Return the inputs."""
        return inputs

    def fill(self, held: Tensor, rows: Tensor, block: Index, uniform: Tensor) -> Tensor:
        """Return the fixed values, (row, draw, member)."""
        values = self.values[torch.as_tensor(block, device=held.device)].to(held.dtype)
        return values.expand(*uniform.shape[:2], len(block))

    def log_likelihood(self, held: Tensor, block: Index) -> None:
        """Return None: there is no density."""
        return

    def to(self, device: torch.device) -> FixedSampler:
        """Return the sampler on a device."""
        return replace(self, values=self.values.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """Return the values."""
        return {"values": self.values}

    def arguments(self) -> dict[str, Any]:
        """Return nothing: the tensors say all."""
        return {}


def _constants(bank: Tensor) -> Tensor:
    """Return the value of each column that does not vary, else NaN, (component,)."""
    same = (bank == bank[:1]).all(dim=0)
    return torch.where(same, bank[0].double(), torch.full((bank.shape[1],), torch.nan, dtype=torch.float64))


@dataclass(frozen=True)
class ResamplingSampler:
    """Fills a block with that of a random training sample, whatever the rest says.

    Attributes
    ----------
    bank : torch.Tensor (sample, component)
        Training samples.
    constant : torch.Tensor (component,)
        Of components that do not vary.
    """

    bank: Tensor
    constant: Tensor
    kind: ClassVar[str] = "marginal"
    patch: ClassVar[int | None] = None
    fixed: ClassVar[bool] = False

    @classmethod
    def of(cls, bank: Tensor) -> ResamplingSampler:
        """Make the sampler of training samples (sample, component)."""
        return cls(bank, _constants(bank))

    def width(self, size: int) -> int:
        """Return 1: the number chooses the sample."""
        return 1

    def prepare(self, inputs: Tensor) -> Tensor:
        """Return the inputs."""
        return inputs

    def fill(self, held: Tensor, rows: Tensor, block: Index, uniform: Tensor) -> Tensor:
        """Return the block of drawn samples, (row, draw, member)."""
        columns = self.bank[:, torch.as_tensor(block, device=held.device)].to(held.dtype)
        return columns[(uniform[..., 0] * len(columns)).long()]

    def log_likelihood(self, held: Tensor, block: Index) -> None:
        """Return None: there is no density."""
        return

    def to(self, device: torch.device) -> ResamplingSampler:
        """Return the sampler on a device."""
        return replace(self, bank=self.bank.to(device), constant=self.constant.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """Return the samples."""
        return {"bank": self.bank}

    def arguments(self) -> dict[str, Any]:
        """Return nothing: the tensors say all."""
        return {}


@dataclass(frozen=True)
class NeighbourSampler:
    """Fills a block with that of a training sample among those whose rest is closest.

    Attributes
    ----------
    bank : torch.Tensor (sample, component)
        Training samples.
    scale : torch.Tensor (component,)
        What distances are measured in; 0 leaves a component out.
    constant : torch.Tensor (component,)
        Of components that do not vary.
    neighbours : int
        How many of them to choose from.
    own : bool
        Whether the bank holds the very samples that are filled: a sample is then not its own neighbour.
    """

    bank: Tensor
    scale: Tensor
    constant: Tensor
    neighbours: int
    own: bool = False
    kind: ClassVar[str] = "neighbours"
    patch: ClassVar[int | None] = None
    fixed: ClassVar[bool] = False

    @classmethod
    def of(cls, bank: Tensor, neighbours: int, own: bool = False) -> NeighbourSampler:
        """Make the sampler of training samples (sample, component), each component in its standard deviations."""
        deviation = bank.double().std(dim=0, correction=0)
        scale = torch.where(deviation > 0, 1 / deviation.clamp_min(1e-300), 0.0)
        return cls(bank, scale, _constants(bank), min(neighbours, len(bank) - own), own)

    def width(self, size: int) -> int:
        """Return 1: the number chooses the neighbour."""
        return 1

    def prepare(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs, and their squared distances to the bank, (row, sample)."""
        scaled, bank = inputs.double() * self.scale, self.bank.double() * self.scale
        distance = torch.cdist(scaled, bank, compute_mode="donot_use_mm_for_euclid_dist") ** 2
        if self.own:
            distance = torch.where(distance == 0, torch.inf, distance)
        return inputs, distance

    def fill(self, held: Any, rows: Tensor, block: Index, uniform: Tensor) -> Tensor:
        """Return the block of drawn neighbours, (row, draw, member)."""
        inputs, distance = held
        members = torch.as_tensor(block, device=inputs.device)
        columns = self.bank[:, members]
        scale = self.scale[members]
        inside = inputs[rows][:, members].double() * scale
        # the rest is all but the block: one distance a sample serves all blocks
        rest = distance[rows] - torch.cdist(inside, columns.double() * scale) ** 2
        near = rest.topk(self.neighbours, dim=1, largest=False).indices
        chosen = near.gather(1, (uniform[..., 0] * self.neighbours).long())
        return columns[chosen].to(inputs.dtype)

    def log_likelihood(self, held: Any, block: Index) -> None:
        """Return None: there is no density."""
        return

    def to(self, device: torch.device) -> NeighbourSampler:
        """Return the sampler on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("bank", "scale", "constant")}
        return replace(self, **moved)

    def tensors(self) -> dict[str, Tensor]:
        """Return the samples."""
        return {"bank": self.bank}

    def arguments(self) -> dict[str, Any]:
        """Return how many neighbours there are."""
        return {"neighbours": self.neighbours}
