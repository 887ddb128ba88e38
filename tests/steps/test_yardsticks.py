from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from igc.comparison.criteria import COLUMNS, CURVE_COLUMNS, RANDOM
from igc.config import MethodSettings, Yardsticks
from igc.errors import ConfigError, DataError
from igc.models.files import load_model
from igc.steps.attribute import attribute_files
from igc.steps.compare import compare
from igc.steps.yardsticks import judge_models
from igc.store.results import open_result, save_result
from igc.store.samples import open_samples
from tests.steps.stored import write_model, write_rois, write_samples

LIGHT = Yardsticks(samples=24, steps=6, subsets=24, scored=60, randomized=3, retrained=100)
METHODS = {"igc": {"points": 2, "options": {"permutations": 0}}, "gradient_x_input": {}, "expected_gradients": {}}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    samples = write_samples(folder / "samples.zarr", categories=True)
    rois = write_rois(folder / "rois.zarr")
    for model, architecture in (("net-seed0", "residual_mlp"), ("net-seed1", "residual_mlp"), ("flat", "linear")):
        write_model(folder / model, architecture)
        for method, options in METHODS.items():
            settings = MethodSettings(method=method, examples=24, **options)
            output = folder / "attributions" / model / f"{method}.zarr"
            attribute_files(samples, folder / model, settings, rois, output, progress=False)
    return folder


def judge(study: Path, output: Path, models: list[str], settings: Yardsticks = LIGHT, seed: int = 0) -> None:
    results = sorted((study / "attributions").glob("*/*.zarr"))
    samples, folders = study / "samples.zarr", [study / model for model in models]
    judge_models(samples, folders, results, settings, output, study / "rois.zarr", seed=seed, progress=False)


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, sep="\t", na_values=["n/a"], keep_default_na=False)


def test_each_model_gets_tables_of_all_its_methods(study: Path, tmp_path: Path) -> None:
    judge(study, tmp_path, ["net-seed0", "flat"])
    assert {file.name for file in tmp_path.iterdir()} == {
        *("net-seed0.tsv", "net-seed0-curves.tsv", "net-seed0-sizes.tsv"),
        *("flat.tsv", "flat-curves.tsv", "flat-sizes.tsv"),
    }
    rows, curves = read(tmp_path / "net-seed0.tsv"), read(tmp_path / "net-seed0-curves.tsv")
    assert tuple(rows.columns) == COLUMNS
    assert tuple(curves.columns) == CURVE_COLUMNS
    per_sample = rows[rows["yardstick"] == "deletion"]
    assert set(per_sample["method"]) == {*METHODS, RANDOM}
    assert set(per_sample["reference"]) == {"zero", "mean", "infill"}
    assert set(per_sample["n"]) == {24}
    kinds = dict(zip(per_sample["method"], per_sample["map"], strict=True))
    assert kinds == {"igc": "dataset", "gradient_x_input": "sample", "expected_gradients": "sample", RANDOM: "sample"}
    randomized = rows[rows["yardstick"] == "randomization"]
    kinds = {"igc": "dataset", "gradient_x_input": "sample", "expected_gradients": "sample"}
    assert dict(zip(randomized["method"], randomized["map"], strict=True)) == kinds
    assert set(randomized["reference"]) == {"rank"}
    assert {"remove_retrain", "keep_retrain", "score_deletion"} <= set(rows["yardstick"])
    # what a linear model does is told exactly by gradient times input against zero
    flat = read(tmp_path / "flat.tsv").set_index(["method", "yardstick", "reference"])["value"]
    assert flat["gradient_x_input", "sensitivity_n", "zero"] == pytest.approx(1.0, abs=1e-5)
    assert flat["gradient_x_input", "infidelity", "zero"] == pytest.approx(0.0, abs=1e-8)


def test_shares_of_regions_are_judged_by_deletion_and_beside_their_size(study: Path, tmp_path: Path) -> None:
    judge(study, tmp_path, ["net-seed0"])
    rows = read(tmp_path / "net-seed0.tsv")
    references = {f"parts/{name}" for name in ("zero", "mean", "resampled", "conditional")}
    for stick in ("roi_rank", "roi_area"):
        here = rows[rows["yardstick"] == stick]
        assert set(here["reference"]) == references
        assert set(here["method"]) == {*METHODS, RANDOM}
        assert set(here["map"]) == {"dataset"}
    sizes = read(tmp_path / "net-seed0-sizes.tsv")
    assert set(sizes["method"]) == set(METHODS)
    assert len(sizes) == len(METHODS) * 3 * 3
    result = open_result(study / "attributions" / "net-seed0" / "igc.zarr")
    own = sizes[sizes["method"] == "igc"].set_index(["target", "roi"])
    for (target, roi), row in own.iterrows():
        expected = result["roi_attribution"].sel(target=target, roi=f"parts/{roi}")
        assert row["attribution"] == pytest.approx(float(expected), abs=1e-6)
        assert row["n_components"] == 2
        assert row["size_share"] == pytest.approx(1 / 3)


