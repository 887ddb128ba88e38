from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from igc.config import Yardsticks
from igc.steps.references import BANK, infill_reference, references_of, training_rows
from igc.steps.regions import region_references
from igc.store.arrays import read_values
from igc.store.samples import open_samples
from tests.steps.stored import FOLDS, write_samples


def test_a_sample_is_filled_in_from_the_closest_one_of_the_other_folds(tmp_path: Path) -> None:
    samples = open_samples(write_samples(tmp_path / "samples.zarr"))
    folds, inputs = samples["fold"].values, read_values(samples["inputs"]).astype(np.float64)
    judged = np.array([np.flatnonzero(folds == fold)[i] for fold in range(FOLDS) for i in (0, 3)])
    removed = np.random.default_rng(0).random((len(judged), *inputs.shape[1:])) < 0.5
    # a whole input taken away, and a copy of it that is left alone
    removed[0], removed[1] = True, False
    origin = np.arange(len(judged))[::-1].copy()
    filled = infill_reference(samples, folds[judged])(inputs[judged])(removed, origin)
    for gone, i, found in zip(removed, origin, filled, strict=True):
        own, bank = inputs[judged[i]], inputs[folds != folds[judged[i]]]
        assert len(bank) < BANK
        distance = ((bank - own) ** 2)[:, ~gone].sum(axis=1)
        closest = bank[i % len(bank)] if gone.all() else bank[np.argmin(distance)]
        np.testing.assert_array_equal(found, np.where(gone, closest, own))


def test_samples_of_no_fold_are_the_training_samples_where_there_are_any(tmp_path: Path) -> None:
    samples = open_samples(write_samples(tmp_path / "samples.zarr")).load()
    folds = samples["fold"].values.copy()
    assert np.all(folds[training_rows(samples, 1, 10)] != 1)
    assert len(training_rows(samples, 1, 10)) == 10
    folds[folds == FOLDS - 1] = -1
    spare = samples.assign(fold=("sample", folds))
    np.testing.assert_array_equal(training_rows(spare, 0, 10_000), np.flatnonzero(folds == -1))


def test_references_are_those_that_are_asked_for(tmp_path: Path) -> None:
    samples = open_samples(write_samples(tmp_path / "samples.zarr"))
    mean, folds = read_values(samples["inputs"]).mean(axis=0), np.zeros(2, dtype=np.int64)
    assert list(references_of(samples, mean, folds)) == ["zero", "mean", "infill"]
    assert list(references_of(samples, mean, folds, ["infill", "zero"])) == ["zero", "infill"]
    with pytest.raises(ValidationError):
        Yardsticks(references=[])


@pytest.mark.parametrize("trained", [True, False])
def test_parts_are_filled_in_only_from_training_samples(trained):
    fold = np.array([-1, -1, -1, 0, 0, 0]) if trained else np.zeros(6, int)
    inputs = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    samples = xr.Dataset({"inputs": (("sample", "voxel"), inputs), "fold": ("sample", fold)})
    judged = np.zeros(3, np.int64)
    found = references_of(samples, np.zeros(5), judged)
    assert set(found) == {"zero", "mean"} | ({"infill"} if trained else set())
    regions = region_references(samples, judged, np.zeros(5), 0)
    assert ("conditional" in regions) is trained
