"""Noise that follows from the number of a sample alone, and costs next to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from igc.attribution.drawn import uniform_draws
from igc.attribution.problem import Rows
from igc.seeding import generator

__all__ = ["Noise", "noise_bank"]

BANK_NUMBERS = 1 << 23
SMALLEST, LARGEST = 256, 8192


@lru_cache(maxsize=4)
def noise_bank(seed: int, purpose: str, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return rows of standard normal numbers, (row, width), drawn once and kept on the device."""
    rows = int(np.clip(BANK_NUMBERS // width, SMALLEST, LARGEST))
    drawn = generator(seed, purpose).standard_normal((rows, width), dtype=np.float32)
    return torch.as_tensor(drawn).to(device, dtype)


@dataclass(frozen=True)
class Noise:
    """The noise of some samples: rows of one bank, in an order and with signs that are each sample's own.

    Millions of fresh normal numbers a sample would cost more than a small model does. Rows of a bank are gathered
    where the model is; which ones, and with which sign, is drawn for each sample from its number.

    Attributes
    ----------
    seed : int
    purpose : str
        Name of the stream.
    width : int
        Numbers a draw.
    draws : int
        Draws a step, of which there are ``steps``.
    steps : int
    """

    seed: int
    purpose: str
    width: int
    draws: int
    steps: int

    def of(self, rows: Rows, like: Tensor) -> NoiseOfSamples:
        """Return the noise of samples, in the precision and on the device of a tensor."""
        bank = noise_bank(self.seed, self.purpose, self.width, like.dtype, like.device)
        uniform = uniform_draws(self.seed, self.purpose + " rows", rows, 0, self.steps * self.draws)
        signed = (uniform * 2 * len(bank)).astype(np.int64).reshape(len(rows), self.steps, self.draws)
        chosen = torch.as_tensor(signed, device=like.device).permute(1, 2, 0).contiguous()
        return NoiseOfSamples(bank, chosen)


@dataclass(frozen=True)
class NoiseOfSamples:
    """The noise of some samples.

    Attributes
    ----------
    bank : torch.Tensor (row, width)
        Standard normal numbers.
    chosen : torch.Tensor of int (step, draw, sample)
        Row of each draw; from the number of rows on, with its sign turned.
    """

    bank: Tensor
    chosen: Tensor

    def step(self, index: int) -> Tensor:
        """Return the draws of a step, (draw, sample, width)."""
        chosen = self.chosen[index]
        sign = 1 - 2 * (chosen >= len(self.bank)).to(self.bank.dtype)
        return self.bank[chosen % len(self.bank)].mul_(sign[..., None])
