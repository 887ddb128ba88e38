"""Enter maps that were made elsewhere as one more method, so that they are judged like all others."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.config import MethodSettings
from igc.errors import ConfigError, MethodError, explain
from igc.roi.sets import RoiSet, open_rois, region_sums
from igc.steps.attribute import attribute_files
from igc.store.maps import read_maps
from igc.store.outputs import check_store
from igc.store.results import open_result, save_result
from igc.store.samples import open_samples

__all__ = ["GIVEN", "attribute_given"]

GIVEN = "given"
"""Name of the method that reads its maps from a file."""
CLOSED = 1e-6
"""Largest difference of the sum of a map and the score, for a map that is taken to sum to it."""

Array = npt.NDArray[np.float64]


def attribute_given(
    samples: Path,
    model: Path,
    settings: MethodSettings,
    rois: Path | None,
    output: Path,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> None:
    """Write the result of maps made elsewhere: the score is that of the model, the maps are those of the file.

    Parameters
    ----------
    samples, model : Path
        The samples store and the folder of the model that the maps explain.
    settings : MethodSettings
        With ``file``; its option ``signed`` says whether signs mean something (default: whether any value is negative).
    rois : Path, optional
        ROI sets to sum over.
    output : Path
        The result store to write. It promises a sum (``complete``) if every map sums to its target's score.
    seed, device, progress
        As for :func:`igc.steps.attribute.attribute_files`.

    Raises
    ------
    ConfigError, MethodError
        If no file is named, or an option is unknown.
    DataError, ShapeError, MissingFileError, StoreError
        If the maps cannot be read or do not fit the samples. Nothing is written then.
    """
    check_store(output, samples, model, rois)
    if settings.file is None:
        raise ConfigError(explain("method given", "no file", "the maps as .npy, .zarr or NIfTI", "name the file"))
    unknown = sorted(set(settings.options) - {"signed"})
    if unknown:
        raise MethodError(explain("options of given", unknown[0], "signed", "remove or correct it"))
    dataset = open_samples(samples)
    maps = read_maps(settings.file, dataset)
    signed = bool(settings.options.get("signed", (maps < 0).any()))
    sets: Mapping[str, RoiSet] = open_rois(rois) if rois is not None else {}
    with tempfile.TemporaryDirectory() as folder:
        scored = Path(folder) / "scored.zarr"
        # the cheapest method finds the scores, and labels the regions
        cheap = {"method": "naive_correlation", "file": None, "options": {"permutations": 0}, "examples": 0}
        cheapest = settings.model_copy(update={**cheap, "samples": None, "summary": None})
        attribute_files(samples, model, cheapest, rois, scored, seed, device, workers=1, progress=progress)
        base = open_result(scored).load()
    result = _replaced(base, maps, sets)
    score = base["score"].values
    complete = bool(np.all(np.abs(maps.reshape(len(maps), -1).sum(axis=1) - score) <= CLOSED))
    result.attrs |= {
        "method": GIVEN,
        "settings": settings.model_dump(mode="json"),
        "signed": signed,
        "complete": complete,
        "closes_to": "score" if complete else "",
        "needs": "a file",
        "source": Path(settings.file).name,
        "baselines": None,
        "maps_digest": hashlib.sha256(np.ascontiguousarray(maps).tobytes()).hexdigest(),
    }
    save_result(result, output)


def _replaced(base: xr.Dataset, maps: Array, sets: Mapping[str, RoiSet]) -> xr.Dataset:
    """Return a result with other maps, of which no error is known."""
    kept = [name for name in ("score", "score_fold", "n_fold", "score_standard_error") if name in base]
    result = base[kept].assign_coords({name: base[name] for name in base.coords})
    dims = base["attribution"].dims
    unknown = np.full(maps.shape, np.nan)
    variables: dict[str, Any] = {"attribution": (dims, maps)}
    variables |= dict.fromkeys(("standard_error", "estimator_error"), (dims, unknown))
    if sets:
        sums = np.concatenate([region_sums(one, maps) for one in sets.values()], axis=1)
        variables["roi_attribution"] = (("target", "roi"), sums)
        for name in ("roi_standard_error", "roi_estimator_error"):
            variables[name] = (("target", "roi"), np.full(sums.shape, np.nan))
    left = {name: value for name, value in base.attrs.items() if name in _KEPT}
    whole: xr.Dataset = result.assign(variables)
    whole.attrs = left
    return whole


_KEPT = (
    *(
        "samples_digest",
        "model_digest",
        "groups_digest",
        "study",
        "target_type",
        "model",
        "model_kind",
        "output",
        "seed",
    ),
    "igc_version",
)
