"""What stands in for parts that are taken away: only what the samples allow."""

import numpy as np
import pytest
import xarray as xr

from igc.steps.references import references_of
from igc.steps.regions import region_references


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
