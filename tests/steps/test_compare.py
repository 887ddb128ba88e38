import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from igc.comparison.partition import COLUMNS as BESIDE
from igc.comparison.partition import PARTITION_COLUMNS
from igc.comparison.recovery import weighted_sum_map
from igc.errors import ConfigError, DataError, MissingFileError, ShapeError
from igc.roi.sets import from_labels
from igc.steps import compare as step
from igc.steps.compare import compare
from tests.roi.synthetic import make_result, make_samples, write

SHAPE = (1, 8, 8)
SETS = {"areas": from_labels("areas", np.arange(64).reshape(SHAPE) % 5)}
DIMS = ("target", "channel", "row", "column")


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["n/a"])


def add_model(folder: Path, name: str, kind: str) -> Path:
    target = folder / "models" / name
    target.mkdir(parents=True)
    (target / "model.json").write_text(json.dumps({"format": 1, "kind": kind}))
    rows = ["fold\ttarget\tmetric\tvalue\tn", *(f"mean\t{t}\tcorrelation\t0.5\t200" for t in "abc")]
    (target / "scores.tsv").write_text("\n".join(rows) + "\n")
    return target / "scores.tsv"


@pytest.fixture
def study(tmp_path: Path) -> dict[str, object]:
    """Two models, one of them linear, with two methods each, in the layout of a run."""
    results: dict[tuple[str, str], xr.Dataset] = {}
    for model, seed in (("cnn-seed0", 1), ("ridge-seed0", 2)):
        results[model, "igc"] = make_result(SHAPE, SETS, seed=seed)
        results[model, "gradient"] = make_result(SHAPE, SETS, seed=seed + 10, complete=False)
    paths = [write(result, tmp_path / "attributions" / m / f"{name}.zarr") for (m, name), result in results.items()]
    scores = [add_model(tmp_path, "cnn-seed0", "network"), add_model(tmp_path, "ridge-seed0", "linear")]
    samples = write(make_samples(SHAPE, n=8), tmp_path / "samples.zarr")
    return {"samples": samples, "attributions": paths, "scores": scores, "output": tmp_path / "comparison"}


def test_all_tables_of_a_study_are_written(study) -> None:
    compare(**study)
    tables = {path.stem: read(path) for path in study["output"].glob("*.tsv")}
    named = {"agreement", "roi_agreement", "closure", "runtime", "deep_linear", "reliability", "seeds", "scores"}
    named |= {"summary"}
    assert set(tables) == named
    assert tables["seeds"].empty
    assert len(tables["agreement"]) == len(tables["roi_agreement"]) == 6 * 4
    assert len(tables["closure"]) == 4 * 3
    assert set(tables["closure"]["model_score"]) == {0.5}
    assert tables["runtime"][["model", "method"]].to_numpy().tolist() == [
        ["cnn-seed0", "igc"],
        ["cnn-seed0", "gradient"],
        ["ridge-seed0", "igc"],
        ["ridge-seed0", "gradient"],
    ]
    assert tables["scores"]["model"].tolist() == ["cnn-seed0"] * 3 + ["ridge-seed0"] * 3


def test_seeds_of_one_model_are_put_together(study, tmp_path: Path) -> None:
    again = write(make_result(SHAPE, SETS, seed=9), tmp_path / "attributions" / "cnn-seed12" / "igc.zarr")
    compare(**{**study, "attributions": [*study["attributions"], again]})
    table = read(study["output"] / "seeds.tsv")
    assert table[["model", "method", "n_seeds"]].drop_duplicates().to_numpy().tolist() == [["cnn", "igc", 2]]
    first, second = (make_result(SHAPE, SETS, seed=seed)["roi_attribution"].values for seed in (1, 9))
    np.testing.assert_allclose(table["attribution"], ((first + second) / 2).reshape(-1))


def test_agreement_is_between_the_named_pair(study) -> None:
    compare(**study)
    table = read(study["output"] / "agreement.tsv").query("target == 'b'")
    row = table.query("model_a == 'cnn-seed0' and method_a == 'igc' and model_b == 'ridge-seed0' and method_b == 'igc'")
    maps = [make_result(SHAPE, SETS, seed=seed)["attribution"].values[1].reshape(-1) for seed in (1, 2)]
    assert row["pearson"].tolist() == pytest.approx([np.corrcoef(*maps)[0, 1]])


def test_deep_is_compared_with_linear_by_the_same_complete_method(study) -> None:
    compare(**study)
    table = read(study["output"] / "deep_linear.tsv")
    keys = table[["model", "method", "linear_model", "linear_method"]].drop_duplicates().to_numpy().tolist()
    assert keys == [["cnn-seed0", "igc", "ridge-seed0", "igc"]]
    assert len(table) == 3 * 5


