"""Predictions over many fills of many blocks: large batches, nothing computed twice, more draws where they matter.

What is drawn for a block of a sample follows from the seed, the number of the sample, the block and the draw alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten
from igc.attribution.information.blocks import Blocks
from igc.attribution.information.filled import Filled, filled_outputs
from igc.attribution.information.predictive import Categories, Loss, Measure, snap
from igc.attribution.information.protocol import BlockSampler
from igc.attribution.problem import Rows
from igc.seeding import generator

__all__ = ["MIN_DRAWS", "REPLICATES", "Fills", "Found", "Tally", "doublings", "max_doublings"]

REPLICATES = 8
"""Parts into which the draws of a block are divided, for the error."""
MIN_DRAWS = 2 * REPLICATES
"""Draws a block at least: one a replicate in each half."""
MAX_SAMPLES = 256
MAX_CHUNK = 64
CHUNK_NUMBERS = 1 << 12
BATCH_NUMBERS = 1 << 23
ALL = 2.0**1000
"""Draws that a single one stands for where there is no other."""
UNSEEN = 0.5
"""Draws that stand for those that were not made, where all that were made say nothing."""
DRAWN_TOGETHER = 1 << 13
"""Fills of several patches that are drawn at once."""
TINY = 2.0**-54


@dataclass(frozen=True)
class Tally:
    """How often the model was called, and how often it was not.

    Attributes
    ----------
    evaluations : int
        Inputs the model was run on.
    draws : int
        Fills that were asked for, those of blocks that cannot differ included.
    estimates, unresolved : int
        Logarithms of mean probabilities, and those of a mean below one in the number of draws: there a single fill that
        was not met may outweigh all that were, and no error tells.
    """

    evaluations: int = 0
    draws: int = 0
    estimates: int = 0
    unresolved: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.evaluations + other.evaluations,
            self.draws + other.draws,
            self.estimates + other.estimates,
            self.unresolved + other.unresolved,
        )


@dataclass(frozen=True)
class Found:
    """What was found for a stretch of blocks.

    Attributes
    ----------
    first : int
        Number of the first block.
    loss : Loss
        With pairs (sample, block) on the leading axis, blocks running fastest.
    spread : array (sample, block)
        Standard deviation of a single draw's contribution, over all targets.
    draws : array (sample, block)
        Number of draws.
    tally : Tally
    """

    first: int
    loss: Loss
    spread: npt.NDArray[np.float64]
    draws: npt.NDArray[np.int64]
    tally: Tally


def doublings(spread: Tensor, unit: float | None, most: int) -> Tensor:
    """Return how often the draws of half a block are doubled: their number is in proportion to the spread.

    Parameters
    ----------
    spread : torch.Tensor
        Standard deviation of a draw.
    unit : float, optional
        Spread for which a draw is made; None: no more than the least.
    most : int
        Doublings at most.

    Returns
    -------
    torch.Tensor of int
    """
    if unit is None:
        return torch.zeros_like(spread, dtype=torch.int64)
    wanted = (spread / (unit * MIN_DRAWS)).clamp_min(1.0)
    return torch.ceil(torch.log2(wanted) - 1e-9).clamp(0, most).long()


@dataclass(frozen=True)
class Fills:
    """Draws fills and predicts from them.

    Attributes
    ----------
    outputs : Outputs
        Raw outputs, all of them.
    sampler : BlockSampler
    blocks : Blocks
    measure : Measure
        What is estimated.
    judge : Measure
        What decides where draws matter: of all outputs, so that it does not depend on which are explained.
    seed : int
    batch_size : int
        Inputs a forward pass.
    unit : float, optional
        See :func:`doublings`.
    most : int
        See :func:`doublings`.
    bias : float
        Draws are added, too, where the bias that is taken off is estimated to be larger: what is left of it then
        counts.
    """

    outputs: Outputs
    sampler: BlockSampler
    blocks: Blocks
    measure: Measure
    judge: Measure
    seed: int
    batch_size: int
    unit: float | None = None
    most: int = 4
    bias: float = math.inf

    @property
    def fewest(self) -> int:
        """Draws a block at least."""
        return 1 if self.sampler.fixed else MIN_DRAWS

    @property
    def width(self) -> int:
        """Largest number of uniform numbers a fill takes."""
        return self.sampler.width(max(len(block) for block in self.blocks.members))

    def batches(self, n: int, n_targets: int) -> list[slice]:
        """Cut samples into batches on a grid that does not depend on the batch size of the model.

        Both the numbers drawn for a stretch of blocks and the maps of all replicates must fit into memory.
        """
        drawn = 8 * MIN_DRAWS * self.width * min(self._chunk, len(self.blocks))
        maps = REPLICATES * n_targets * self.blocks.n_components
        step = max(1, min(MAX_SAMPLES, BATCH_NUMBERS // max(drawn, maps)))
        return [slice(i, min(i + step, n)) for i in range(0, n, step)]

    @property
    def _chunk(self) -> int:
        """Blocks of a stretch."""
        return max(1, min(MAX_CHUNK, CHUNK_NUMBERS // self.width))

    def run(self, inputs: Inputs, rows: Rows, responses: Tensor) -> Iterator[Found]:
        """Explain a batch of samples, one stretch of blocks after the other.

        Parameters
        ----------
        inputs : tuple of torch.Tensor (row, ...)
        rows : array of int (row,)
            Numbers of the samples.
        responses : torch.Tensor (row, output or target)
            True responses; categories need none.

        Yields
        ------
        Found
        """
        with torch.no_grad():
            flat = flatten(inputs)
            filled = filled_outputs(self.outputs, inputs, self.blocks.members, self.batch_size)
            batch = _Batch(self, filled, rows, flat, responses, self.sampler.prepare(flat))
            chunk = self._chunk
            extra = len(rows)
            for number, first in enumerate(range(0, len(self.blocks), chunk)):
                found = batch.explain(number, first, min(first + chunk, len(self.blocks)))
                yield replace(found, tally=found.tally + Tally(evaluations=extra))
                extra = 0


@dataclass(frozen=True)
class _Batch:
    """A batch of samples that is being explained."""

    fills: Fills
    filled: Filled
    rows: Rows
    flat: Tensor
    responses: Tensor
    held: Any

    @property
    def original(self) -> Tensor:
        return self.filled.original

    def explain(self, number: int, first: int, stop: int) -> Found:
        stretch = _Stretch(self, number, first, stop)
        if self.fills.sampler.fixed:
            stretch.draw(0, 0, torch.ones_like(stretch.active), 1)
            replicates = stretch.sums.sum(dim=(2, 3))[:, :, None].expand(-1, -1, REPLICATES, -1, -1)
            ones = torch.ones_like(stretch.active, dtype=torch.int64)
            return self._found(stretch, first, replicates, ones, torch.full_like(ones, ALL, dtype=torch.float64))
        stretch.draw(0, 0, torch.ones_like(stretch.active), MIN_DRAWS)
        done = torch.zeros(2, *stretch.active.shape, dtype=torch.int64, device=stretch.active.device)
        spread = self._shown(stretch, done)[0]
        # each half decides about the other, so that its number of draws is independent of what is drawn
        enough = doublings(spread.flip(0), self.fills.unit, self.fills.most)
        for stage in range(1, self.fills.most + 1):
            wanted = enough >= stage
            if math.isfinite(self.fills.bias):
                wanted = wanted | (self._shown(stretch, done)[1].flip(0) > self.fills.bias)
            wanted = wanted & (done == stage - 1)
            if not bool(wanted.any()):
                break
            for half in (0, 1):
                stretch.draw(stage, half, wanted[half], REPLICATES << (stage - 1))
            done = done + wanted
        replicates, count = (stretch.sums / _counts(done)).mean(dim=2), (REPLICATES << done).sum(dim=0)
        found = self._found(stretch, first, replicates, count, count.double())
        return replace(
            found,
            loss=self._unseen(found.loss, stretch, count.double()),
            spread=np.asarray((spread**2).mean(dim=0).sqrt().cpu().numpy()),
            tally=found.tally + self._resolution(replicates.mean(dim=2), count, stretch.active),
        )

    def _unseen(self, loss: Loss, stretch: _Stretch, count: Tensor) -> Loss:
        """Give an error to blocks of which no fill differed from the original, though one might have.

        It is what half a draw more would add, if that had the variance that is usual among the blocks around.
        """
        alone = stretch.active & (stretch.met == 0)
        if not bool(alone.any()):
            return loss
        n, b = alone.shape
        single = loss.variance().reshape(n, b, -1) * count[..., None]
        usual = torch.where(stretch.active[..., None], single, torch.nan).nanmedian(dim=1, keepdim=True).values
        variance = torch.where(alone[..., None], usual * UNSEEN / (count * (count + UNSEEN))[..., None], 0.0)
        # blocks may err to either side: half of the replicates, other ones in each, are above and half below
        order = stretch.random("unseen").argsort(axis=2)
        side = torch.as_tensor(1.0 - 2.0 * (order < REPLICATES // 2), device=count.device)
        added = side[..., None] * (variance * (REPLICATES - 1)).sqrt()[:, :, None]
        return Loss(loss.value, loss.deviations + added.flatten(0, 1))

    def _resolution(self, means: Tensor, draws: Tensor, active: Tensor) -> Tally:
        """Count what so few draws cannot tell, from means (sample, block, statistic, output)."""
        measure = self.fills.measure
        if measure.name != "pmi" or not isinstance(measure.predictive, Categories):
            return Tally()
        chance = measure.predictive.mean_probability(self.original[:, None], means)
        few = (chance * draws[..., None] < 1) & active[..., None]
        return Tally(estimates=few.numel(), unresolved=int(few.sum()))

    def _shown(self, stretch: _Stretch, done: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spread of a draw and the bias of the whole, as each half shows it, (half, sample, block)."""
        means = stretch.sums / _counts(done)
        spread, bias = [], []
        for half in (0, 1):
            draws = (REPLICATES << done[half]).double()
            variance = self._loss(self.fills.judge, means[:, :, half], draws).variance()
            spread.append((variance.mean(dim=1).reshape(draws.shape) * draws).sqrt())
            bias.append(variance.amax(dim=1).reshape(draws.shape) / 4)  # half the variance of both halves together
        return torch.stack(spread), torch.stack(bias)

    def _found(self, stretch: _Stretch, first: int, replicates: Tensor, made: Tensor, draws: Tensor) -> Found:
        """Turn the means of replicates, (sample, block, replicate, statistic, output), into estimates.

        ``made`` are the draws that were made, ``draws`` those that they stand for, (sample, block).
        """
        loss = self._loss(self.fills.measure, replicates, draws)
        return Found(first, loss, np.zeros(tuple(made.shape)), np.asarray(made.cpu().numpy()), stretch.tally)

    def _loss(self, measure: Measure, replicates: Tensor, draws: Tensor) -> Loss:
        b = replicates.shape[1]
        pairs = replicates.flatten(0, 1)
        original, responses = (x.double().repeat_interleave(b, dim=0) for x in (self.original, self.responses))
        return measure.loss(original, responses, pairs.mean(dim=1), pairs, draws.flatten())


