"""Small results and samples that keep the contract of the stores, made up without a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from igc.roi.sets import RoiSet, indicator
from igc.store.arrays import save_dataset
from igc.store.samples import component_dims


def make_result(
    shape: Sequence[int] = (1, 6, 8),
    sets: Mapping[str, RoiSet] | None = None,
    targets: Sequence[str] = ("a", "b", "c"),
    seed: int = 0,
    maps: np.ndarray | None = None,
    **attributes: object,
) -> xr.Dataset:
    """A result whose maps sum to the score; attributes replace the defaults, None removes one."""
    rng = np.random.default_rng(seed)
    dims = component_dims(len(shape))
    n = len(targets)
    values = rng.normal(0.02, 0.05, (n, *shape)) if maps is None else np.asarray(maps, dtype=float)
    score = values.reshape(n, -1).sum(axis=1)
    result = xr.Dataset(
        {
            "attribution": (("target", *dims), values),
            "score": ("target", score),
            "n_fold": ("fold", np.array([120, 80])),
            "completeness_error": ("target", rng.normal(0, 0.001, n)),
            "completeness_standard_error": ("target", np.full(n, 0.001)),
        },
        coords={"target": ("target", np.asarray(targets, dtype=object))},
        attrs={
            "method": "igc",
            "model": "cnn-seed0",
            "study": "made_up",
            "complete": True,
            "signed": True,
            "baselines": "data",
            "seconds": 2.0,
            "evaluations": 3200,
        },
    )
    result.attrs.update(attributes)
    result.attrs = {key: value for key, value in result.attrs.items() if value is not None}
    return result if sets is None else with_rois(result, sets, rng)


def with_rois(result: xr.Dataset, sets: Mapping[str, RoiSet], rng: np.random.Generator) -> xr.Dataset:
    """The result with sums over regions, as the engine forms them, and errors of a known size."""
    matrix, table = indicator(sets)
    maps = result["attribution"].values.reshape(result.sizes["target"], -1)
    sums = maps @ matrix.T
    result = result.assign(
        roi_attribution=(("target", "roi"), sums),
        roi_standard_error=(("target", "roi"), rng.uniform(0.02, 0.1, sums.shape)),
        roi_estimator_error=(("target", "roi"), np.full(sums.shape, 0.01)),
    )
    labels = {name: ("roi", table[name].to_numpy(dtype=object)) for name in ("roi", "roi_set", "roi_name")}
    return result.assign_coords(roi_index=("roi", table["roi_index"].to_numpy(dtype=np.int64)), **labels)


def make_samples(
    shape: Sequence[int] = (1, 6, 8), n: int = 30, seed: int = 0, inputs: np.ndarray | None = None, **extra: object
) -> xr.Dataset:
    """Samples in memory; variables are given as (dims, values[, attrs]), everything else becomes an attribute."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, *shape)) if inputs is None else inputs
    variables = {key: value for key, value in extra.items() if isinstance(value, tuple)}
    attributes = {key: value for key, value in extra.items() if not isinstance(value, tuple)}
    attributes = {"target_names": ["a", "b", "c"], **attributes}
    responses = rng.normal(size=(len(values), len(attributes["target_names"])))  # type: ignore[arg-type]
    kind = {1: "vector", 3: "image"}[len(shape)]
    return xr.Dataset(
        {
            "inputs": (("sample", *component_dims(len(shape))), values.astype(np.float32)),
            "responses": (("sample", "target"), responses.astype(np.float32)),
            "fold": ("sample", np.arange(len(values)) % 2),
            "group": ("sample", np.arange(len(values))),
            "sample_id": ("sample", np.arange(len(values))),
            **variables,
        },
        attrs={"study": "made_up", "kind": kind, "source": {}, **attributes},
    )


def make_volume(
    shape: Sequence[int] = (9, 10, 7), affine: np.ndarray | None = None, seed: int = 0, **extra: object
) -> xr.Dataset:
    """Samples of a volume with a random, mostly connected mask."""
    rng = np.random.default_rng(seed)
    index = np.argwhere(rng.random(tuple(shape)) > 0.2).astype(np.int32)
    grid = np.diag([2.0, 2.0, 2.0, 1.0]) if affine is None else affine
    return make_samples(
        (len(index),),
        **{
            "seed": seed,
            "voxel_index": (("voxel", "axis"), index),
            "affine": np.asarray(grid, dtype=float).tolist(),
            "volume_shape": list(shape),
            "kind": "volume",
            **extra,
        },
    )


def write(dataset: xr.Dataset, path: Path) -> Path:
    save_dataset(dataset, path)
    return path
