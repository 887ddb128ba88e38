"""A small study on disk: samples with folds and groups, and a trained-looking model for each fold."""

from pathlib import Path

import numpy as np
import torch

from igc.models.files import save_model
from igc.models.registry import build_architecture
from igc.roi.sets import from_labels, save_rois
from igc.store.arrays import create_store

FOLDS, TARGETS, VOXELS = 2, 3, 6


def write_samples(
    path: Path, n: int = 240, *, seed: int = 0, categories: bool = False, blocks: int | None = None
) -> Path:
    """Write float32 samples of two folds of unequal size, ten samples a group, ``blocks`` samples a block."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(n, VOXELS)).astype(np.float32)
    values = inputs[:, :TARGETS] + 0.5 * np.tanh(inputs[:, 3:]) + 0.3 * random.normal(size=(n, TARGETS))
    responses = np.eye(TARGETS)[values.argmax(axis=1)] if categories else values
    group = np.arange(n) // 10
    fold = (group >= group.max() // 3).astype(np.int64)
    with create_store(path) as store:
        store.put("inputs", ("sample", "voxel"), inputs)
        store.put("responses", ("sample", "target"), responses.astype(np.float32))
        for name, item in (("fold", fold), ("group", group), ("sample_id", np.arange(n))):
            store.put(name, ("sample",), item)
        if blocks is not None:
            store.put("block", ("sample",), np.arange(n) // blocks)
        store.set_attributes(
            {
                "study": "small",
                "kind": "vector",
                "folds": FOLDS,
                "target_names": ["a", "b", "c"],
                "target_type": "categories" if categories else "values",
                "group_names": [f"run {i}" for i in range(int(group.max()) + 1)],
            }
        )
    return path


def write_model(folder: Path, architecture: str = "residual_mlp") -> Path:
    """Write a model with random weights, different in each fold."""
    modules = []
    arguments = {"width": 8} if architecture == "residual_mlp" else {}
    for fold in range(FOLDS):
        torch.manual_seed(fold)
        modules.append(build_architecture(architecture, (VOXELS,), TARGETS, arguments).eval())
    save_model(
        folder,
        modules,
        {
            "architecture": architecture,
            "arguments": arguments,
            "input_shape": [VOXELS],
            "n_targets": TARGETS,
            "target_names": ["a", "b", "c"],
            "target_type": "values",
            "folds": FOLDS,
            "seed": 0,
            "kind": "network",
            "samples": "",
            "residual_variance": [[1.0] * TARGETS] * FOLDS,
            "training": [{}] * FOLDS,
        },
    )
    return folder


def write_rois(path: Path) -> Path:
    """Write one set of two regions."""
    save_rois({"parts": from_labels("parts", np.array([1, 1, 2, 2, 0, 0]), {1: "first", 2: "second"})}, path)
    return path
