"""Small made-up studies with everything the figures need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from igc.store.arrays import create_store, open_store, save_dataset
from igc.store.atomic import write_table
from igc.store.samples import component_dims, open_samples

AFFINE = np.array([[-3.0, 0, 0, 30], [0, 4.0, 0, -20], [0, 0, 4.0, 8], [0, 0, 0, 1]])


def _responses(rng: np.random.Generator, n: int, names: list[str], categories: bool) -> np.ndarray:
    if categories:
        return np.eye(len(names), dtype=np.float32)[np.arange(n) % len(names)]
    return rng.normal(size=(n, len(names))).astype(np.float32)


def write_samples(path: Path, kind: str, names: list[str], categories: bool, shape: tuple[int, ...], **extra) -> None:
    rng = np.random.default_rng(0)
    n = 4 * max(len(names), 6)
    index = None
    if kind == "volume":
        index = np.argwhere(np.ones(shape, bool))[:: 2 if np.prod(shape) > 200 else 1].astype(np.int32)
        components = (len(index),)
    else:
        components = shape
    inputs = rng.random((n, *components)).astype(np.float32)
    with create_store(path) as store:
        store.put("inputs", ("sample", *component_dims(len(components))), extra.get("inputs", inputs))
        store.put("responses", ("sample", "target"), extra.get("responses", _responses(rng, n, names, categories)))
        store.put("fold", ("sample",), np.arange(n) % 2)
        store.put("group", ("sample",), np.arange(n) % 4)
        store.put("sample_id", ("sample",), np.arange(n))
        attributes = {
            "study": kind,
            "title": extra.get("title", f"A study of {kind}s"),
            "kind": kind,
            "target_names": names,
            "target_type": "categories" if categories else "values",
            "folds": 2,
        }
        if "truth" in extra:
            store.put("truth", ("target", *component_dims(len(components))), extra["truth"])
        if index is not None:
            store.put("voxel_index", ("voxel", "axis"), index)
            background = 400 + 300 * rng.random(shape).astype(np.float32)
            store.put("background", ("x", "y", "z"), background)
            attributes |= {"affine": AFFINE.tolist(), "volume_shape": list(shape)}
        store.set_attributes(attributes)


def make_result(
    maps: np.ndarray, names: list[str], method: str, model: str, sets: dict[str, tuple[np.ndarray, dict]] | None = None
) -> xr.Dataset:
    """Scale random maps so that they sum to scores, and form ROI sums."""
    rng = np.random.default_rng(len(method) + len(model))
    complete = method.startswith("igc") or method == "linear_igc"
    dims = component_dims(maps.ndim - 1)
    axes = tuple(range(1, maps.ndim))
    score = maps.sum(axis=axes) if complete else rng.uniform(0.3, 0.9, len(names))
    rois, labels = [], []
    for key, (label, regions) in (sets or {}).items():
        for code in [*sorted(int(k) for k in regions), 0]:
            name = regions[str(code)]["name"] if code else "rest"
            rois.append((maps * (label == code)).sum(axis=axes))
            labels.append((f"{key}/{name}", key, name, code))
    folds = np.stack([score + rng.normal(scale=0.02, size=len(names)) for _ in range(2)])
    data = {
        "attribution": (("target", *dims), maps.astype(np.float64)),
        "estimator_error": (("target", *dims), np.full(maps.shape, 1e-4)),
        "score": (("target",), score),
        "score_fold": (("fold", "target"), folds),
        "n_fold": (("fold",), np.array([100, 120])),
        "completeness_error": (("target",), rng.normal(scale=1e-3, size=len(names))),
        "completeness_standard_error": (("target",), np.full(len(names), 1e-3)),
    }
    if rois:
        sums = np.stack(rois, axis=1)
        data["roi_attribution"] = (("target", "roi"), sums)
        data["roi_standard_error"] = (("target", "roi"), 0.01 + 0.02 * rng.random(sums.shape))
        data["roi_estimator_error"] = (("target", "roi"), np.full(sums.shape, 1e-3))
    result = xr.Dataset(data, attrs={"method": method, "model": model, "complete": complete, "signed": True})
    result.attrs |= {"seconds": float(rng.uniform(1, 60)), "evaluations": 1000, "study": "made-up"}
    result = result.assign_coords(target=("target", np.array(names, dtype=object)))
    if rois:
        columns = list(zip(*labels, strict=True))
        for name, values in zip(("roi", "roi_set", "roi_name"), columns[:3], strict=True):
            result = result.assign_coords({name: ("roi", np.array(values, dtype=object))})
        result = result.assign_coords(roi_index=("roi", np.array(columns[3])))
    return result


def write_rois(path: Path, sets: dict[str, tuple[np.ndarray, dict]]) -> None:
    with create_store(path) as store:
        for name, (labels, regions) in sets.items():
            store.put(name, component_dims(labels.ndim), labels.astype(np.int32), regions=regions)
        store.set_attributes({"rois": list(sets)})


def write_model(folder: Path, kind: str, names: list[str], categories: bool) -> None:
    import json

    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name))
    description = {"format": 1, "kind": kind, "architecture": folder.name, "target_names": names}
    (folder / "model.json").write_text(json.dumps(description))
    rows = []
    for target in names:
        base = rng.uniform(0.4, 0.9)
        rows += [(str(k), target, "correlation", base + rng.normal(scale=0.03), 100) for k in range(3)]
        rows += [("mean", target, "correlation", base, 300), ("pooled", target, "correlation", base, 300)]
    if categories:
        rows += [(str(k), "all", "accuracy", 0.8 + 0.02 * k, 100) for k in range(3)]
        rows += [("mean", "all", "accuracy", 0.82, 300)]
    write_table(folder / "scores.tsv", pd.DataFrame(rows, columns=["fold", "target", "metric", "value", "n"]))
    if kind == "network":
        epochs = np.arange(1, 21)
        frames = []
        for fold in range(3):
            train = np.exp(-epochs / 6) + 0.1 + 0.01 * rng.random(20)
            validation = np.exp(-epochs / 5) + 0.22 + 0.004 * epochs + 0.02 * rng.random(20)
            frame = {"fold": fold, "epoch": epochs, "train_loss": train, "validation_loss": validation}
            frames.append(pd.DataFrame(frame))
        write_table(folder / "history.tsv", pd.concat(frames))


__all__ = [
    "AFFINE",
    "make_result",
    "open_samples",
    "open_store",
    "save_dataset",
    "write_model",
    "write_rois",
    "write_samples",
]
