"""The noise-free rules of the simulated experiments as modules: models that are right by construction.

Source: the simulation of Lelièvre and Chen, "Integrated gradient correlation" (arXiv 2404.13910), rebuilt from its
description.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from igc.data.planted import CORNERS, masks
from igc.data.planted_voxels import TARGETS, voxel_plan
from igc.errors import ModelError, explain
from igc.models.architectures import FlatLinear
from igc.models.registry import register_architecture

__all__ = [
    *("CornerMatch", "LargestCosine", "LargestMean", "SumAndProduct"),
    *("fmri", "maximum", "noisy_pair", "permuted", "weighted_sum"),
]

SHARPNESS = 100.0
"""Factor between a cosine and a logit in experiment D."""

_SMALLEST = 1e-12


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine along the last axis of raw (not centred) pixels; its gradient stays finite where a patch is zero."""
    norms = (a.square().sum(-1) * b.square().sum(-1)).clamp_min(_SMALLEST).sqrt()
    return (a * b).sum(-1) / norms


class _Patches(nn.Module):
    """Reads patches of one shape from an image.

    Parameters
    ----------
    patches : list of array of float64 (row, column)
        Masks of equally many pixels, which correspond in raster order.
    """

    index: Tensor

    def __init__(self, patches: list[npt.NDArray[np.float64]]) -> None:
        super().__init__()
        self.register_buffer("index", torch.from_numpy(np.stack([np.flatnonzero(patch > 0) for patch in patches])))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 1, row, column) to (batch, patch, pixel)."""
        return images.flatten(1)[:, self.index]


class LargestMean(nn.Module):
    """Experiment B: the largest of the means over three regions.

    Parameters
    ----------
    size : int
        Image height and width in pixels.
    """

    weights: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        regions = np.stack(list(masks("maximum", size).values())).reshape(3, -1)
        weights = torch.from_numpy(regions / regions.sum(axis=1, keepdims=True))
        self.register_buffer("weights", weights.to(torch.get_default_dtype()))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 1, row, column) to (batch, 1)."""
        return (images.flatten(1) @ self.weights.T).amax(dim=1, keepdim=True)


class LargestCosine(nn.Module):
    """Experiment C: the larger of the cosines of the two left and of the two right corners.

    Parameters
    ----------
    size : int
        Image height and width in pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.patches = _Patches(list(masks("noisy_pair", size).values()))

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 1, row, column) to (batch, 1)."""
        corners = self.patches(images)
        return _cosine(corners[:, :2], corners[:, 2:]).amax(dim=1, keepdim=True)


class CornerMatch(nn.Module):
    """Experiment D: logits that grow with the cosine between the centre and each corner.

    Parameters
    ----------
    size : int
        Image height and width in pixels.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        parts = masks("permuted", size)
        places = ["centre", *CORNERS]
        self.rings = _Patches([parts[f"{place} ring"] for place in places])
        self.squares = _Patches([parts[f"{place} square"] for place in places])

    def forward(self, images: Tensor) -> Tensor:
        """Map (batch, 1, row, column) to logits (batch, corner)."""
        shapes = torch.cat([self.rings(images), self.squares(images)], dim=2)
        return SHARPNESS * _cosine(shapes[:, :1], shapes[:, 1:])


class SumAndProduct(nn.Module):
    """Simulated fMRI: a weighted sum of voxels, and the product of two weighted sums.

    These predict the two responses best, up to a constant: signals given voxels are Gaussian, so that the mean of the
    product of two is the product of their means plus a constant.

    Parameters
    ----------
    size : int
        Height and width in pixels of the images that the voxels look at.
    """

    weights: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        plan = voxel_plan(size)
        signals = [plan.sum_signal, plan.signals["first partner"], plan.signals["second partner"]]
        weights = torch.from_numpy(np.stack([plan.weights(signal) for signal in signals]))
        self.register_buffer("weights", weights.to(torch.get_default_dtype()))

    def forward(self, voxels: Tensor) -> Tensor:
        """Map (batch, voxel) to (batch, 2)."""
        sums = voxels @ self.weights.T
        return torch.stack([sums[:, 0], sums[:, 1] * sums[:, 2]], dim=1)


def _size(experiment: str, input_shape: tuple[int, ...], n_targets: int, expected: int) -> int:
    square = len(input_shape) == 3 and input_shape[0] == 1 and input_shape[1] == input_shape[2] <= 4096
    if not square or n_targets != expected:
        seen = f"inputs {tuple(input_shape)} and {n_targets} targets"
        allowed = f"inputs (1, size, size) and {expected} targets"
        raise ModelError(explain(f"architecture {experiment}", seen, allowed, "use it with its own simulated study"))
    return input_shape[1]


@register_architecture("weighted_sum")
def weighted_sum(input_shape: tuple[int, ...], n_targets: int) -> FlatLinear:
    """Build experiment A, a fixed weighted sum of pixels, for inputs (1, size, size) and one target."""
    size = _size("weighted_sum", input_shape, n_targets, 1)
    module = FlatLinear(size * size, 1)
    with torch.no_grad():
        module.readout.weight.copy_(torch.from_numpy(masks("weighted_sum", size)["weights"].reshape(1, -1)))
        module.readout.bias.zero_()
    return module


@register_architecture("maximum")
def maximum(input_shape: tuple[int, ...], n_targets: int) -> LargestMean:
    """Build experiment B for inputs (1, size, size) and one target."""
    return LargestMean(_size("maximum", input_shape, n_targets, 1))


@register_architecture("noisy_pair")
def noisy_pair(input_shape: tuple[int, ...], n_targets: int) -> LargestCosine:
    """Build experiment C for inputs (1, size, size) and one target."""
    return LargestCosine(_size("noisy_pair", input_shape, n_targets, 1))


@register_architecture("permuted")
def permuted(input_shape: tuple[int, ...], n_targets: int) -> CornerMatch:
    """Build experiment D for inputs (1, size, size) and four targets."""
    return CornerMatch(_size("permuted", input_shape, n_targets, len(CORNERS)))


@register_architecture("fmri")
def fmri(input_shape: tuple[int, ...], n_targets: int) -> SumAndProduct:
    """Build the rule of the simulated fMRI for inputs (voxel,) and two targets."""
    if len(input_shape) != 1 or input_shape[0] % 8 or not 32 <= input_shape[0] <= 1024 or n_targets != len(TARGETS):
        seen = f"inputs {tuple(input_shape)} and {n_targets} targets"
        allowed = f"inputs (voxel,), a multiple of 8 from 32 to 1,024, and {len(TARGETS)} targets"
        raise ModelError(explain("architecture fmri", seen, allowed, "use it with its own simulated study"))
    return SumAndProduct(input_shape[0] // 2)
