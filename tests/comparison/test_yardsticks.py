import numpy as np
import pandas as pd
import pytest

from igc.comparison.criteria import COLUMNS, CURVE_COLUMNS, RANDOM, YARDSTICKS, join_models
from igc.comparison.judged import Judged, constant_reference, random_maps
from igc.comparison.retraining import Retraining, linear_fit
from igc.comparison.yardsticks import (
    DatasetMaps,
    Table,
    judge_retraining,
    judge_samples,
    judge_scores,
    judge_truth,
)
from igc.config import Yardsticks
from tests.comparison.judging import linear_judged, softmax_judged

SETTINGS = Yardsticks(steps=8, subsets=48)
REFERENCES = {"zero": constant_reference(0.0)}


def rows_of(table: Table, method: str) -> pd.DataFrame:
    rows = table.tables()[0]
    return rows[rows["method"] == method].set_index("yardstick")


@pytest.mark.parametrize("categories", [True, False])
def test_true_contributions_are_better_than_chance_by_every_yardstick(categories: bool) -> None:
    judged, maps = softmax_judged(n=40) if categories else linear_judged(n=40, d=20)
    table = Table({"exact": "sample"}, categories)
    judge_samples({"exact": maps}, judged, REFERENCES, SETTINGS, 0, table)
    exact, floor = rows_of(table, "exact"), rows_of(table, RANDOM)
    assert set(exact.index) == set(floor.index) == {"deletion", "insertion", "sensitivity_n", "infidelity"}
    assert np.all(exact["gain"] > 4 * exact["gain_se"])
    assert floor["gain"].isna().all()
    for name, row in exact.iterrows():
        stick = YARDSTICKS[str(name)]
        assert row["better"] == (stick.categories if categories else stick.values)
        sign = 1 if row["better"] == "higher" else -1
        assert row["gain"] == pytest.approx(sign * (row["value"] - floor.loc[name, "value"]))


def test_a_map_of_the_dataset_ranks_by_magnitude_and_that_of_a_sample_by_evidence() -> None:
    judged, maps = softmax_judged(n=20)
    found = {}
    for kind in ("sample", "dataset"):
        table = Table({"map": kind}, True)
        judge_samples({"map": maps}, judged, REFERENCES, SETTINGS, 0, table)
        found[kind] = rows_of(table, "map").loc["deletion", "value"]
        table = Table({"map": kind}, True)
        judge_samples({"map": np.abs(maps)}, judged, REFERENCES, SETTINGS, 0, table)
        found[f"{kind} magnitude"] = rows_of(table, "map").loc["deletion", "value"]
    assert found["dataset"] == found["dataset magnitude"] == found["sample magnitude"]
    assert found["sample"] < found["dataset"]


def test_means_and_errors_are_over_samples_and_curves_hold_every_step() -> None:
    judged, maps = linear_judged(n=10, d=20)
    table = Table({"exact": "sample"}, False)
    judge_samples({"exact": maps}, judged, REFERENCES, SETTINGS, 0, table)
    rows, curves = table.tables()
    assert tuple(rows.columns) == COLUMNS
    assert tuple(curves.columns) == CURVE_COLUMNS
    deletion = curves[(curves["curve"] == "deletion") & (curves["method"] == "exact")]
    np.testing.assert_allclose(deletion["x"], np.linspace(0, 1, 9))
    area = np.trapezoid(deletion["value"], deletion["x"])
    assert rows_of(table, "exact").loc["deletion", "value"] == pytest.approx(area)
    # the last point has nothing left of any input: its error is that of the whole predictions
    whole = ((judged.raw(judged.inputs, np.arange(10)) - 0.7) / 2.0) ** 2
    assert deletion["se"].iloc[-1] == pytest.approx(whole.std(ddof=1) / np.sqrt(10))
    assert deletion["value"].iloc[-1] == pytest.approx(whole.mean())


