"""What the yardsticks read: a study, one of its models, and the results that are judged, opened and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from igc.comparison.judged import Array, Judged, Rows, unit_maps
from igc.comparison.recovery import support_of
from igc.config import Yardsticks
from igc.errors import ConfigError, DataError, ShapeError, explain
from igc.steps.examples import Examples
from igc.steps.matching import check_match
from igc.steps.solving import StoredModel, choose_device
from igc.store.arrays import read_values, store_digest, store_path
from igc.store.descriptions import read_description
from igc.store.results import open_result
from igc.store.samples import open_samples

__all__ = ["JudgedModel", "JudgedStudy", "open_study", "planted_parts"]

BATCH = 512


@dataclass(frozen=True)
class JudgedModel:
    """A stored model that predicts each sample with the weights of the fold that held it out.

    Attributes
    ----------
    path : Path
        Its folder.
    folds : int
    device : torch.device
    """

    path: Path
    folds: int
    device: torch.device

    def module(self, fold: int) -> torch.nn.Module:
        """Return the module of a fold, frozen."""
        return StoredModel(str(self.path), fold, str(self.device)).module

    def predict(self, inputs: Array, folds: Rows) -> Array:
        """Return raw outputs (sample, target) in float64."""
        outputs: Array | None = None
        for fold in np.unique(folds):
            module, here = self.module(int(fold)), np.flatnonzero(folds == fold)
            dtype = next((p.dtype for p in module.parameters()), torch.float32)
            for first in range(0, len(here), BATCH):
                rows = here[first : first + BATCH]
                with torch.no_grad():
                    batch = torch.as_tensor(np.ascontiguousarray(inputs[rows])).to(self.device, dtype)
                    found = module(batch).double().cpu().numpy()
                if outputs is None:
                    outputs = np.empty((len(inputs), found.shape[1]))
                outputs[rows] = found
        if outputs is None:
            raise DataError(explain("samples", "none", "at least one", "judge more samples"))
        return outputs


@dataclass(frozen=True)
class JudgedStudy:
    """Samples, model and results, opened.

    Attributes
    ----------
    samples : xarray.Dataset
    model : JudgedModel
    results : mapping of str to xarray.Dataset
        By method.
    settings : Yardsticks
    seed : int
        Of all draws.
    """

    samples: xr.Dataset
    model: JudgedModel
    results: Mapping[str, xr.Dataset]
    settings: Yardsticks
    seed: int

    @property
    def categories(self) -> bool:
        """Whether a classifier is explained."""
        return bool(self.samples.attrs.get("target_type") == "categories")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.samples["inputs"].shape[1:])

    @cached_property
    def fold(self) -> Rows:
        """Fold of every sample; negative: training samples only."""
        return np.asarray(self.samples["fold"].values, dtype=np.int64)

    def inputs(self, rows: Rows) -> Array:
        """Return the inputs of some samples, (row, component...)."""
        return np.asarray(read_values(self.samples["inputs"], rows))

    def responses(self, rows: Rows) -> Array:
        """Return the responses of some samples, (row, target)."""
        return np.asarray(read_values(self.samples["responses"], rows), dtype=np.float64)

    def judged(self, rows: Rows, targets: Rows, spread: Array | None = None) -> Judged:
        """Return some samples to judge maps of the given targets on, each with the model that did not see it."""
        folds = self.fold[rows]

        def predict(inputs: Array, origin: Rows) -> Array:
            return self.model.predict(inputs, folds[origin])

        return Judged(self.inputs(rows), targets, predict, self.categories, rows, spread)

    @cached_property
    def examples(self) -> Examples:
        """Samples on which maps are judged; a costly method may have explained only some of them."""
        chosen = Examples.of(self.samples, self.settings.samples)
        for name, result in self.results.items():
            if "example_attribution" in result and not np.isin(chosen.rows, result["example_row"].values).any():
                seen, remedy = f"no map of the samples to be judged in {name}", "attribute again with examples"
                raise DataError(explain("yardsticks", seen, "maps of single samples", remedy))
        return chosen

    @cached_property
    def dataset_maps(self) -> dict[str, Array]:
        """Maps of the dataset, (target, unit)."""
        return {name: unit_maps(read_values(r["attribution"]), self.shape) for name, r in self.results.items()}

    def sample_maps(self) -> tuple[dict[str, Array], dict[str, str]]:
        """Return the map of each judged sample, (sample, unit), NaN where there is none; and whether it is its own."""
        maps, kinds = {}, {}
        for name, result in self.results.items():
            if "example_attribution" in result:
                known = {int(row): i for i, row in enumerate(result["example_row"].values)}
                stored, n = unit_maps(read_values(result["example_attribution"]), self.shape), len(self.examples.rows)
                maps[name], kinds[name] = np.full((n, stored.shape[1]), np.nan), "sample"
                for i, row in enumerate(self.examples.rows):
                    if int(row) in known:
                        maps[name][i] = np.nan_to_num(stored[known[int(row)]])
            else:
                maps[name], kinds[name] = np.nan_to_num(self.dataset_maps[name][self.examples.targets]), "dataset"
        return maps, kinds

    def spread_rows(self, rows: Rows, count: int) -> Rows:
        """Choose so many rows, evenly spread."""
        chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)
        return rows[chosen]


def open_study(
    samples: Path, model: Path, attributions: Sequence[Path], settings: Yardsticks, seed: int, device: str
) -> JudgedStudy:
    """Open what is judged, and check that it belongs together.

    Parameters
    ----------
    samples, model : Path
        The samples store and the folder of the model.
    attributions : sequence of Path
        Results, ``<model>/<method>.zarr``; those of other models are left out.
    settings : Yardsticks
    seed : int
        Of all draws.
    device : str
        As in :func:`igc.attribute`.

    Returns
    -------
    JudgedStudy

    Raises
    ------
    ConfigError, DataError, ShapeError, StoreError
        If inputs do not belong together.
    """
    dataset, description = open_samples(samples), read_description(model)
    check_match(model, samples, dataset, store_digest(samples), "raw")
    results = {}
    for path in attributions:
        folder = store_path(path).absolute()
        if folder.parent.name != model.absolute().name:
            continue
        result = open_result(path)
        if "attribution" not in result or result["attribution"].shape[1:] != dataset["inputs"].shape[1:]:
            seen = "maps of another shape"
            raise ShapeError(explain(path, seen, dataset["inputs"].shape[1:], "judge results of one study"))
        results[folder.stem] = result
    if not results:
        seen = f"none of {model.absolute().name}"
        raise ConfigError(explain("attributions", seen, "at least one result", "name the results to judge"))
    if "random" in results:
        raise ConfigError(explain("attributions", "a result named random", "another name", "rename the method"))
    stored = JudgedModel(model, int(description["folds"]), choose_device(device))
    return JudgedStudy(dataset, stored, results, settings, seed)


def planted_parts(study: JudgedStudy, maps: Mapping[str, Array]) -> tuple[dict[str, Array], npt.NDArray[np.bool_]]:
    """Return maps and masks of the samples whose target has a planted truth.

    Parameters
    ----------
    study : JudgedStudy
        With a planted truth.
    maps : mapping of str to array (sample, unit)
        Of the judged samples, by method.

    Returns
    -------
    maps : dict of str to array (sample, unit)
        Of the samples whose target has a truth.
    inside : array of bool (sample, unit)
        Where it was planted.
    """
    truth = study.samples["truth"]
    known = [str(name) for name in truth["target"].values] if "target" in truth.coords else []
    names = [str(name) for name in study.samples["target"].values]
    place = {k: known.index(name) if known else k for k, name in enumerate(names) if not known or name in known}
    values = read_values(truth)
    masks = {k: unit_maps(support_of(values[i])[None].astype(np.float64), study.shape)[0] > 0 for k, i in place.items()}
    shown = np.flatnonzero(np.isin(study.examples.targets, list(masks)))
    inside = np.stack([masks[int(k)] for k in study.examples.targets[shown]])
    return {name: one[shown] for name, one in maps.items()}, inside