def _counts(done: Tensor) -> Tensor:
    """Return the draws of a replicate after so many doublings, to divide sums by."""
    return (1 << done).movedim(0, -1)[..., None, None, None]


class _Stretch:
    """Sums over the fills of some blocks."""

    def __init__(self, batch: _Batch, number: int, first: int, stop: int) -> None:
        self.batch, self.number = batch, number
        self.members = batch.fills.blocks.members[first:stop]
        self.tally = Tally()
        n, outputs = batch.original.shape
        shape = (n, len(self.members), 2, REPLICATES, batch.fills.measure.predictive.n_statistics, outputs)
        self.sums = torch.zeros(shape, dtype=torch.float64, device=batch.flat.device)
        self.active = ~self._certain()
        self.met = torch.zeros_like(self.active, dtype=torch.int64)

    def _certain(self) -> Tensor:
        """Return where a block holds nothing but what it is always filled with, (sample, block)."""
        same = self.batch.flat.double() == self.batch.fills.sampler.constant
        if not bool(same.any()):
            return torch.zeros(len(same), len(self.members), dtype=torch.bool, device=same.device)
        return torch.stack([same[:, torch.as_tensor(block)].all(dim=1) for block in self.members], dim=1)

    def draw(self, stage: int, half: int, wanted: Tensor, count: int) -> None:
        """Add fills: so many for each wanted (sample, block), to both halves in turn at stage 0, else to one."""
        self.tally = self.tally + Tally(draws=int(wanted.sum()) * count)
        wanted = wanted & self.active
        uniform = self._uniform(stage, half, wanted, count)
        parts = [self._changed(pairs, uniform) for pairs in self._together(wanted, count)]
        if not parts:
            return
        rows, blocks, draws, fills = (torch.cat(column) for column in zip(*parts, strict=True))
        if not len(rows):
            return
        self.met.index_put_((rows, blocks), torch.ones_like(rows), accumulate=True)
        which = draws // REPLICATES if stage == 0 else torch.full_like(draws, half)
        place = ((rows * len(self.members) + blocks) * 2 + which) * REPLICATES + draws % REPLICATES
        for some in torch.split(torch.arange(len(rows), device=rows.device), self._piece):
            self._add(rows[some], blocks[some], fills[some], place[some])
        self.tally = self.tally + Tally(evaluations=len(rows))

    @property
    def _piece(self) -> int:
        """Fills whose statistics are made at once."""
        return max(self.batch.fills.batch_size, BATCH_NUMBERS // int(np.prod(self.sums.shape[4:])))

    def _add(self, rows: Tensor, blocks: Tensor, fills: Tensor, place: Tensor) -> None:
        """Predict fills and add their statistics to the sums of their replicates."""
        raw, original = self.batch.filled.predict(rows, self.members, blocks, fills), self.batch.original[rows]
        found = self.batch.fills.measure.predictive.statistics(snap(raw, original), original)
        self.sums.view(-1, *self.sums.shape[4:]).index_add_(0, place, found)

    def _uniform(self, stage: int, half: int, wanted: Tensor, count: int) -> npt.NDArray[np.float64]:
        """Return uniform numbers for all blocks of the stretch, (row, block, draw, width)."""
        fills, some = self.batch.fills, wanted.any(dim=1).cpu().numpy()
        shape = (len(self.members), count, fills.width)
        numbers = np.full((len(some), *shape), 0.5)
        for i in np.flatnonzero(some):
            random = generator(fills.seed, "fills", int(self.batch.rows[i]), self.number, 2 * stage + half)
            numbers[i] = random.random(shape)
        return np.asarray(np.maximum(numbers, TINY))

    def random(self, purpose: str) -> npt.NDArray[np.float64]:
        """Return numbers of a purpose for all blocks of the stretch, (row, block, replicate)."""
        rows = [generator(self.batch.fills.seed, purpose, int(row), self.number) for row in self.batch.rows]
        return np.stack([row.random((len(self.members), REPLICATES)) for row in rows])

    def _together(self, wanted: Tensor, count: int) -> Iterator[Tensor]:
        """Cut the wanted pairs into what is drawn at once, (pair, 2) of block and row in increasing order."""
        pairs = torch.nonzero(wanted.T)
        if self.batch.fills.sampler.patch is not None:
            return iter(torch.split(pairs, max(1, DRAWN_TOGETHER // count)) if len(pairs) else ())
        return iter(torch.split(pairs, [n for n in wanted.sum(dim=0).tolist() if n]))

    def _changed(self, pairs: Tensor, uniform: npt.NDArray[np.float64]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw fills for pairs; return those that differ from the original: row, block, draw, values."""
        batch, sampler = self.batch, self.batch.fills.sampler
        blocks, rows = pairs.T
        some = [self.members[b] for b in blocks.tolist()]
        members = np.stack(some) if sampler.patch is not None else some[0]
        numbers = uniform[rows.cpu().numpy(), blocks.cpu().numpy()][..., : sampler.width(members.shape[-1])]
        values = sampler.fill(batch.held, rows, members, torch.as_tensor(numbers, device=batch.flat.device))
        places = torch.as_tensor(members, device=rows.device).expand(len(rows), -1)
        own = batch.flat.index_select(0, rows).gather(1, places)
        which, draws = torch.nonzero((values != own[:, None]).any(dim=2), as_tuple=True)
        longest = max(len(block) for block in self.members)
        kept = values[which, draws]
        padded = torch.cat([kept, kept[:, -1:].expand(-1, longest - kept.shape[1])], dim=1)
        return rows[which], blocks[which], draws, padded


def max_doublings(max_draws: int) -> int:
    """Return how often the least number of draws can be doubled within so many."""
    return max(0, int(math.log2(max(max_draws, MIN_DRAWS) / MIN_DRAWS) + 1e-9))
