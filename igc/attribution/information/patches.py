"""The patch sampler network as a sampler of blocks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from igc.attribution.information.protocol import Index
from igc.models.patch_sampler import PatchSampler

__all__ = ["PatchFiller"]


@dataclass(frozen=True)
class PatchFiller:
    """Fills patches of an image by a trained network.

    Attributes
    ----------
    network : PatchSampler
        In evaluation mode.
    shape : tuple of int
        Of an image, (channel, row, column) or (row, column).
    constant : torch.Tensor (component,)
        Of components that never varied in training.
    frequencies : torch.Tensor (component, level)
        How often each component has each level in training, for the comparison of likelihoods.
    """

    network: PatchSampler
    shape: tuple[int, ...]
    constant: Tensor
    frequencies: Tensor
    kind: ClassVar[str] = "patch"
    fixed: ClassVar[bool] = False

    @classmethod
    def of(cls, network: PatchSampler, images: Tensor) -> PatchFiller:
        """Make the sampler of a trained network and the training images (image, ..., row, column)."""
        flat = images.flatten(1)
        same = (flat == flat[:1]).all(dim=0)
        constant = torch.where(same, flat[0].double(), torch.nan)
        channels = images.reshape(len(images), network.channels, -1)
        codes = torch.stack(
            [torch.bucketize(channels[:, c].contiguous(), network.edges[c]) for c in range(network.channels)], dim=1
        ).flatten(1)
        counts = torch.stack([(codes == k).sum(dim=0) for k in range(network.levels)], dim=1).double()
        frequencies = (counts + 1) / (len(images) + network.levels)
        return cls(network.eval(), tuple(images.shape[1:]), constant, frequencies)

    @property
    def patch(self) -> int:
        """Side of the patches."""
        return self.network.patch

    @cached_property
    def _columns(self) -> int:
        return self.shape[-1]

    def width(self, size: int) -> int:
        """Return a number a member."""
        return size

    def prepare(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs, and their images in the units of the network with a border."""
        images = inputs.reshape(len(inputs), self.network.channels, *self.shape[-2:]).to(self.network.mean.dtype)
        return inputs, self.network.surround(images)

    def _windows(self, padded: Tensor, block: Index) -> Tensor:
        first = torch.as_tensor(block[..., 0] % (self.shape[-2] * self._columns), device=padded.device)
        place = first.expand(len(padded))
        return self.network.window(padded, place // self._columns, place % self._columns)

    def fill(self, held: tuple[Tensor, Tensor], rows: Tensor, block: Index, uniform: Tensor) -> Tensor:
        """Draw fills, (row, draw, member); each row may have a block of its own."""
        inputs, padded = held
        with torch.no_grad():
            codes = self.network.draw(self._windows(padded.index_select(0, rows), block), uniform)
            values = self.network.grey(codes).to(inputs.dtype)
        constant = self.constant[torch.as_tensor(block, device=inputs.device)]
        constant = constant.expand(len(rows), -1)[:, None].to(inputs.dtype)
        return torch.where(constant.isnan(), values, constant)

    def log_likelihood(self, held: tuple[Tensor, Tensor], block: Index) -> tuple[Tensor, Tensor]:
        """Return the log-probabilities of the levels given the surroundings, and by themselves, (row,) each."""
        inputs, padded = held
        members = torch.as_tensor(block, device=inputs.device)
        with torch.no_grad():
            codes = self.network.quantize(inputs[:, members].to(self.network.edges.dtype))
            given = self.network.log_probability(self._windows(padded, block), codes).double()
        alone = self.frequencies[members.expand_as(codes), codes].log()
        varies = self.constant[members].isnan()
        return (given * varies).sum(dim=1), (alone * varies).sum(dim=1)

    def to(self, device: torch.device) -> PatchFiller:
        """Return the sampler on a device."""
        network = copy.deepcopy(self.network).to(device)
        return replace(
            self, network=network, constant=self.constant.to(device), frequencies=self.frequencies.to(device)
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return weights and statistics."""
        weights = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        return {**weights, "constant": self.constant, "frequencies": self.frequencies}

    def arguments(self) -> dict[str, Any]:
        """Return what the sampler is rebuilt with beside its tensors."""
        network = self.network
        made = {name: getattr(network, name) for name in ("channels", "patch", "levels", "filters", "within")}
        return {**made, "shape": list(self.shape)}

    @classmethod
    def rebuild(cls, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> PatchFiller:
        """Make the sampler of its tensors and arguments."""
        made = {name: arguments[name] for name in ("channels", "patch", "levels", "filters", "within")}
        with torch.random.fork_rng(devices=[]):
            network = PatchSampler(**made)
        weights = {key.removeprefix("network."): value for key, value in tensors.items() if key.startswith("network.")}
        network.load_state_dict(weights)
        frozen = network.eval().requires_grad_(False)
        return cls(frozen, tuple(arguments["shape"]), tensors["constant"], tensors["frequencies"])
