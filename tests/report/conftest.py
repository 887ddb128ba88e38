from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from igc.roi.sets import from_labels
from tests.report import studies

NAMES = [f"digit {k}" for k in range(10)]


def random_maps(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.02, size=shape) + 0.5 / np.prod(shape[1:])


def results_of(shape, names, sets=None, models=("cnn-seed0", "linear-seed0"), methods=("igc", "integrated_gradients")):
    plain = {
        name: (one.labels, {str(k): {"name": r.name, "color": r.color} for k, r in one.regions.items()})
        for name, one in (sets or {}).items()
    }
    return {
        (model, method): studies.make_result(
            random_maps((len(names), *shape), 7 * m + k) * (1 if method == "igc" else 30), names, method, model, plain
        )
        for m, model in enumerate(models)
        for k, method in enumerate(methods)
    }


@pytest.fixture(scope="session")
def image_samples(tmp_path_factory) -> xr.Dataset:
    path = tmp_path_factory.mktemp("image") / "samples.zarr"
    studies.write_samples(path, "image", NAMES, True, (1, 8, 8))
    return studies.open_samples(path)


@pytest.fixture(scope="session")
def slice_samples(tmp_path_factory) -> xr.Dataset:
    path = tmp_path_factory.mktemp("slice") / "samples.zarr"
    studies.write_samples(path, "volume", ["face", "house"], True, (12, 10, 1))
    return studies.open_samples(path)


@pytest.fixture(scope="session")
def volume_samples(tmp_path_factory) -> xr.Dataset:
    path = tmp_path_factory.mktemp("volume") / "samples.zarr"
    studies.write_samples(path, "volume", ["speed"], False, (9, 10, 8))
    return studies.open_samples(path)


@pytest.fixture(scope="session")
def rings():
    distance = np.hypot(*(np.mgrid[:8, :8] - 3.5))
    labels = np.where(distance < 2, 1, np.where(distance < 4, 2, 0))[None]
    return {"rings": from_labels("rings", labels, {1: "inner", 2: "outer"})}
