import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from igc.comparison.agreement import MEASURES, agreement, average_agreement, map_agreement, profile_agreement
from igc.roi.sets import from_labels
from tests.roi.synthetic import make_result

SHAPE = (1, 6, 8)
SETS = {
    "fives": from_labels("fives", np.arange(48).reshape(SHAPE) % 5),
    "half": from_labels("half", np.eye(6, 8)[None]),
}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(5, 60))
def test_correlations_equal_scipys(seed: int, n: int) -> None:
    a, b = np.random.default_rng(seed).integers(-9, 9, (2, n)) + np.linspace(0, 0.5, n)
    found = agreement(a, b)
    assert found["pearson"] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
    assert found["spearman"] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert found["cosine"] == pytest.approx(float(a @ b) / np.sqrt(float(a @ a) * float(b @ b)), abs=1e-12)
    assert agreement(b, a) == pytest.approx(found)


def test_equal_opposite_and_rescaled_maps_have_known_measures() -> None:
    a = np.random.default_rng(0).normal(size=40)
    equal, opposite, double = agreement(a, a), agreement(a, -a), agreement(a, 2 * a)
    assert [equal[m] for m in MEASURES] == pytest.approx([1, 1, 1, 0, 1])
    assert [opposite[m] for m in MEASURES] == pytest.approx([-1, -1, -1, 2, 1])
    assert [double[m] for m in MEASURES] == pytest.approx([1, 1, 1, np.sqrt(2 / 5), 1])


def test_the_top_overlap_counts_shared_largest_magnitudes() -> None:
    a, b = np.zeros(20), np.zeros(20)
    a[[0, 1]], b[[1, 2]] = [5, -4], [-3, 2]
    assert agreement(a, b, top=0.1)["top_overlap"] == 0.5
    assert agreement(a, b, top=1.0)["top_overlap"] == 0.5
    b[2] = 0
    assert agreement(a, b, top=1.0)["top_overlap"] == 0.5
    assert agreement(a, b, top=0.05)["top_overlap"] == 0.0


def test_measures_that_are_not_defined_are_missing() -> None:
    a = np.arange(6.0)
    flat = agreement(a, np.ones(6))
    assert np.isnan([flat["pearson"], flat["spearman"]]).all()
    assert flat["cosine"] > 0
    assert np.isnan(list(agreement(np.zeros(6), np.zeros(6)).values())).all()
    unknown = np.where(a == 2, np.nan, a)
    assert agreement(a, unknown) == pytest.approx(agreement(a[a != 2], a[a != 2]))


def test_correlations_are_averaged_through_fisher() -> None:
    rows = [dict.fromkeys(MEASURES, value) for value in (0.0, 0.9, float("nan"))]
    average = average_agreement(rows)
    assert average["pearson"] == pytest.approx(np.tanh(np.arctanh(0.9) / 2))
    assert average["top_overlap"] == pytest.approx(0.45)
    assert np.isnan(average_agreement([])["cosine"])
    assert average_agreement([dict.fromkeys(MEASURES, 1.0)])["spearman"] == pytest.approx(1)


def test_maps_are_compared_target_by_target_by_name() -> None:
    a = make_result(SHAPE, targets=("x", "y", "z"))
    b = make_result(SHAPE, targets=("z", "x"), maps=a["attribution"].values[[2, 0]])
    table = map_agreement(a, b)
    assert table["target"].tolist() == ["x", "z", "all"]
    np.testing.assert_allclose(table[["pearson", "cosine", "top_overlap"]], 1)
    assert set(table["n"]) == {48}
    assert set(table["compared"]) == {"signed"}


def test_a_method_without_a_sign_is_compared_by_magnitude() -> None:
    a = make_result(SHAPE)
    b = make_result(SHAPE, maps=np.abs(a["attribution"].values), signed=False, complete=False)
    table = map_agreement(a, b)
    assert set(table["compared"]) == {"magnitude"}
    np.testing.assert_allclose(table["pearson"], 1)
    assert table["relative_difference"].isna().all()


def test_profiles_are_compared_set_by_set() -> None:
    a, b = make_result(SHAPE, SETS, seed=1), make_result(SHAPE, SETS, seed=2)
    table = profile_agreement(a, b)
    assert table["set"].tolist() == ["fives"] * 4 + ["half"] * 4
    row = table[(table["set"] == "fives") & (table["target"] == "b")].iloc[0]
    profiles = [result["roi_attribution"].values[1, :5] for result in (a, b)]
    assert row["n"] == 5
    assert row["pearson"] == pytest.approx(np.corrcoef(*profiles)[0, 1])
    assert np.isnan(table[table["set"] == "half"]["pearson"]).all()


def test_regions_that_are_empty_in_both_do_not_count() -> None:
    sets = {"fives": from_labels("fives", np.arange(48).reshape(SHAPE) % 5, {i: str(i) for i in range(1, 12)})}
    a, b = make_result(SHAPE, sets, seed=1), make_result(SHAPE, sets, seed=2)
    full = make_result(SHAPE, {"fives": SETS["fives"]}, seed=1), make_result(SHAPE, {"fives": SETS["fives"]}, seed=2)
    np.testing.assert_allclose(profile_agreement(a, b)[list(MEASURES)], profile_agreement(*full)[list(MEASURES)])


def test_results_without_roi_sums_have_no_profile() -> None:
    assert profile_agreement(make_result(SHAPE), make_result(SHAPE, SETS)).empty
    none = make_result(SHAPE, SETS).isel(roi=[])
    assert profile_agreement(none, none).empty
