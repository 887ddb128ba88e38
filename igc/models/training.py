"""Training of a network with Lightning: early stopping, best weights, resumption, and nothing left behind.

The order of the batches and the random numbers of an epoch depend only on (seed, fold, epoch), so a run that was
interrupted continues to the same weights as one that was not.
"""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L  # noqa: N812 - its own documentation
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn
from torch.nn import functional

from igc.config import Training
from igc.data.splits import validation_split
from igc.errors import ModelError, explain
from igc.models.architectures import FlatLinear
from igc.models.batches import Batches, Rows, SampleSource, feature_statistics
from igc.models.devices import accelerator_of
from igc.models.encoders import FactorisedReadout
from igc.models.layers import ReadoutModel, Standardize
from igc.models.pretrained import start_from
from igc.models.registry import build_architecture
from igc.seeding import integer_seed
from igc.store.descriptions import read_description
from igc.store.weights import read_weights, write_model

__all__ = [
    "EpochCallback",
    "FitResult",
    "NetworkPlan",
    "checkpoints",
    "fit_network",
    "make_trainer",
    "one_cycle",
    "read_checkpoint",
    "silence",
    "split_rows",
]

_READOUT = (ReadoutModel, FlatLinear)

EpochCallback = Callable[[int, float], None]
"""Called after each epoch with its number and validation loss."""


@dataclass(frozen=True)
class NetworkPlan:
    """What to train and how.

    Attributes
    ----------
    architecture, arguments
        As for :func:`igc.models.registry.build_architecture`.
    input_shape : tuple of int
        Shape of one input.
    n_targets : int
        Number of outputs.
    categories : bool
        Responses are one-hot: cross-entropy instead of mean squared error.
    training : Training
        Settings of the loop.
    seed : int
        Seed of initial weights, batches, dropout and validation groups.
    weights : Path, optional
        A file whose tensors the layers of the same names start from; see :func:`igc.models.pretrained.start_from`.
    frozen : bool
        These layers stay as they are in the file.
    """

    architecture: str
    arguments: dict[str, Any]
    input_shape: tuple[int, ...]
    n_targets: int
    categories: bool
    training: Training
    seed: int
    weights: Path | None = None
    frozen: bool = False


@dataclass(frozen=True)
class FitResult:
    """A trained module in evaluation mode and the rows of its learning curve.

    Attributes
    ----------
    module : torch.nn.Module
        With the weights of the epoch of the smallest validation loss.
    history : list of dict
        ``epoch``, ``train_loss``, ``validation_loss`` and ``metric`` (accuracy for categories, else the mean over
        targets of R²) on the validation samples.
    """

    module: nn.Module
    history: list[dict[str, float]]


