"""Small samples stores."""

from pathlib import Path
from typing import Any

import numpy as np

from igc.store.arrays import create_store
from igc.store.samples import component_dims


def write_samples(
    path: Path, inputs: Any, responses: Any, fold: Any, group: Any = None, categories: bool = False, **source: Any
) -> Path:
    """Write a samples store; without groups, every sample is its own."""
    inputs, responses, fold = (np.asarray(values) for values in (inputs, responses, fold))
    group = np.arange(len(inputs)) if group is None else np.asarray(group)
    with create_store(path) as store:
        store.put("inputs", ("sample", *component_dims(inputs.ndim - 1)), inputs.astype(np.float32))
        store.put("responses", ("sample", "target"), responses.astype(np.float32))
        store.put("fold", ("sample",), fold.astype(np.int32))
        store.put("group", ("sample",), group.astype(np.int32))
        store.put("sample_id", ("sample",), np.arange(len(inputs)))
        store.set_attributes(
            {
                "study": "tiny",
                "target_type": "categories" if categories else "values",
                "target_names": [f"target {k}" for k in range(responses.shape[1])],
                "group_names": [str(code) for code in np.unique(group)],
                "kind": "image" if inputs.ndim == 4 else "vector",
                "source": source,
                "folds": int(fold.max()) + 1,
                "title": "",
            }
        )
    return path


def regression(n: int = 120, p: int = 6, k: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (sample, p) off zero and noisy linear responses (sample, k)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, p)) + 3.0
    return x, x @ rng.standard_normal((p, k)) + rng.standard_normal((n, k)) + 10.0


def classes(n: int = 120, p: int = 5, k: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (sample, p) in noisy clusters and one-hot responses (sample, k)."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % k
    return rng.standard_normal((n, p)) + 1.5 * rng.standard_normal((k, p))[label], np.eye(k)[label]
