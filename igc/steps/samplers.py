"""Fit a sampler for every outer fold on the samples that are not held out, and measure it on those that are."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import xarray as xr

from igc.attribution.information.blocks import Blocks, patch_blocks, single_blocks
from igc.attribution.information.files import save_sampler
from igc.attribution.information.patches import PatchFiller
from igc.attribution.information.plain import ResamplingSampler
from igc.attribution.information.protocol import BlockSampler
from igc.attribution.information.quality import Quality, measure_quality, show_fills
from igc.attribution.information.samplers import BANK, fit_plain
from igc.config import SamplerSettings
from igc.errors import DataError, explain
from igc.models.batches import SampleSource
from igc.models.devices import accelerator_of
from igc.report.samplers import sampler_figure
from igc.report.style import save_figure
from igc.steps.progress import Reporter
from igc.store.arrays import save_dataset, store_digest
from igc.store.atomic import write_table
from igc.store.outputs import check_folder
from igc.store.samples import open_samples

__all__ = ["fit_sampler"]

HELD_OUT = 256
"""Held-out samples of a fold on which a sampler is measured."""
EXAMPLES = 6

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Study:
    """The samples of a study."""

    samples: xr.Dataset
    source: SampleSource
    folds: Rows
    groups: Rows
    digest: str

    @classmethod
    def open(cls, path: Path) -> _Study:
        samples = open_samples(path)
        folds, groups = (samples[name].values.astype(np.int64) for name in ("fold", "group"))
        return cls(samples, SampleSource(samples), folds, groups, store_digest(path))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.samples["inputs"].shape[1:])

    def training_rows(self, fold: int, count: int | None) -> Rows:
        """Return training samples, evenly spread where there are to be fewer."""
        rows = np.flatnonzero(self.folds != fold).astype(np.int64)
        if len(rows) < 2:
            remedy = "set data.train_samples, or split.folds to 2 or more"
            raise DataError(explain("samples", f"{len(rows)} training samples", "at least 2", remedy))
        return _some(rows, count)

    def flat(self, rows: Rows) -> npt.NDArray[Any]:
        return self.source.read(rows)[0].numpy().reshape(len(rows), -1)


def _some(rows: Rows, count: int | None) -> Rows:
    if count is None or count >= len(rows):
        return rows
    return rows[np.unique(np.linspace(0, len(rows) - 1, count).round().astype(np.int64))]


def _blocks(shape: tuple[int, ...], settings: SamplerSettings) -> Blocks:
    """Return the blocks a sampler is measured on: patches of images, single components of vectors."""
    if len(shape) < 2:
        return single_blocks([shape])
    return patch_blocks([shape], min(settings.patch, *shape[-2:]))


def _fit(
    study: _Study, settings: SamplerSettings, seed: int, fold: int, device: str, scratch: Path | None, report: Any
) -> tuple[BlockSampler, list[dict[str, float]]]:
    if settings.kind != "patch":
        resampled = settings.kind in ("marginal", "neighbours")
        rows = study.training_rows(fold, settings.train_samples or (BANK if resampled else None))
        return fit_plain(settings.kind, study.flat(rows), settings.neighbours, groups=study.groups[rows]), []
    from igc.models.patch_training import PatchPlan, fit_patch_sampler  # slow to import: Lightning

    plan = PatchPlan(
        study.shape,
        settings.patch,
        settings.levels,
        settings.filters,
        settings.pixels == "joint",
        settings.training,
        seed,
    )
    rows = study.training_rows(fold, settings.train_samples)
    key = hashlib.sha256(f"{study.digest} {settings.model_dump_json()} {seed} {accelerator_of(device)}".encode())
    place = None if scratch is None else scratch / key.hexdigest()[:16] / f"fold{fold}"
    network, history = fit_patch_sampler(plan, study.source, study.groups, rows, fold, device, place, report)
    return PatchFiller.of(network, study.source.read(rows)[0]), history


def fit_sampler(
    samples: Path,
    settings: SamplerSettings,
    output: Path,
    seed: int = 0,
    device: str = "auto",
    scratch: Path | None = None,
    progress: bool = True,
) -> None:
    """Fit a sampler for each outer fold and measure it on the held-out samples.

    Parameters
    ----------
    samples : Path
        The samples store.
    settings : SamplerSettings
        What to fit.
    output : Path
        Folder for ``sampler.safetensors``, ``sampler.json``, ``quality.tsv``, ``sampler.png`` and, for images,
        ``examples.zarr``, for networks ``history.tsv``.
    seed : int
        Seed of training and measuring.
    device : str
        "auto" (a GPU if there is one), "cpu" or "cuda".
    scratch : Path, optional
        Folder of checkpoints; an interrupted training is continued from there.
    progress : bool
        Whether to show progress.

    Raises
    ------
    DataError, MethodError, ModelError
        If samples or settings cannot be used; nothing is written then.
    """
    check_folder(Path(output))
    study = _Study.open(Path(samples))
    accelerator_of(device)
    blocks = _blocks(study.shape, settings)
    fitted: list[BlockSampler] = []
    quality: list[dict[str, Any]] = []
    histories: list[dict[str, Any]] = []
    happened: list[dict[str, Any]] = []
    with Reporter(progress, Path(output).name) as reporter:
        for fold in range(int(study.samples.attrs["folds"])):
            started = time.perf_counter()
            total = settings.training.epochs if settings.kind == "patch" else 1
            with reporter.task(f"fold {fold}", total) as advance:
                sampler, history = _fit(study, settings, seed, fold, device, scratch, _epochs(advance))
            fitted.append(sampler)
            histories += [{"fold": fold, **row} for row in history]
            happened.append({"seconds": round(time.perf_counter() - started, 3)})
            quality.append({"fold": str(fold), **_measured(study, sampler, blocks, fold, seed).row()})
    examples = _examples(study, fitted[0], blocks, seed) if len(study.shape) >= 2 else None
    if examples is not None:
        save_dataset(examples, Path(output) / "examples.zarr")
    table = pd.DataFrame(quality)
    title = f"{study.samples.attrs.get('title') or 'study'} \N{MIDDLE DOT} sampler {Path(output).name}"
    save_figure(sampler_figure(table, settings.kind, examples, title), Path(output) / "sampler.png")
    if histories:
        write_table(Path(output) / "history.tsv", pd.DataFrame(histories).astype({"epoch": int}))
    write_table(Path(output) / "quality.tsv", table)
    description = {
        "input_shape": list(study.shape),
        "seed": seed,
        "samples": study.digest,
        "settings": settings.model_dump(),
        "fitting": happened,
    }
    # last, because sampler.json marks the sampler as complete
    save_sampler(output, fitted, description)


def _epochs(advance: Any) -> Any:
    return lambda epoch, loss: advance(1)


def _held_out(study: _Study, fold: int, count: int) -> Rows:
    return _some(np.flatnonzero(study.folds == fold).astype(np.int64), count)


def _measured(study: _Study, sampler: BlockSampler, blocks: Blocks, fold: int, seed: int) -> Quality:
    """Measure a sampler against drawing the same part of a random training sample."""
    inputs = torch.as_tensor(study.flat(_held_out(study, fold, HELD_OUT)))
    peer = ResamplingSampler.of(torch.as_tensor(study.flat(study.training_rows(fold, BANK))))
    return measure_quality(sampler, peer, blocks, inputs, seed, fold)


def _examples(study: _Study, sampler: BlockSampler, blocks: Blocks, seed: int) -> xr.Dataset:
    """Return some held-out images with one patch each filled in several times."""
    rows = _held_out(study, 0, EXAMPLES)
    inputs = torch.as_tensor(study.flat(rows))
    chosen, filled = show_fills(sampler, blocks, inputs, seed)
    dims = tuple(str(dim) for dim in study.samples["inputs"].dims[1:])
    inside = np.zeros((len(rows), inputs.shape[1]), dtype=np.int8)
    for i, block in enumerate(chosen):
        inside[i, block] = 1
    shape = (len(rows), -1, *study.shape)
    return xr.Dataset(
        {
            "original": (("example", *dims), inputs.numpy().reshape(len(rows), *study.shape)),
            "filled": (("example", "draw", *dims), filled.numpy().reshape(shape)),
            "block": (("example", *dims), inside.reshape(len(rows), *study.shape)),
        },
        attrs={"kind": sampler.kind},
    )