def split_rows(rows: Rows, groups: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """Divide training rows into those that fit and those that decide when to stop, by whole groups.

    Parameters
    ----------
    rows : array of int (row,)
        Training samples.
    groups : array of int (sample,)
        Group of every sample of the study.
    share : float
        Share wanted for validation.
    seed : int
        Seed of the model.

    Returns
    -------
    fitting, validation : array of int
        Disjoint, increasing.
    """
    held = validation_split(groups[rows], share, seed)
    return rows[~held], rows[held]


def one_cycle(module: nn.Module, training: Training, n_batches: int) -> dict[str, Any]:
    """Return AdamW with a learning rate that rises and falls once, in the form Lightning takes them."""
    optimizer = torch.optim.AdamW(module.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
    steps = max(8, training.epochs * n_batches + 1)  # torch makes no cycle of fewer than eight
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, training.learning_rate, steps, pct_start=0.25)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class _Loop(L.LightningModule):  # type: ignore[misc]
    """The module in training, with losses, optimiser and learning curve."""

    def __init__(self, module: nn.Module, plan: NetworkPlan, fit: Batches, check: Batches, fold: int) -> None:
        super().__init__()
        self.module = module
        self.plan, self.fold = plan, fold
        self.fit_batches, self.check_batches = fit, check
        self.history: list[dict[str, float]] = []
        self.register_buffer("shift", torch.zeros(plan.n_targets))
        self.register_buffer("spread", torch.ones(plan.n_targets))
        self._sums: dict[str, Tensor] = {}
        self.frozen = [] if plan.weights is None else start_from(module, plan.weights, plan.frozen)

    def train_dataloader(self) -> Batches:
        return self.fit_batches

    def val_dataloader(self) -> Batches:
        return self.check_batches

    def configure_optimizers(self) -> dict[str, Any]:
        return one_cycle(self.module, self.plan.training, len(self.fit_batches))

    def loss(self, outputs: Tensor, responses: Tensor, smoothing: float) -> Tensor:
        if self.plan.categories:
            return functional.cross_entropy(outputs, responses, label_smoothing=smoothing)
        standard = responses.sub(self.shift).div(self.spread)
        if not isinstance(self.module, _READOUT):
            outputs = outputs.sub(self.shift).div(self.spread)
        return functional.mse_loss(outputs, standard)

    def _add(self, name: str, value: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros((), dtype=torch.float64)) + value.detach().double().cpu()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        inputs, responses = batch
        if self.plan.training.input_noise:
            scale = getattr(getattr(self.module, "standardize", None), "scale", 1.0)
            inputs = inputs + self.plan.training.input_noise * scale * torch.randn_like(inputs)
        loss = self.loss(self.module(inputs), responses, self.plan.training.label_smoothing)
        self._add("train", loss * len(inputs))
        self._add("train_count", torch.tensor(len(inputs)))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        inputs, responses = batch
        outputs = self.module(inputs).float()
        self._add("check", self.loss(outputs, responses, 0.0) * len(inputs))
        self._add("check_count", torch.tensor(len(inputs)))
        if self.plan.categories:
            self._add("right", (outputs.argmax(1) == responses.argmax(1)).sum())

    def on_train_epoch_start(self) -> None:
        self._sums = {}
        for layer in self.frozen:
            layer.eval()
        self.fit_batches.epoch = self.current_epoch
        torch.manual_seed(integer_seed(self.plan.seed, "epoch", self.fold, self.current_epoch))

    def on_validation_epoch_end(self) -> None:
        loss = float(self._sums["check"] / self._sums["check_count"])
        if not math.isfinite(loss):
            remedy = "lower training.learning_rate"
            raise ModelError(explain("training", f"a validation loss of {loss}", "a finite loss", remedy))
        self.log("validation_loss", loss, prog_bar=False, logger=False)

    def on_train_epoch_end(self) -> None:
        sums = {name: float(value) for name, value in self._sums.items()}
        loss = sums["check"] / sums["check_count"]
        # the loss of values is in units of their training variance, so its complement is a validation R²
        metric = sums["right"] / sums["check_count"] if self.plan.categories else 1.0 - loss
        row = {"epoch": float(self.current_epoch), "train_loss": sums["train"] / sums["train_count"]}
        self.history.append({**row, "validation_loss": loss, "metric": metric})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["igc_history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history = list(checkpoint["igc_history"])


class _Stop(EarlyStopping):  # type: ignore[misc]
    """Early stopping that also stops a run resumed after its last epoch, and reports each epoch."""

    def __init__(self, patience: int, report: EpochCallback | None) -> None:
        super().__init__("validation_loss", patience=patience, mode="min", verbose=False)
        self._report = report

    def on_train_start(self, trainer: Any, module: Any) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """Leave the decision to the end of the training epoch, where the checkpoint is written."""

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        self._run_early_stopping_check(trainer)
        if self._report is not None:
            self._report(trainer.current_epoch, float(trainer.callback_metrics["validation_loss"]))


@contextmanager
def silence() -> Iterator[None]:
    """Keep Lightning's announcements and advice from the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=r".*lr_scheduler\.step\(\).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _prepared_loop(plan: NetworkPlan, source: SampleSource, fit: Rows, check: Rows, fold: int) -> _Loop:
    """Build the module from the seed, with statistics of the samples that are fitted."""
    torch.manual_seed(integer_seed(plan.seed, "weights", fold))
    module = build_architecture(plan.architecture, plan.input_shape, plan.n_targets, plan.arguments)
    size = plan.training.batch_size
    batches = Batches(source, fit, size, integer_seed(plan.seed, "order", fold))
    loop = _Loop(module, plan, batches, Batches(source, check, max(size, 256)), fold)
    by_channel = len(plan.input_shape) > 1
    mean, scale, shift, spread = feature_statistics(Batches(source, fit, 1024), by_channel)
    for layer in module.modules():
        if isinstance(layer, Standardize):
            layer.set_statistics(mean, scale)
    loop.shift.copy_(shift)
    loop.spread.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))
    return loop


def make_trainer(training: Training, folder: Path, device: str, report: EpochCallback | None) -> Any:
    """Return a Lightning trainer that stops early and keeps the best and the last weights in a folder.

    Parameters
    ----------
    training : Training
        Settings of the loop.
    folder : Path
        For ``best.ckpt`` and ``last.ckpt``.
    device : str
        As for :func:`accelerator_of`.
    report : callable, optional
        Called after each epoch.

    Returns
    -------
    lightning.pytorch.Trainer
    """
    accelerator = accelerator_of(device)
    checkpoint = {"monitor": "validation_loss", "mode": "min", "save_last": True, "save_on_train_epoch_end": True}
    return L.Trainer(
        accelerator="cpu" if accelerator == "cpu" else "gpu",
        devices=1 if ":" not in accelerator else [int(accelerator.split(":")[1])],
        precision="32-true" if accelerator == "cpu" else "bf16-mixed",
        max_epochs=training.epochs,
        callbacks=[
            _Stop(training.patience, report),
            ModelCheckpoint(str(folder), "best", enable_version_counter=False, **checkpoint),
        ],
        gradient_clip_val=1.0,
        default_root_dir=str(folder),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        benchmark=False,
        deterministic="warn" if accelerator != "cpu" else None,
    )


def _fold_readout(loop: _Loop) -> None:
    """Move the scale of the responses, in which the loop trained, into the linear readout."""
    if loop.plan.categories or not isinstance(loop.module, _READOUT):
        return
    with torch.no_grad():
        readout = loop.module.readout
        if isinstance(readout, FactorisedReadout):
            readout.rescale(loop.spread, loop.shift)
            return
        readout.weight.mul_(loop.spread[:, None])
        readout.bias.mul_(loop.spread).add_(loop.shift)


def fit_network(
    plan: NetworkPlan,
    source: SampleSource,
    groups: Rows,
    rows: Rows,
    fold: int = 0,
    device: str = "auto",
    scratch: Path | None = None,
    report: EpochCallback | None = None,
) -> FitResult:
    """Train a network on some samples.

    Parameters
    ----------
    plan : NetworkPlan
        What to train and how.
    source : SampleSource
        Where samples are read.
    groups : array of int (sample,)
        Group of every sample; validation groups share no sample with those that are fitted.
    rows : array of int (row,)
        Training samples, increasing; a part of them is used for early stopping.
    fold : int
        Outer fold, which gives it its own random numbers.
    device : str
        "auto", "cpu" or "cuda".
    scratch : Path, optional
        Folder of this fold's checkpoints; a run that was interrupted is continued from there. Default: none are kept.
    report : callable, optional
        Called after each epoch with its number and validation loss.

    Returns
    -------
    FitResult

    Raises
    ------
    ModelError
        If the settings do not fit, or the loss is not finite.
    DataError
        If there is one training group only.
    """
    fit, check = split_rows(rows, groups, plan.training.validation, integer_seed(plan.seed, "validation", fold))
    with torch.random.fork_rng(), silence(), checkpoints(scratch) as folder:
        loop = _prepared_loop(plan, source, fit, check, fold)
        done = folder / "done"
        if (done / "model.json").is_file():
            loop.load_state_dict(read_weights(done, fold))
            return FitResult(_frozen(loop.module), read_description(done)["history"])
        last = folder / "last.ckpt"
        if last.is_file():
            read_checkpoint(last)
        trainer = make_trainer(plan.training, folder, device, report)
        # without unpickling of arbitrary objects, which could run code
        trainer.fit(loop, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
        loop.cpu().load_state_dict(read_checkpoint(folder / "best.ckpt")["state_dict"])
        _fold_readout(loop)
        if scratch is not None:
            weights = {f"fold{fold}.{name}": value for name, value in loop.state_dict().items()}
            write_model(done, weights, {"history": loop.history})
        return FitResult(_frozen(loop.module), loop.history)


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors and plain values alone.

    Raises
    ------
    ModelError
        If it cannot be read.
    """
    try:
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # what torch raises for a file that is no archive of tensors has no common base
        reason = str(error).splitlines()[0]
        message = explain(file, f"an unreadable checkpoint ({reason})", "tensors", "delete its folder and run again")
        raise ModelError(message) from error


@contextmanager
def checkpoints(scratch: Path | None) -> Iterator[Path]:
    """Make the folder of checkpoints; without a name one that is removed afterwards."""
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
        yield scratch
        return
    folder = Path(tempfile.mkdtemp(prefix="igc-training-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _frozen(module: nn.Module) -> nn.Module:
    return module.eval().requires_grad_(False)
