"""A network that tells what may stand in a patch of an image, given what surrounds it.

After the PatchSampler of arXiv 2009.11150: it sees the K x K patch's surroundings (3K x 3K, the patch itself hidden)
and gives a distribution over quantised levels for each pixel and channel. The published one draws every pixel by
itself. Here the pixels of a patch are drawn one after the other, each given those before it, so that a fill holds
together; strokes and edges go on through the patch instead of dissolving into speckle. The surroundings, which cost
most, are looked at once for all draws.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PatchSampler"]

MAX_FILTERS = 256
LEVEL_FEATURES = 4


class PatchSampler(nn.Module):
    """Conditional distribution of a patch, (surroundings, patch) -> log-probabilities of the levels.

    Parameters
    ----------
    channels : int
        Channels of the image.
    patch : int
        Rows and columns of a patch, K.
    levels : int
        Grey levels a channel is divided into.
    filters : int, optional
        Feature maps; default: 16 K channels, 256 at most, as published.
    within : bool
        Whether a pixel is drawn given those before it in the patch (row by row, channel by channel); else each by
        itself, as published.
    """

    edges: Tensor
    values: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int, patch: int, levels: int, filters: int | None = None, within: bool = True) -> None:
        super().__init__()
        n = min(16 * patch * channels, MAX_FILTERS) if filters is None else filters
        self.channels, self.patch, self.levels, self.filters, self.within = channels, patch, levels, n, within
        self.register_buffer("edges", torch.zeros(channels, levels - 1))
        self.register_buffer("values", torch.zeros(channels, levels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        wide = 3 if patch == 1 else min(2 * (patch // 2) + 1, 9)
        narrow = 1 if patch == 1 else 3
        # one more plane says what is hidden or outside, which no grey value could
        self.outer = nn.ModuleList(
            [nn.Conv2d(channels + 1, n, wide, padding="same"), nn.Conv2d(n, n, wide, padding="same")]
        )
        depth = 2 + int(math.log2(patch))
        self.inner = nn.ModuleList([nn.Conv2d(n, n, narrow, padding="same") for _ in range(depth)])
        self.channel = nn.Parameter(torch.zeros(channels, n))
        self.hidden = nn.Linear(n, n)
        self.output = nn.Linear(n, levels)
        if within:
            self.level = nn.Parameter(torch.randn(levels, LEVEL_FEATURES) / 2)
            shape = (self.size, self.size, LEVEL_FEATURES, n)
            self.before = nn.Parameter(torch.randn(shape) / math.sqrt(self.size * LEVEL_FEATURES))

    @property
    def size(self) -> int:
        """Pixels and channels of a patch."""
        return self.channels * self.patch**2

    def set_levels(self, images: Tensor) -> None:
        """Lay the levels over the range of some images (image, channel, row, column).

        The edges are even; what stands for a level is the median of the values in it, so that a frequent value such
        as a black background is met exactly.
        """
        by_channel = images.transpose(0, 1).flatten(1)
        self.mean.copy_(by_channel.mean(dim=1))
        deviation = by_channel.std(dim=1, correction=0)
        self.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))
        for c, values in enumerate(by_channel):
            low, high = values.min(), values.max()
            steps = torch.arange(self.levels, dtype=values.dtype)
            grid = low + (high - low) * steps / (self.levels - 1)
            self.edges[c] = (grid[1:] + grid[:-1]) / 2
            codes = torch.bucketize(values, self.edges[c])
            medians = [values[codes == k].median() if bool((codes == k).any()) else grid[k] for k in range(self.levels)]
            self.values[c] = torch.stack(medians)

    def quantize(self, patches: Tensor) -> Tensor:
        """Return the levels of patches, (patch, member) in channel, row, column order -> (patch, member)."""
        shaped = patches.reshape(len(patches), self.channels, -1)
        codes = [torch.bucketize(shaped[:, c].contiguous(), self.edges[c]) for c in range(self.channels)]
        return torch.stack(codes, dim=1).flatten(1)

    def grey(self, codes: Tensor) -> Tensor:
        """Return the values of levels, (..., member) -> (..., member)."""
        channel = torch.arange(self.channels, device=codes.device).repeat_interleave(self.patch**2)
        return self.values[channel.expand_as(codes), codes]

    def surround(self, images: Tensor) -> Tensor:
        """Return images in standard units with a border of K pixels, and a last plane that is 1 inside the image.

        (image, channel, row, column) -> (image, channel + 1, row + 2 K, column + 2 K)
        """
        units = (images - self.mean[:, None, None]) / self.scale[:, None, None]
        inside = torch.ones_like(units[:, :1])
        return functional.pad(torch.cat([units, inside], dim=1), [self.patch] * 4)

    def window(self, padded: Tensor, top: Tensor, left: Tensor) -> Tensor:
        """Cut the surroundings of patches out of padded images, with the patch itself hidden.

        Parameters
        ----------
        padded : torch.Tensor (patch, channel + 1, row, column)
            From :meth:`surround`, one a patch.
        top, left : torch.Tensor of int (patch,)
            First row and column of each patch in the image itself.

        Returns
        -------
        torch.Tensor (patch, channel + 1, 3 K, 3 K)
        """
        k = self.patch
        steps = torch.arange(3 * k, device=padded.device)
        number = torch.arange(len(padded), device=padded.device)[:, None, None]
        rows, columns = (top[:, None] + steps)[:, :, None], (left[:, None] + steps)[:, None]
        cut = padded.movedim(1, -1)[number, rows, columns].movedim(-1, 1).clone()
        cut[:, :, k : 2 * k, k : 2 * k] = 0
        return cut

    def context(self, windows: Tensor) -> Tensor:
        """Return what the surroundings say about each member, (patch, member, feature)."""
        second: Any = self.outer[1]
        x = functional.leaky_relu(self.outer[0](windows), 0.1)
        k, edge = self.patch, second.kernel_size[0] // 2
        start = k // 2
        # only the middle is kept, so that only what it needs is handed on, without a border
        before, after = edge - start, start + edge - k
        x = functional.pad(x, [before, after, before, after])
        x = functional.leaky_relu(functional.conv2d(x, second.weight, second.bias), 0.1)
        x = functional.avg_pool2d(x, 2)
        for layer in self.inner:
            x = functional.leaky_relu(layer(x), 0.1)
        pixels = x.flatten(2).transpose(1, 2)
        return (pixels[:, None] + self.channel[:, None]).flatten(1, 2)

    def _logits(self, features: Tensor) -> Tensor:
        hidden = functional.leaky_relu(features, 0.1)
        logits: Tensor = self.output(functional.leaky_relu(hidden + self.hidden(hidden), 0.1))
        return logits

    def log_probability(self, windows: Tensor, codes: Tensor) -> Tensor:
        """Return the log-probability of the true level of each member given those before it, (patch, member)."""
        features = self.context(windows)
        if self.within:
            earlier = torch.ones(self.size, self.size, device=codes.device).triu(1)  # from row to column
            weight = self.before * earlier[:, :, None, None]
            features = features + torch.einsum("pie,ijen->pjn", self.level[codes], weight)
        logits = self._logits(features)
        return torch.log_softmax(logits, dim=-1).gather(-1, codes[..., None])[..., 0]

    def draw(self, windows: Tensor, uniform: Tensor) -> Tensor:
        """Draw levels from uniform numbers, (patch, draw, member) -> (patch, draw, member)."""
        features = self.context(windows)
        numbers = uniform.to(features.dtype)
        if not self.within:
            return self._choose(self._logits(features).movedim(-1, 0)[:, :, None], numbers)
        # fills run along the last axis: there are many of them, and but few features and levels
        said = features.permute(1, 2, 0).repeat_interleave(uniform.shape[1], dim=2)
        numbers = numbers.flatten(0, 1).T.contiguous()
        codes = torch.zeros_like(numbers, dtype=torch.int64)
        drawn = numbers.new_zeros(self.size * LEVEL_FEATURES, numbers.shape[1])
        for i in range(self.size):
            first = i * LEVEL_FEATURES
            if i > 0:
                said[i].addmm_(self.before[:i, i].flatten(0, 1).T, drawn[:first])
            codes[i] = self._choose(self._columns(said[i]), numbers[i])
            drawn[first : first + LEVEL_FEATURES] = self.level.T.index_select(1, codes[i])
        return codes.T.reshape(uniform.shape)

    def _columns(self, features: Tensor) -> Tensor:
        """Return what :meth:`_logits` does, for features (feature, fill) -> (level, fill)."""
        hidden = functional.leaky_relu(features, 0.1)
        changed = torch.addmm(self.hidden.bias[:, None], self.hidden.weight, hidden).add_(hidden)
        return torch.addmm(self.output.bias[:, None], self.output.weight, functional.leaky_relu(changed, 0.1))

    @staticmethod
    def _choose(logits: Tensor, uniform: Tensor) -> Tensor:
        """Return where uniform numbers (...) fall in the cumulative distribution of levels, logits (level, ...)."""
        cumulative = (logits - logits.amax(dim=0)).exp_().cumsum(dim=0)
        return (uniform * cumulative[-1] > cumulative[:-1]).sum(dim=0)
