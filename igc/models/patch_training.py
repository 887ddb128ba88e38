"""Training of the patch sampler with Lightning, on random patches of the training images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L  # noqa: N812 - its own documentation
import numpy as np
import torch
from torch import Tensor

from igc.config import Training
from igc.errors import ModelError, explain
from igc.models.batches import Batches, Rows, SampleSource
from igc.models.patch_sampler import PatchSampler
from igc.models.training import (
    EpochCallback,
    checkpoints,
    make_trainer,
    one_cycle,
    read_checkpoint,
    silence,
    split_rows,
)
from igc.seeding import generator, integer_seed

__all__ = ["PatchPlan", "fit_patch_sampler"]

PATCHES = 4
"""Random patches of an image a pass."""
LEVEL_SAMPLES = 2000
"""Images by which levels are laid."""


@dataclass(frozen=True)
class PatchPlan:
    """What to train and how.

    Attributes
    ----------
    shape : tuple of int
        Of an image, (channel, row, column) or (row, column).
    patch, levels, filters, within
        As for :class:`igc.models.patch_sampler.PatchSampler`.
    training : Training
        Settings of the loop.
    seed : int
        Seed of initial weights, batches, places and validation groups.
    """

    shape: tuple[int, ...]
    patch: int
    levels: int
    filters: int | None
    within: bool
    training: Training
    seed: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(np.prod(self.shape[:-2]))


class _Loop(L.LightningModule):  # type: ignore[misc]
    """The sampler in training: minus the log-likelihood of a patch a member, in nats."""

    def __init__(self, module: PatchSampler, plan: PatchPlan, fit: Batches, check: Batches, fold: int) -> None:
        super().__init__()
        self.module, self.plan, self.fold = module, plan, fold
        self.fit_batches, self.check_batches = fit, check
        self.history: list[dict[str, float]] = []
        self._sums = dict.fromkeys(("train", "train_count", "check", "check_count"), 0.0)

    def train_dataloader(self) -> Batches:
        return self.fit_batches

    def val_dataloader(self) -> Batches:
        return self.check_batches

    def configure_optimizers(self) -> dict[str, Any]:
        return one_cycle(self.module, self.plan.training, len(self.fit_batches))

    def _loss(self, inputs: Tensor, purpose: str, *index: int) -> Tensor:
        height, width = self.plan.shape[-2:]
        k, n = self.plan.patch, len(inputs)
        images = inputs.reshape(n, self.plan.channels, height, width)
        random = generator(self.plan.seed, purpose, self.fold, *index)
        top, left = (
            torch.as_tensor(random.integers(0, length - k + 1, n * PATCHES), device=inputs.device)
            for length in (height, width)
        )
        which = torch.arange(n, device=inputs.device).repeat(PATCHES)
        windows = self.module.window(self.module.surround(images)[which], top, left)
        steps = torch.arange(k, device=inputs.device)
        rows, columns = (top[:, None] + steps)[:, :, None], (left[:, None] + steps)[:, None]
        patches = images.movedim(1, -1)[which[:, None, None], rows, columns].movedim(-1, 1)
        return -self.module.log_probability(windows, self.module.quantize(patches.flatten(1))).mean()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self._loss(batch[0], "patches", self.current_epoch, index)
        self._add("train", float(loss.detach()), len(batch[0]))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self._add("check", float(self._loss(batch[0], "held-out patches", index)), len(batch[0]))

    def _add(self, name: str, value: float, count: int) -> None:
        self._sums[name] += value * count
        self._sums[f"{name}_count"] += count

    def on_train_epoch_start(self) -> None:
        self._sums = dict.fromkeys(self._sums, 0.0)
        self.fit_batches.epoch = self.current_epoch

    def on_validation_epoch_end(self) -> None:
        loss = self._sums["check"] / self._sums["check_count"]
        if not math.isfinite(loss):
            remedy = "lower training.learning_rate"
            raise ModelError(explain("training", f"a validation loss of {loss}", "a finite loss", remedy))
        self.log("validation_loss", loss, prog_bar=False, logger=False)

    def on_train_epoch_end(self) -> None:
        losses = {name: self._sums[name] / self._sums[f"{name}_count"] for name in ("train", "check")}
        row = {"epoch": float(self.current_epoch), "train_loss": losses["train"], "validation_loss": losses["check"]}
        self.history.append(row)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["igc_history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["igc_history"])


def fit_patch_sampler(
    plan: PatchPlan,
    source: SampleSource,
    groups: Rows,
    rows: Rows,
    fold: int = 0,
    device: str = "auto",
    scratch: Path | None = None,
    report: EpochCallback | None = None,
) -> tuple[PatchSampler, list[dict[str, float]]]:
    """Train a patch sampler on some samples.

    Parameters
    ----------
    plan : PatchPlan
        What to train and how.
    source : SampleSource
        Where samples are read.
    groups : array of int (sample,)
        Group of every sample; validation groups share no sample with those that are fitted.
    rows : array of int (row,)
        Training samples, increasing.
    fold : int
        Outer fold, which gives it its own random numbers.
    device : str
        "auto", "cpu" or "cuda".
    scratch : Path, optional
        Folder of checkpoints, to go on after an interruption.
    report : callable, optional
        Called after each epoch with its number and validation loss.

    Returns
    -------
    PatchSampler
        In evaluation mode with frozen parameters.
    list of dict
        ``epoch``, ``train_loss``, ``validation_loss``: nats a member.

    Raises
    ------
    ModelError
        If patches do not fit into the images, or the loss is not finite.
    """
    if len(plan.shape) < 2 or plan.patch > min(plan.shape[-2:]):
        seen = f"patches of {plan.patch} pixels in inputs of shape {plan.shape}"
        raise ModelError(explain("patch", seen, "images that hold a patch", "choose a smaller patch, or another kind"))
    fit, check = split_rows(rows, groups, plan.training.validation, integer_seed(plan.seed, "validation", fold))
    with torch.random.fork_rng(), silence(), checkpoints(scratch) as folder:
        torch.manual_seed(integer_seed(plan.seed, "weights", fold))
        module = PatchSampler(plan.channels, plan.patch, plan.levels, plan.filters, plan.within)
        some = fit[np.linspace(0, len(fit) - 1, min(len(fit), LEVEL_SAMPLES)).round().astype(np.int64)]
        module.set_levels(source.read(np.unique(some))[0].reshape(-1, plan.channels, *plan.shape[-2:]))
        batches = Batches(source, fit, plan.training.batch_size, integer_seed(plan.seed, "order", fold))
        loop = _Loop(module, plan, batches, Batches(source, check, max(256, plan.training.batch_size)), fold)
        last = folder / "last.ckpt"
        trainer = make_trainer(plan.training, folder, device, report)
        trainer.fit(loop, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
        loop.cpu().load_state_dict(read_checkpoint(folder / "best.ckpt")["state_dict"])
        return module.eval().requires_grad_(False), loop.history
