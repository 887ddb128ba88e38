"""Train a model of every outer fold, score it on the samples that it has not seen, and write its files.

Each kind of model imports what fits it: Lightning and scikit-learn take longer to import than most linear fits.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from torch import nn

from igc.config import AnalyticModel, LinearModel, ModelSettings, NetworkModel
from igc.errors import DataError, ModelError, explain
from igc.models.batches import Rows, SampleSource
from igc.models.devices import accelerator_of
from igc.models.files import save_model
from igc.models.pretrained import file_digest, start_from
from igc.models.registry import build_architecture
from igc.models.scoring import Ceilings, held_out, score_table
from igc.roi.sets import RoiSet, open_rois
from igc.seeding import integer_seed
from igc.steps.progress import Reporter
from igc.store.arrays import store_digest
from igc.store.atomic import write_table
from igc.store.ceilings import ceiling_of, floor_of, has_ceiling
from igc.store.outputs import check_folder
from igc.store.samples import open_samples

if TYPE_CHECKING:
    from igc.models.partition import FoldPartition

__all__ = ["train"]


@dataclass(frozen=True)
class _Study:
    """The samples of a study, ready to be fitted."""

    samples: xr.Dataset
    source: SampleSource
    folds: Rows
    groups: Rows
    digest: str

    @classmethod
    def open(cls, path: Path) -> _Study:
        samples = open_samples(path)
        missing = [name for name in ("folds", "target_type") if name not in samples.attrs]
        if missing:
            seen, remedy = f"no {', '.join(missing)}", "make the samples again with `igc preprocess`"
            raise DataError(explain(path, seen, "a samples store with its attributes", remedy))
        folds, groups = (samples[name].values.astype(np.int64) for name in ("fold", "group"))
        held = np.unique(folds[folds >= 0])
        if len(held) != int(samples.attrs["folds"]) or not np.array_equal(held, np.arange(len(held))):
            seen = f"held-out folds {held.tolist()[:10]}"
            allowed = f"every fold from 0 to {int(samples.attrs['folds']) - 1}"
            raise DataError(explain(path, seen, allowed, "make the samples again with `igc preprocess`"))
        return cls(samples, SampleSource(samples), folds, groups, store_digest(path))

    @property
    def n_folds(self) -> int:
        return int(self.samples.attrs["folds"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.samples["inputs"].shape[1:])

    @property
    def n_targets(self) -> int:
        return int(self.samples["responses"].shape[1])

    @property
    def categories(self) -> bool:
        return bool(self.samples.attrs["target_type"] == "categories")

    def ceilings(self) -> Ceilings | None:
        """Return the noise ceilings of the targets, where they are measured responses."""
        if not has_ceiling(self.samples):
            return None
        by_fold = np.stack([ceiling_of(self.samples, fold) for fold in range(self.n_folds)])
        return Ceilings(by_fold, ceiling_of(self.samples), floor_of(self.samples))

    def training_rows(self, fold: int) -> Rows:
        rows = np.flatnonzero(self.folds != fold).astype(np.int64)
        if not len(rows):
            remedy = "set data.train_samples, or split.folds to 2 or more"
            raise DataError(explain("samples", "no training sample", "two or more groups", remedy))
        return rows


@dataclass(frozen=True)
class _Fitted:
    """What one kind of model brings home from one fold."""

    module: nn.Module
    what_happened: dict[str, Any]
    history: list[dict[str, float]]
    partition: FoldPartition | None = None


@dataclass(frozen=True)
class _Bands:
    """The regions of an ROI set that have components: ``codes`` (component,) from 0, and index and name of each."""

    name: str
    codes: Rows
    regions: list[tuple[int, str]]

    @classmethod
    def of(cls, roi_set: RoiSet) -> _Bands:
        counts = roi_set.counts()
        filled = np.flatnonzero(counts)
        codes = np.searchsorted(filled, roi_set.rows())
        indices = [roi_set.indices[i] for i in filled]
        return cls(roi_set.name, codes, [(index, roi_set.region(index).name) for index in indices])


def _train_network(
    study: _Study, settings: NetworkModel, seed: int, fold: int, device: str, scratch: Path | None, report: Any
) -> _Fitted:
    from igc.models.training import NetworkPlan, fit_network

    plan = NetworkPlan(
        settings.architecture,
        settings.arguments,
        study.input_shape,
        study.n_targets,
        study.categories,
        settings.training,
        seed,
        None if settings.weights is None else Path(settings.weights),
        settings.frozen,
    )
    place = None if scratch is None else scratch / _key(study, settings, seed, device) / f"fold{fold}"
    result = fit_network(plan, study.source, study.groups, study.training_rows(fold), fold, device, place, report)
    best = min(result.history, key=lambda row: row["validation_loss"])
    return _Fitted(result.module, {"epochs": len(result.history), "best": best}, result.history)


def _key(study: _Study, settings: ModelSettings, seed: int, device: str) -> str:
    """Name checkpoints after all that they depend on, so that none is continued with other settings."""
    file = settings.weights if isinstance(settings, NetworkModel) else None
    start = "" if file is None else file_digest(file)
    text = f"{study.digest} {settings.model_dump_json()} {seed} {accelerator_of(device)} {start}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _analytic_name(study: _Study) -> str:
    source = study.samples.attrs.get("source")
    experiment = source.get("experiment") if isinstance(source, dict) else None
    if not experiment:
        seen = f"samples of {study.samples.attrs.get('study', 'an unknown study')!r}"
        allowed = "samples of a simulated experiment"
        raise ModelError(explain("model kind analytic", seen, allowed, "use kind network or linear"))
    return str(experiment)


def _bands_of(settings: ModelSettings, rois: Path | None, study: _Study) -> _Bands | None:
    """Return the bands of a banded fit, or refuse what does not fit together."""
    if not isinstance(settings, LinearModel):
        return None
    if (settings.fit == "banded") != (settings.bands is not None):
        seen = f"fit: {settings.fit} with bands: {settings.bands}"
        raise ModelError(explain("model", seen, "bands for fit: banded only", "name an ROI set, or leave bands out"))
    if settings.bands is None:
        return None
    sets = {} if rois is None else open_rois(rois)
    if settings.bands not in sets:
        allowed = ", ".join(sets) or "none"
        raise ModelError(explain("bands", repr(settings.bands), f"an ROI set ({allowed})", "give the store as --rois"))
    found = sets[settings.bands]
    if found.labels.shape != study.input_shape:
        seen = f"labels of shape {found.labels.shape}"
        raise ModelError(explain(f"bands: {settings.bands}", seen, study.input_shape, "make the ROI sets again"))
    return _Bands.of(found)


def _architecture(study: _Study, settings: ModelSettings) -> tuple[str, dict[str, Any]]:
    if isinstance(settings, NetworkModel):
        return settings.architecture, settings.arguments
    return ("linear" if isinstance(settings, LinearModel) else _analytic_name(study)), {}


def _partition(
    study: _Study, settings: LinearModel, seed: int, fold: int, bands: _Bands, penalties: Any
) -> FoldPartition:
    """Score the regions of a banded fit on the samples that it has not seen."""
    from igc.models.linear import alpha_grid, inner_folds
    from igc.models.partition import partition_fold

    def read(rows: Rows) -> tuple[Any, Any]:
        inputs, responses = study.source.read(rows)
        return inputs.flatten(1).double().numpy(), responses.double().numpy()

    rows, held = study.training_rows(fold), np.flatnonzero(study.folds == fold)
    inner = inner_folds(study.groups[rows], settings.inner_folds, seed)
    strengths, grid = np.asarray(penalties), alpha_grid(settings)
    return partition_fold(read(rows), read(held), study.groups[held], bands.codes, strengths, inner, grid)


def _fit_fold(
    study: _Study,
    settings: ModelSettings,
    seed: int,
    fold: int,
    device: str,
    scratch: Path | None,
    report: Any,
    bands: _Bands | None,
) -> _Fitted:
    if isinstance(settings, NetworkModel):
        return _train_network(study, settings, seed, fold, device, scratch, report)
    if isinstance(settings, AnalyticModel):
        module = build_architecture(_analytic_name(study), study.input_shape, study.n_targets)
        return _Fitted(module.eval().requires_grad_(False), {}, [])
    from igc.models.linear import fit_linear

    rows = study.training_rows(fold)
    inner_seed = integer_seed(seed, "linear", fold)
    codes = None if bands is None else bands.codes
    module, chosen = fit_linear(settings, study.source, study.groups, rows, study.categories, inner_seed, codes)
    parts = None if bands is None else _partition(study, settings, inner_seed, fold, bands, chosen["penalties"])
    return _Fitted(module, chosen, [], parts)


def _history_table(fitted: list[_Fitted]) -> pd.DataFrame:
    rows = [{"fold": fold, **row} for fold, result in enumerate(fitted) for row in result.history]
    table = pd.DataFrame(rows, columns=["fold", "epoch", "train_loss", "validation_loss", "metric"])
    return table.astype({"epoch": int})


def train(
    samples: Path,
    model: ModelSettings,
    seed: int,
    output: Path,
    device: str = "auto",
    scratch: Path | None = None,
    progress: bool = True,
    rois: Path | None = None,
) -> None:
    """Fit a model on each outer fold's training samples and score it on the held-out ones.

    Parameters
    ----------
    samples : Path
        The samples store.
    model : NetworkModel, LinearModel or AnalyticModel
        What to fit.
    seed : int
        Seed of the model.
    output : Path
        Folder for ``model.safetensors``, ``model.json``, ``scores.tsv``, for networks ``history.tsv`` and for banded
        ridge ``partition.tsv``.
    device : str
        "auto" (a GPU if there is one), "cpu" or "cuda".
    scratch : Path, optional
        Folder of checkpoints; an interrupted training is continued from there.
    progress : bool
        Whether to show progress.
    rois : Path, optional
        The ROI store, for banded ridge.

    Raises
    ------
    DataError, ModelError
        If the samples or the settings cannot be used; nothing is written then.
    """
    check_folder(Path(output))
    study = _Study.open(Path(samples))
    architecture, arguments = _architecture(study, model)
    bands = _bands_of(model, rois, study)
    accelerator_of(device)
    module = build_architecture(architecture, study.input_shape, study.n_targets, arguments)
    if isinstance(model, NetworkModel) and model.weights is not None:
        start_from(module, model.weights)
    fitted: list[_Fitted] = []
    happened: list[dict[str, Any]] = []
    with Reporter(progress, Path(output).name) as reporter:
        for fold in range(study.n_folds):
            started = time.perf_counter()
            total = model.training.epochs if isinstance(model, NetworkModel) else 1
            with reporter.task(f"fold {fold}", total) as advance:
                fitted.append(_fit_fold(study, model, seed, fold, device, scratch, _epochs(advance), bands))
            seconds = round(time.perf_counter() - started, 3)
            happened.append({"seconds": seconds, **fitted[-1].what_happened})
    modules = [result.module for result in fitted]
    result = held_out(modules, study.source, study.folds, study.categories)
    names = [str(name) for name in study.samples.attrs["target_names"]]
    if isinstance(model, NetworkModel):
        write_table(Path(output) / "history.tsv", _history_table(fitted))
    if bands is not None:
        from igc.models.partition import partition_table

        parts = [fold.partition for fold in fitted if fold.partition is not None]
        write_table(Path(output) / "partition.tsv", partition_table(parts, bands.name, bands.regions, names))
    write_table(Path(output) / "scores.tsv", score_table(result, names, study.categories, study.ceilings()))
    description = {
        "architecture": architecture,
        "arguments": arguments,
        "input_shape": list(study.input_shape),
        "n_targets": study.n_targets,
        "target_names": names,
        "target_type": study.samples.attrs["target_type"],
        "folds": study.n_folds,
        "seed": seed,
        "kind": model.kind,
        "samples": study.digest,
        "residual_variance": result.residual_variance.tolist(),
        "training": happened,
        "settings": model.model_dump(),
    }
    # last, because model.json marks the model as complete
    save_model(output, modules, description)


def _epochs(advance: Callable[[int], None]) -> Callable[[int, float], None]:
    return lambda epoch, loss: advance(1)
