import nibabel
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker
from scipy import stats

from igc.errors import DataError
from igc.roi import aggregate as module
from igc.roi.aggregate import COLUMNS, roi_table, score_interval
from igc.roi.sets import from_labels, from_masks
from igc.stats.permutation import max_t
from tests.roi.synthetic import make_result

SHAPE = (1, 6, 8)
LABELS = np.arange(48).reshape(SHAPE) % 4
SETS = {
    "areas": from_labels("areas", LABELS, {1: "one", 2: "two", 3: "three", 9: "nobody"}),
    "sides": from_masks("sides", {"left": np.indices(SHAPE)[2] < 3}),
}


def test_rows_hold_the_engines_sums_and_errors() -> None:
    result = make_result(SHAPE, SETS)
    table = roi_table(result, SETS)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 3 * (5 + 2)
    assert table["roi"].tolist()[:5] == ["one", "two", "three", "nobody", "rest"]
    assert table["target"].tolist()[4:6] == ["a", "b"]
    row = table[(table["set"] == "areas") & (table["roi"] == "two") & (table["target"] == "b")].iloc[0]
    inside = result["attribution"].values[1][LABELS == 2]
    error = float(result["roi_standard_error"].values[1, 1])
    assert row["n_components"] == 12
    assert row["index"] == 2
    assert row["attribution"] == pytest.approx(inside.sum(), abs=1e-12)
    assert row["positive"] == pytest.approx(inside[inside > 0].sum(), abs=1e-12)
    assert row["negative"] == pytest.approx(inside[inside < 0].sum(), abs=1e-12)
    assert row["se"] == error
    assert row["estimator_error"] == 0.01
    both = np.hypot(error, 0.01)
    assert row["z"] == pytest.approx(inside.sum() / both)
    assert row["p"] == pytest.approx(2 * stats.norm.cdf(-abs(row["z"])))
    assert [row["ci_low"], row["ci_high"]] == pytest.approx(
        [inside.sum() - 1.959963985 * both, inside.sum() + 1.959963985 * both]
    )


def test_intervals_use_t_quantiles_where_degrees_of_freedom_are_known() -> None:
    table = roi_table(make_result(SHAPE, SETS, degrees_of_freedom=11), SETS)
    half = (table["ci_high"] - table["ci_low"]) / 2 / np.hypot(table["se"], table["estimator_error"])
    np.testing.assert_allclose(half, 2.200985160, rtol=1e-8)
    np.testing.assert_allclose(table["p"], 2 * stats.t(11).cdf(-table["z"].abs()))


def test_every_set_sums_to_the_score_with_its_rest() -> None:
    result = make_result(SHAPE, SETS)
    total = roi_table(result, SETS).groupby(["set", "target"])["attribution"].sum()
    for name in SETS:
        np.testing.assert_allclose(total[name].to_numpy(), result["score"].values, atol=1e-12)


def test_sums_equal_the_label_masker_of_nilearn() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((6, 7, 5)) > 0.3
    index = np.argwhere(mask)
    grid = rng.integers(0, 5, mask.shape)
    maps = rng.normal(size=(3, len(index)))
    volume = np.zeros((*mask.shape, 3))
    volume[mask] = maps.T
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    masker = NiftiLabelsMasker(nibabel.Nifti1Image(grid.astype(np.int32), affine), strategy="sum")
    expected = masker.fit_transform(nibabel.Nifti1Image(volume, affine))
    sets = {"atlas": from_labels("atlas", grid[tuple(index.T)])}
    table = roi_table(make_result((len(index),), maps=maps), sets)
    found = table[table["index"] > 0]["attribution"].to_numpy().reshape(3, 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_table_does_not_depend_on_how_many_targets_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    result = make_result(SHAPE, SETS, targets=tuple("abcdefg"))
    whole = roi_table(result, SETS)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 2 * 8 * 48)
    assert roi_table(result, SETS).equals(whole)


def test_a_map_without_roi_sums_is_summed_here_without_errors() -> None:
    result = make_result(SHAPE)
    table = roi_table(result, SETS)
    np.testing.assert_allclose(
        table["attribution"], roi_table(make_result(SHAPE, SETS), SETS)["attribution"], atol=1e-12
    )
    assert table[["se", "ci_low", "z", "p", "q", "estimator_error"]].isna().all().all()
    assert len(roi_table(result)) == len(roi_table(result, {})) == 0


def test_sums_without_the_sets_have_no_sizes_or_parts() -> None:
    table = roi_table(make_result(SHAPE, SETS))
    assert table[["n_components", "positive", "negative"]].isna().all().all()
    assert table["attribution"].notna().all()


def test_an_empty_region_has_no_error_and_no_test() -> None:
    result = make_result(SHAPE, SETS)
    result["roi_standard_error"][:, 3] = result["roi_estimator_error"][:, 3] = 0.0
    row = roi_table(result, SETS).query("roi == 'nobody'").iloc[0]
    assert [row["n_components"], row["attribution"]] == [0, 0]
    assert np.isnan([row["se"], row["z"], row["p"], row["q"]]).all()


def test_false_discovery_is_controlled_over_regions_and_targets_of_each_set() -> None:
    table = roi_table(make_result(SHAPE, SETS), SETS)
    for _, rows in table.groupby("set"):
        np.testing.assert_allclose(rows["q"], stats.false_discovery_control(rows["p"]))
        np.testing.assert_allclose(rows["q_by"], stats.false_discovery_control(rows["p"], method="by"))


