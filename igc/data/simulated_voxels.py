"""Simulated fMRI: voxels that look at simulated images, and two responses whose predictors are known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from igc.config import SimulatedData
from igc.data.planted_voxels import NOISE, RESPONSE_NOISE, TARGETS, planted_voxels, voxel_plan
from igc.data.simulated import image_numbers, images
from igc.data.source import FloatArray, IntArray, Source, Variable
from igc.errors import DataError, explain
from igc.seeding import generator

__all__ = ["open_simulated_voxels", "voxels_and_responses"]

DoubleArray = npt.NDArray[np.float64]
_CHUNK = 256


def voxels_and_responses(seed: int, numbers: IntArray, size: int) -> tuple[DoubleArray, DoubleArray]:
    """Simulate the answers of all voxels to images, and what is to be predicted.

    Parameters
    ----------
    seed : int
        Seed of the study.
    numbers : array of int (image,)
        Which images.
    size : int
        Their height and width in pixels, a multiple of 4.

    Returns
    -------
    voxels : array of float64 (image, voxel)
    responses : array of float64 (image, target)
        In the order of :data:`igc.data.planted_voxels.TARGETS`, before standardisation.
    """
    plan = voxel_plan(size)
    n_voxels = len(plan.regions)
    voxels, responses = np.empty((len(numbers), n_voxels)), np.empty((len(numbers), len(TARGETS)))
    for start in range(0, len(numbers), _CHUNK):
        chunk = numbers[start : start + _CHUNK]
        here = slice(start, start + len(chunk))
        drive = images(seed, chunk, size).reshape(len(chunk), -1) @ plan.fields.reshape(len(plan.fields), -1).T
        noise = np.stack(
            [generator(seed, "voxels", int(n)).standard_normal(1 + len(TARGETS) + n_voxels) for n in chunk]
        )
        nuisance, extra, own = noise[:, :1], noise[:, 1 : 1 + len(TARGETS)], noise[:, 1 + len(TARGETS) :]
        voxels[here] = drive @ plan.loading.T + nuisance * plan.nuisance + NOISE * own[:, plan.noise]
        factors = [drive @ plan.signals[name] for name in ("first partner", "second partner")]
        signal = np.stack([drive @ plan.sum_signal, factors[0] * factors[1]], axis=1)
        responses[here] = signal + RESPONSE_NOISE * extra
    return voxels, responses


@contextmanager
def open_simulated_voxels(data: SimulatedData, seed: int) -> Iterator[Source]:
    """Open the simulated fMRI.

    Parameters
    ----------
    data : SimulatedData
        Number of samples, and size of the images; the number of voxels is twice the size.
    seed : int
        Seed of the study.

    Yields
    ------
    Source
        Inputs (sample, voxel) of kind "vector". Responses are standardised with mean and SD of the training samples
        (of the test samples if there are none for training); ``truth`` and ``truth_regions`` hold the known answer.

    Raises
    ------
    DataError
        If there are too few training samples to standardise with, or the size is not a multiple of 4.
    """
    if data.train_samples == 1:
        raise DataError(explain("data.train_samples", 1, "0, or 2 and more", "ask for more training samples"))
    answer = planted_voxels(data.size)
    numbers = image_numbers(data)
    is_test = np.arange(len(numbers)) < data.test_samples
    known = numbers[is_test if data.train_samples == 0 else ~is_test]
    scaled = voxels_and_responses(seed, known, data.size)[1]
    mean, sd = scaled.mean(axis=0), scaled.std(axis=0)

    def read(positions: IntArray) -> tuple[FloatArray, FloatArray]:
        voxels, responses = voxels_and_responses(seed, numbers[positions], data.size)
        return voxels.astype(np.float32), ((responses - mean) / sd).astype(np.float32)

    regions = {str(code): {"name": name, "color": None} for code, name in answer.names.items()}
    yield Source(
        shape=answer.regions.shape,
        kind="vector",
        target_type="values",
        target_names=list(TARGETS),
        groups=np.arange(len(numbers)),
        group_names=[],
        sample_ids=numbers,
        read=read,
        origin={
            "name": "simulated fMRI with planted receptive fields, copies, suppressors and an interaction",
            "experiment": data.experiment,
            "size": data.size,
            "response_mean": mean.tolist(),
            "response_sd": sd.tolist(),
        },
        test=is_test,
        variables={
            "truth": Variable(("target", "voxel"), answer.truth),
            "truth_regions": Variable(("voxel",), answer.regions, {"regions": regions}),
        },
    )