def test_the_weights_of_a_linear_model_make_its_score_fall_fastest() -> None:
    random = np.random.default_rng(0)
    weights = np.array([[3.0, 2.0, 0.1, 0.1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0.1, 0.1, 2.0, 3.0]])
    inputs = random.normal(size=(120, 10))
    judged = Judged(inputs, np.zeros(120, dtype=int), lambda x, o: x @ weights.T, False, np.arange(120))
    responses = inputs @ weights.T + random.normal(size=(120, 2))
    data = DatasetMaps(
        {"weights": weights, "wrong": weights[::-1]}, judged, responses, np.zeros(120, dtype=int), [0, 1]
    )
    table = Table({"weights": "sample"}, False)
    judge_scores(data, REFERENCES, SETTINGS, 0, table)
    good, bad = rows_of(table, "weights").loc["score_deletion"], rows_of(table, "wrong").loc["score_deletion"]
    assert good["map"] == "dataset"
    assert good["gain"] > 3 * good["gain_se"] > 0
    assert good["value"] < rows_of(table, RANDOM).loc["score_deletion", "value"] < bad["value"]


def test_a_map_of_the_planted_parts_finds_them_and_a_random_one_does_not() -> None:
    inside = np.zeros((12, 40), dtype=bool)
    inside[:, 5:15] = True
    maps = {"perfect": -inside.astype(float), "noise": random_maps(np.arange(100, 112), 40, 1)}
    table = Table({}, True)
    judge_truth(maps, inside, np.arange(12), 0, table)
    perfect, noise = rows_of(table, "perfect"), rows_of(table, "noise")
    assert perfect.loc[["heat_ratio", "recovery"], "value"].tolist() == [1.0, 1.0]
    assert noise.loc["recovery", "value"] == pytest.approx(0.5, abs=0.1)
    assert noise.loc["heat_ratio", "value"] == pytest.approx(0.25, abs=0.12)
    assert abs(noise.loc["recovery", "gain"]) < 4 * noise.loc["recovery", "gain_se"]


def test_retraining_tells_a_planted_feature_from_chance() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(300, 20))
    responses = inputs[:, :2].sum(axis=1, keepdims=True) + 0.2 * random.normal(size=(300, 1))
    data = Retraining(inputs, responses, np.arange(300), np.arange(200), np.arange(200, 300), False)
    maps = np.zeros((1, 20))
    maps[0, :2] = [1.0, -1.0]
    table = Table({}, False)
    judge_retraining({"planted": maps}, data, linear_fit(), 4, 0, table)
    found = rows_of(table, "planted")
    assert found.loc["remove_retrain", "value"] == pytest.approx(0.0, abs=0.2)
    assert found.loc["keep_retrain", "value"] > 0.95
    assert np.all(found["gain"] > 2 * found["gain_se"])
    assert np.all(found["n"] == 4)


def test_seeds_of_a_model_are_averaged_with_the_errors_of_samples_and_seeds() -> None:
    def table_of(value: float) -> pd.DataFrame:
        row = ("igc", "dataset", "deletion", "zero", "lower", value, 0.1, 64, 0.3, 0.05)
        return pd.DataFrame([row], columns=list(COLUMNS))

    joined = join_models({"net-seed0": table_of(1.0), "net-seed1": table_of(2.0), "ridge-seed0": table_of(5.0)})
    assert joined["model"].tolist() == ["net-seed0", "net-seed1", "ridge-seed0", "net"]
    both = joined.iloc[3]
    assert (both["seeds"], both["value"], both["n"]) == (2, 1.5, 64)
    assert both["se"] == pytest.approx(np.sqrt(0.1**2 + 0.5 / 2))
    assert both["gain_se"] == pytest.approx(0.05)


def test_a_method_that_explained_some_samples_only_is_judged_on_those() -> None:
    judged, maps = softmax_judged(n=20)
    few = maps.copy()
    few[::2] = np.nan
    table, half = Table({"few": "sample"}, True), Table({"few": "sample"}, True)
    judge_samples({"few": few}, judged, REFERENCES, SETTINGS, 0, table)
    kept = Judged(judged.inputs[1::2], judged.targets[1::2], judged.predict, True, judged.numbers[1::2])
    judge_samples({"few": maps[1::2]}, kept, REFERENCES, SETTINGS, 0, half)
    columns = ["value", "se", "n", "gain", "gain_se"]
    found, expected = rows_of(table, "few")[columns], rows_of(half, "few")[columns]
    np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=1e-9)
    judge_truth({"few": few}, np.arange(20) < 5 * np.ones((20, 1)), np.arange(20), 0, table)
    assert rows_of(table, "few").loc[["heat_ratio", "recovery"], "n"].tolist() == [10, 10]