def test_each_set_and_all_targets_are_one_family_against_the_null() -> None:
    result = make_result(SHAPE, SETS)
    observed = result["roi_attribution"].values
    null = 0.03 * np.random.default_rng(1).normal(size=(199, *observed.shape))
    noise = np.zeros(observed.shape)
    result = result.assign(roi_null=(("permutation", "target", "roi"), null))
    result = result.assign(roi_null_error=(("target", "roi"), noise))
    result["roi_estimator_error"][:] = 0.0
    table = roi_table(result, SETS)
    for name, inside in (("areas", slice(0, 5)), ("sides", slice(5, 7))):
        rows = table[table["set"] == name]
        test = max_t(observed[:, inside], null[:, :, inside])
        np.testing.assert_allclose(rows["z_null"], test.z.reshape(-1))
        np.testing.assert_allclose(rows["p_null"], test.p.reshape(-1))
        np.testing.assert_allclose(rows["p_fwe"], test.p_family.reshape(-1))
    assert roi_table(make_result(SHAPE, SETS), SETS)[["z_null", "p_null", "p_fwe"]].isna().all().all()


def test_the_noise_of_the_null_is_exchanged_for_that_of_the_sums() -> None:
    result = make_result(SHAPE, SETS)
    null = 0.05 * np.random.default_rng(1).normal(size=(199, *result["roi_attribution"].shape))
    clean, noisy = (
        roi_table(
            result.assign(
                roi_null=(("permutation", "target", "roi"), null),
                roi_null_error=(("target", "roi"), np.full(null.shape[1:], error)),
            )
        )["z_null"]
        for error in (0.01, 0.03)
    )
    np.testing.assert_allclose((clean / noisy).median(), np.sqrt(1 - (0.03**2 - 0.01**2) / 0.05**2), rtol=0.03)


def test_the_share_is_blank_where_the_score_may_be_zero() -> None:
    maps = np.zeros((3, *SHAPE))
    maps[0, 0, 0, :4], maps[1, 0, 0, 0], maps[2, 0, 0, 0] = 0.1, 0.1, -0.5
    table = roi_table(make_result(SHAPE, SETS, maps=maps), SETS)
    share = {target: rows["share"].to_numpy() for target, rows in table[table["set"] == "sides"].groupby("target")}
    np.testing.assert_allclose(share["a"], [0.75, 0.25])
    assert np.isnan(share["b"]).all()
    np.testing.assert_allclose(share["c"], [1, 0])


def test_the_interval_of_the_score_is_fishers_or_the_results_own() -> None:
    maps = np.zeros((3, *SHAPE))
    maps[:, 0, 0, 0] = [0.4, 0.0, 1.0]
    result = make_result(SHAPE, maps=maps)
    low, high = score_interval(result)
    a, b = np.tile([1.0, -1.0], 100), np.repeat([1.0, -1.0], 100)
    peer = stats.pearsonr(a, 0.4 * a + np.sqrt(1 - 0.16) * b).confidence_interval(0.95)
    np.testing.assert_allclose([low[0], high[0]], [peer.low, peer.high], atol=1e-9)
    assert low[1] == pytest.approx(-high[1])
    assert low[2] > 0.999
    low, high = score_interval(result.assign(score_standard_error=("target", np.full(3, 0.1))))
    np.testing.assert_allclose(high - low, 0.3919928)
    low, high = score_interval(result.drop_vars("n_fold"))
    assert [low[0], high[0]] == [-1, 1]


def test_incomplete_methods_have_no_share_and_need_not_sum_to_the_score() -> None:
    result = make_result(SHAPE, SETS, complete=False)
    result["score"] = result["score"] + 0.3
    table = roi_table(result, SETS)
    assert table["share"].isna().all()
    assert table["attribution"].notna().all()


def test_a_set_that_does_not_sum_to_the_score_is_refused() -> None:
    result = make_result(SHAPE, SETS)
    result["score"][1] += 1e-5
    with pytest.raises(DataError, match=r"cnn-seed0/igc.*set 'areas'.*target 'b'"):
        roi_table(result, SETS)
    missing = make_result(SHAPE, SETS)
    missing["roi_attribution"][2, 6] = np.nan
    with pytest.raises(DataError, match=r"set 'sides'.*target 'c'"):
        roi_table(missing)


def test_a_target_without_a_score_stays_blank() -> None:
    result = make_result(SHAPE, SETS)
    for name in ("score", "attribution", "roi_attribution"):
        result[name][1] = np.nan
    table = roi_table(result, SETS)
    assert table[table["target"] == "b"][["attribution", "p", "q", "share"]].isna().all().all()
    assert table[table["target"] == "a"]["q"].notna().all()


def test_other_roi_sets_than_the_results_are_refused() -> None:
    result = make_result(SHAPE, SETS)
    with pytest.raises(DataError, match="run `igc attribute` again with these ROI sets"):
        roi_table(result, {"areas": SETS["areas"]})
    moved = from_labels("areas", np.roll(LABELS, 1), SETS["areas"].regions)
    with pytest.raises(DataError, match="away from the map's"):
        roi_table(result, {**SETS, "areas": moved})
