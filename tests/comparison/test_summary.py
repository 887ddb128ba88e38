"""One table of everything: each row is traced back to the table it comes from."""

import numpy as np
import pandas as pd
import pytest

from igc.comparison.criteria import YARDSTICKS
from igc.comparison.summary import METRICS, SUMMARY_COLUMNS, read_summary, split_model, summary_table
from igc.store.atomic import write_table


def pick(table: pd.DataFrame, **wanted: object) -> pd.DataFrame:
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


def pair(model_a: str, method_a: str, model_b: str, method_b: str, value: float, **more: object) -> dict:
    return {
        "model_a": model_a,
        "method_a": method_a,
        "model_b": model_b,
        "method_b": method_b,
        "target": "all",
        "spearman": value,
        **more,
    }


def test_targets_are_averaged_with_the_error_of_their_spread():
    recovery = pd.DataFrame({"model": "cnn-seed3", "method": "igc", "target": ["a", "b", "c"], "auc": [0.5, 0.7, 0.9]})
    rows = pick(summary_table({"recovery": recovery}, "toy"), metric="truth_auc")
    (row,) = rows.to_dict("records")
    assert (row["study"], row["model"], row["seed"], row["method"]) == ("toy", "cnn", 3, "igc")
    assert row["value"] == pytest.approx(0.7)
    assert row["se"] == pytest.approx(0.2 / np.sqrt(3))
    assert (row["n"], row["better"]) == (3, "higher")


def test_the_gap_counts_in_either_direction():
    closure = pd.DataFrame({"model": "m", "method": "igc", "target": ["a", "b"], "gap": [-0.1, 0.3]})
    (row,) = summary_table({"closure": closure}, "toy").to_dict("records")
    assert row["metric"] == "completeness_gap"
    assert row["value"] == pytest.approx(0.2)
    assert pd.isna(row["seed"])


def test_methods_without_a_promised_sum_have_no_row_of_the_gap():
    closure = pd.DataFrame({"model": "m", "method": "shap", "target": ["a"], "gap": [np.nan]})
    assert summary_table({"closure": closure}, "toy").empty


def test_yardsticks_keep_their_numbers_and_rois_their_set():
    common = {"method": "igc", "map": "dataset", "better": "higher", "value": 0.4, "se": 0.1, "n": 7}
    yardsticks = pd.DataFrame(
        [
            {"model": "m-seed0", "seeds": 1, "yardstick": "insertion", "reference": "zero", **common},
            {"model": "m-seed0", "seeds": 1, "yardstick": "roi_rank", "reference": "a/b/mean", **common},
            {"model": "m", "seeds": 2, "yardstick": "insertion", "reference": "zero", **common},
        ]
    )
    table = summary_table({"yardsticks": yardsticks}, "toy")
    assert len(table) == 2
    first, second = table.to_dict("records")
    assert (first["metric"], first["reference"], first["value"], first["se"], first["n"]) == (
        "insertion",
        "zero",
        0.4,
        0.1,
        7,
    )
    assert pd.isna(first["roi_set"])
    assert (second["roi_set"], second["reference"]) == ("a/b", "mean")


def test_agreement_is_listed_for_both_methods_and_between_seeds_of_one_method():
    agreement = pd.DataFrame(
        [
            pair("m-seed0", "igc", "m-seed0", "shap", 0.5),
            pair("m-seed0", "igc", "m-seed1", "igc", 0.8),
            pair("m-seed0", "igc", "m-seed2", "igc", 0.6),
            pair("m-seed0", "igc", "other-seed0", "igc", 0.1),
            pair("m-seed0", "shap", "m-seed1", "igc", 0.2),
            {**pair("m-seed0", "igc", "m-seed0", "shap", -9.0), "target": "face"},
        ]
    )
    table = summary_table({"agreement": agreement}, "toy")
    listed = pick(table, metric="agreement")[["method", "reference", "value"]].to_numpy().tolist()
    assert sorted(listed) == [["igc", "shap", 0.5], ["shap", "igc", 0.5]]
    seeds = pick(table, metric="between_seeds").set_index("seed")
    assert dict(seeds["value"]) == pytest.approx({0: 0.7, 1: 0.8, 2: 0.6})
    assert seeds.loc[0, "n"] == 2


def test_agreement_of_rois_is_by_set():
    agreement = pd.DataFrame([pair("m-seed0", "igc", "m-seed0", "shap", v, set=s) for s, v in (("a", 0.1), ("b", 0.2))])
    table = summary_table({"roi_agreement": agreement}, "toy")
    assert len(table) == 4
    assert set(zip(table["roi_set"], table["value"], strict=True)) == {("a", 0.1), ("b", 0.2)}


