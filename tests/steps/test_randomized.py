"""Maps of the dataset that are made again: by random weights, and under other draws."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from igc.comparison.yardsticks import Table
from igc.config import MethodSettings
from igc.models.files import load_model
from igc.steps.attribute import attribute_files
from igc.steps.randomized import DatasetAgain, judge_draws, judge_randomization
from igc.store.results import open_result
from igc.store.samples import open_samples
from tests.steps.stored import write_model, write_samples

METHODS = {
    "igc": {"points": 2},
    "igc_zero": {"method": "igc", "baselines": "zero"},
    "igc_shared": {"method": "igc", "baselines": 2, "points": 8},
    "naive_correlation": {},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("again")
    samples, model = write_samples(folder / "samples.zarr"), write_model(folder / "net-seed0")
    for name, options in METHODS.items():
        settings = MethodSettings(**{"method": name, **options})
        attribute_files(samples, model, settings, None, folder / f"{name}.zarr", progress=False)
    return folder


def again(study: Path, seed: int = 0) -> DatasetAgain:
    rows = np.flatnonzero(open_samples(study / "samples.zarr")["fold"].values == 0)
    module = load_model(study / "net-seed0", fold=0)
    return DatasetAgain(study / "samples.zarr", rows, module, torch.device("cpu"), seed)


def judged(table: Table) -> pd.Series:
    rows = table.tables()[0]
    assert set(rows["map"]) == {"dataset"}
    return rows.set_index(["yardstick", "reference", "method"])["value"]


def test_maps_that_know_no_model_are_the_same_under_random_weights_and_others_are_not(study: Path) -> None:
    table = Table({}, categories=False)
    judge_randomization(again(study), {name: open_result(study / f"{name}.zarr") for name in METHODS}, {}, table)
    found = judged(table)["randomization"]["rank"]
    assert set(found.index) == set(METHODS)
    assert found["naive_correlation"] == pytest.approx(1.0)
    assert found.drop("naive_correlation").max() < 0.9
    curve = table.tables()[1].query("method == 'igc_zero' and reference == 'rank'")
    assert curve["x"].iloc[-1] == 1.0
    assert curve["value"].iloc[0] == 1.0


def test_a_map_made_again_is_that_of_the_method_on_these_samples(study: Path) -> None:
    settings = MethodSettings(method="igc", baselines="zero")
    found = again(study).explain(load_model(study / "net-seed0", fold=0), settings, {})
    # of a fold, the result itself has the map of all folds only: both folds together are their weighted mean
    result = open_result(study / "igc_zero.zarr")
    rows = np.flatnonzero(open_samples(study / "samples.zarr")["fold"].values == 1)
    other = DatasetAgain(study / "samples.zarr", rows, load_model(study / "net-seed0", fold=1), torch.device("cpu"), 0)
    second = other.explain(other.module, settings, {})
    n = result["n_fold"].values
    expected = (n[0] * found + n[1] * second) / n.sum()
    np.testing.assert_allclose(expected, result["attribution"], rtol=1e-4, atol=1e-6)


def test_shared_baselines_are_drawn_again_and_all_others_told_by_their_error(study: Path) -> None:
    table = Table({}, categories=False)
    results = {name: open_result(study / f"{name}.zarr") for name in METHODS}
    judge_draws(results, table, again(study))
    found = judged(table)["baseline_seed"]["estimator"]
    assert found["igc_zero"] == pytest.approx(1.0)
    assert found["naive_correlation"] == pytest.approx(1.0)
    first, second = (
        again(study, seed).explain(again(study).module, MethodSettings(**METHODS["igc_shared"]), {}) for seed in (0, 1)
    )
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(first, second, strict=True)])
    assert found["igc_shared"] == pytest.approx(expected)
    assert found["igc_shared"] < 1
    judge_draws(results, without := Table({}, categories=False))
    assert "igc_shared" not in judged(without)["baseline_seed"]["estimator"]