def test_the_linear_model_may_bring_its_own_method(study, tmp_path: Path) -> None:
    own = write(
        make_result(SHAPE, SETS, seed=5, model_kind="linear"), tmp_path / "attributions/ols-seed0/linear_igc.zarr"
    )
    compare(**{**study, "attributions": [*study["attributions"], own]})
    table = read(study["output"] / "deep_linear.tsv")
    keys = table[["method", "linear_model", "linear_method"]].drop_duplicates().to_numpy().tolist()
    assert keys == [["igc", "ols-seed0", "linear_igc"], ["igc", "ridge-seed0", "igc"]]


def test_maps_need_not_be_in_memory(study, tmp_path: Path, monkeypatch) -> None:
    compare(**study)
    monkeypatch.setattr(step, "_MEMORY", 0)
    compare(**{**study, "output": tmp_path / "lazy"})
    for path in study["output"].glob("*.tsv"):
        assert (tmp_path / "lazy" / path.name).read_text() == path.read_text()


def test_recovery_is_scored_where_the_truth_is_known(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).normal(size=(8, 8))
    samples = make_samples(SHAPE, n=8, truth=(DIMS, mask[None, None].astype(np.float32)), target_names=["sum"])
    samples.attrs["source"] = {"experiment": "weighted_sum"}
    result = make_result(SHAPE, targets=["sum"], maps=weighted_sum_map(mask.astype(np.float32))[None, None])
    path = write(result, tmp_path / "analytic-seed0" / "igc.zarr")
    compare(write(samples, tmp_path / "samples.zarr"), [path], [], tmp_path / "out")
    table = read(tmp_path / "out" / "recovery.tsv")
    assert table[["model", "method", "target"]].to_numpy().tolist() == [["analytic-seed0", "igc", "sum"]]
    assert table["relative_error"].tolist() == pytest.approx([0], abs=1e-9)
    assert len(read(tmp_path / "out" / "agreement.tsv")) == 0


def test_the_same_result_twice_is_refused(study) -> None:
    with pytest.raises(ConfigError, match="a second result cnn-seed0/igc"):
        compare(**{**study, "attributions": [study["attributions"][0]] * 2})


def test_no_result_is_refused(study) -> None:
    with pytest.raises(ConfigError, match="at least one result"):
        compare(**{**study, "attributions": []})


def test_a_result_of_another_study_is_refused(study, tmp_path: Path) -> None:
    other = write(make_result((1, 4, 4)), tmp_path / "other" / "igc.zarr")
    with pytest.raises(ShapeError, match=r"other.*maps of shape \(1, 4, 4\)"):
        compare(**{**study, "attributions": [*study["attributions"], other]})
    assert not study["output"].exists()


def test_a_result_of_several_inputs_is_refused(study, tmp_path: Path) -> None:
    several = make_result(SHAPE).rename(attribution="attribution_image")
    path = write(several, tmp_path / "two" / "igc.zarr")
    with pytest.raises(DataError, match="several inputs"):
        compare(**{**study, "attributions": [path]})


def test_bad_score_tables_are_refused(study, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="igc train"):
        compare(**{**study, "scores": [tmp_path / "none.tsv"]})
    (tmp_path / "bad.tsv").write_text("fold\tvalue\n0\t1\n")
    with pytest.raises(DataError, match="no column 'metric'"):
        compare(**{**study, "scores": [tmp_path / "bad.tsv"]})
    assert not study["output"].exists()


def banded(study, drop: str = "") -> Path:
    """Give the linear model what its regions explain."""
    regions = [(target, index) for target in "ab" for index in (1, 2)]
    rows = [{"set": "areas", "index": index, "target": target, "unique": 0.1 * index} for target, index in regions]
    table = pd.DataFrame(rows).reindex(columns=list(PARTITION_COLUMNS)).drop(columns=drop or [])
    path = study["scores"][1].with_name("partition.tsv")
    table.to_csv(path, sep="\t", index=False, na_rep="n/a")
    return path


def test_regions_of_a_banded_model_stand_beside_those_of_the_network(study) -> None:
    banded(study)
    compare(**study)
    table, sums = (read(study["output"] / f"{name}.tsv") for name in ("linear_partition", "deep_linear"))
    assert tuple(table.columns) == BESIDE
    assert len(table) == 4
    np.testing.assert_allclose(table["unique"], 0.1 * table["index"])
    joined = table.merge(sums, on=["set", "index", "target"], suffixes=("", "_there"))
    assert len(joined) == 4
    np.testing.assert_array_equal(joined["difference"], joined["difference_there"])


def test_a_damaged_table_of_regions_is_refused(study) -> None:
    banded(study, drop="shared")
    with pytest.raises(DataError, match="shared"):
        compare(**study)
    assert not study["output"].exists()