def test_reliability_of_maps_is_counted_once_for_all_sets():
    rows = [
        {"model": "m", "method": "igc", "set": s, "target": t, "reliability": r, "map_reliability": m}
        for s, t, r, m in (("a", "x", 0.5, 0.2), ("a", "y", 0.7, 0.4), ("b", "x", 0.9, 0.2), ("b", "y", np.nan, 0.4))
    ]
    table = summary_table({"reliability": pd.DataFrame(rows)}, "toy")
    (whole,) = pick(table, metric="map_split_half").to_dict("records")
    assert (whole["value"], whole["n"]) == (pytest.approx(0.3), 2)
    by_set = pick(table, metric="roi_split_half").set_index("roi_set")
    assert dict(by_set["value"]) == pytest.approx({"a": 0.6, "b": 0.9})


def test_costs_and_sizes_have_rows():
    runtime = pd.DataFrame({"model": "m", "method": ["igc"], "seconds": [3.0], "evaluations_per_sample": [16.0]})
    memory = pd.DataFrame({"model": "m", "method": ["igc"], "peak_memory": [512.0]})
    sizes = pd.DataFrame({"model": "m", "method": "igc", "set": "a", "p": [0.01, 0.5, 0.04, np.nan]})
    table = summary_table({"runtime": runtime, "memory": memory, "roi_size": sizes}, "toy")
    values = table.set_index("metric")["value"]
    assert dict(values) == pytest.approx(
        {"seconds": 3, "evaluations_per_sample": 16, "peak_memory": 512, "roi_size_share": 2 / 3}
    )


def test_nothing_gives_an_empty_table_of_the_same_columns():
    table = summary_table({}, "toy")
    assert tuple(table.columns) == SUMMARY_COLUMNS
    assert table.empty


def test_names_of_metrics_do_not_clash_with_yardsticks():
    assert not set(METRICS) & set(YARDSTICKS)


@pytest.mark.parametrize(
    ("name", "parts"), [("cnn-seed12", ("cnn", 12)), ("truth", ("truth", None)), ("a-seedling", ("a-seedling", None))]
)
def test_models_are_told_from_their_seed(name, parts):
    assert split_model(name) == parts


def differences(targets: int) -> pd.DataFrame:
    rows = [
        {"set": "s", "roi": roi, "target": f"t{k}", "difference": 0.1 * k, "difference_se": 0.02}
        for roi in ("a", "b")
        for k in range(targets)
    ]
    labels = {"model": "mlp-seed1", "method": "igc", "linear_model": "ridge-seed0", "linear_method": "linear_igc"}
    return pd.DataFrame(rows).assign(**labels)


def test_differences_of_networks_and_linear_models_are_listed_by_region_and_target():
    table = summary_table({"deep_linear": differences(3)}, "toy")
    assert len(table) == 6
    (row,) = pick(table, roi="b", target="t2").to_dict("records")
    assert (row["model"], row["seed"], row["metric"]) == ("mlp", 1, "deep_minus_linear")
    assert (row["roi_set"], row["reference"], row["better"]) == ("s", "ridge-seed0/linear_igc", "none")
    assert (row["value"], row["se"], row["n"]) == (pytest.approx(0.2), 0.02, 1)


def test_of_many_targets_the_mean_difference_of_each_region_is_listed():
    table = summary_table({"deep_linear": differences(30)}, "toy")
    assert len(table) == 2
    assert table["target"].isna().all()
    np.testing.assert_allclose(table["value"], 1.45)
    np.testing.assert_allclose(table["se"], np.std(0.1 * np.arange(30), ddof=1) / np.sqrt(30))


def test_shares_of_the_variance_are_those_of_the_linear_model():
    shares = {name: value for k, name in enumerate(("r2", "alone", "unique", "shared")) for value in [0.1 * (k + 1)]}
    errors = {f"{name}_se": 0.01 for name in shares}
    partition = pd.DataFrame([{"model": "banded-seed0", "set": "s", "roi": "a", "target": "t", **shares, **errors}])
    table = summary_table({"partition": partition}, "toy").set_index("metric")
    for name, value in shares.items():
        row = table.loc[f"linear_{name}"]
        assert row["value"] == pytest.approx(value)
        assert (row["method"], row["model"], row["roi"], row["target"]) == ("variance_partition", "banded", "a", "t")


def test_numbers_of_regions_are_read_back_as_they_were_written(tmp_path):
    table = summary_table({"deep_linear": differences(2)}, "toy")
    write_table(tmp_path / "summary.tsv", table)
    read = read_summary(tmp_path / "summary.tsv")
    assert tuple(read.columns) == SUMMARY_COLUMNS
    assert list(read["target"]) == list(table["target"])