def test_methods_that_draw_nothing_are_the_same_under_another_seed(study: Path, tmp_path: Path) -> None:
    judge(study, tmp_path, ["net-seed0"])
    rows = read(tmp_path / "net-seed0.tsv")
    alike = rows[rows["yardstick"] == "baseline_seed"].set_index(["method", "reference"])["value"]
    assert alike["gradient_x_input", "rank"] == pytest.approx(1)
    assert 0.3 < alike["expected_gradients", "rank"] < 1
    result = open_result(study / "attributions" / "net-seed0" / "igc.zarr")
    error, value = result["estimator_error"].values, result["attribution"].values
    expected = np.maximum(0, 1 - (error**2).mean(axis=1) / value.var(axis=1)).mean()
    assert alike["igc", "estimator"] == pytest.approx(expected)


def test_every_sample_is_judged_by_the_model_that_has_not_seen_it(study: Path, tmp_path: Path) -> None:
    judge(study, tmp_path, ["net-seed0"])
    curves = read(tmp_path / "net-seed0-curves.tsv")
    start = curves[(curves["curve"] == "deletion") & (curves["x"] == 0)]["value"]
    result = open_result(study / "attributions" / "net-seed0" / "gradient_x_input.zarr")
    samples = open_samples(study / "samples.zarr")
    found = []
    for row, fold, target in zip(
        *(result[name].values for name in ("example_row", "example_fold", "example_target")), strict=True
    ):
        x = torch.tensor(samples["inputs"].values[row : row + 1])
        found.append(float(torch.softmax(load_model(study / "net-seed0", fold=int(fold))(x), 1)[0, target]))
    np.testing.assert_allclose(start, np.mean(found), rtol=1e-6)


def test_the_same_seed_gives_the_same_tables_and_another_one_others(study: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        judge(study, tmp_path / name, ["net-seed0"], seed=seed)
    texts = {name: (tmp_path / name / "net-seed0.tsv").read_bytes() for name in "abc"}
    assert texts["a"] == texts["b"] != texts["c"]


def test_the_comparison_joins_the_tables_and_averages_over_seeds(study: Path, tmp_path: Path) -> None:
    judge(study, tmp_path / "yardsticks", ["net-seed0", "net-seed1"])
    results = [study / "attributions" / "net-seed0" / "igc.zarr"]
    compare(study / "samples.zarr", results, [], tmp_path / "comparison", tmp_path / "yardsticks")
    rows = read(tmp_path / "comparison" / "yardsticks.tsv")
    assert dict(rows.groupby("model")["seeds"].max()) == {"net-seed0": 1, "net-seed1": 1, "net": 2}
    key = ["method", "yardstick", "reference", "map"]
    by_model = {model: part.set_index(key)["value"] for model, part in rows.groupby("model")}
    expected = (by_model["net-seed0"] + by_model["net-seed1"]) / 2
    np.testing.assert_allclose(by_model["net"].reindex(expected.index), expected, rtol=1e-8)
    curves = read(tmp_path / "comparison" / "yardstick_curves.tsv")
    assert set(curves["model"]) == {"net-seed0", "net-seed1"}


def test_no_samples_mean_empty_tables(study: Path, tmp_path: Path) -> None:
    judge(study, tmp_path, ["flat"], Yardsticks(samples=0))
    assert len(read(tmp_path / "flat.tsv")) == len(read(tmp_path / "flat-curves.tsv")) == 0


def test_what_does_not_belong_together_is_refused_before_anything_is_written(study: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(ConfigError, match="none of net-seed0"):
        judge_models(study / "samples.zarr", [study / "net-seed0"], [], LIGHT, output, progress=False)
    few = tmp_path / "net-seed0" / "gradient_x_input.zarr"
    result = open_result(study / "attributions" / "net-seed0" / "gradient_x_input.zarr").load()
    others = result["example_row"].values[::-1].copy() + 1000
    save_result(result.assign_coords(example_row=("example", others)), few)
    with pytest.raises(DataError, match="no map of the samples to be judged"):
        judge_models(
            study / "samples.zarr",
            [study / "net-seed0"],
            [few],
            Yardsticks(samples=24, scored=0),
            output,
            progress=False,
        )
    assert not output.exists()
