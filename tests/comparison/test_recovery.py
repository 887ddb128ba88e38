import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.comparison.recovery import recovery, recovery_table, support_of, weighted_sum_map
from igc.data.simulated import exact_covariance
from igc.errors import ShapeError
from tests.roi.synthetic import make_result


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 40))
def test_the_auc_is_the_share_of_pairs_in_the_right_order(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values, truth = rng.integers(-3, 4, n), np.where(np.arange(n) < 2, rng.choice([-1.0, 1.0], n), 0)
    inside, outside = np.abs(values[:2]), np.abs(values[2:])
    pairs = [(i > o) + 0.5 * (i == o) for i in inside for o in outside]
    assert recovery(values, truth)["auc"] == pytest.approx(np.mean(pairs))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 40))
def test_the_average_precision_is_the_mean_precision_at_each_hit(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values, truth = rng.normal(size=n), np.where(np.arange(n) < 3, 1.0, 0)
    hits = (np.argsort(-np.abs(values)) < 3).astype(float)
    precision = np.cumsum(hits) / np.arange(1, n + 1)
    assert recovery(values, truth)["average_precision"] == pytest.approx(precision[hits > 0].mean())


def test_a_map_equal_to_the_truth_recovers_it() -> None:
    truth = np.zeros((1, 5, 5))
    truth[0, 1:3, 1:3] = [[1, -2], [3, 2]]
    perfect = recovery(3 * truth, truth)
    assert perfect == pytest.approx(
        {"auc": 1, "average_precision": 1, "pearson": 1, "mass_inside": 1, "pointing_rank": 1}
    )
    assert recovery(-truth, truth)["pearson"] == pytest.approx(-1)
    assert recovery(np.abs(truth), truth, signed=False)["pearson"] == pytest.approx(1)


def test_mass_and_rank_tell_how_much_lies_outside() -> None:
    truth = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    found = recovery([1.0, -2.0, 3.0, -4.0, 0.5], truth)
    assert found["mass_inside"] == pytest.approx(3 / 10.5)
    assert found["pointing_rank"] == 3
    assert recovery([2.0, 1.0, 2.0, 0.0, 0.0], truth)["pointing_rank"] == 2


@pytest.mark.parametrize(
    ("values", "truth", "missing"),
    [
        (np.ones(4), np.array([1.0, 0, 0, 0]), {"pearson"}),
        (np.zeros(4), np.array([1.0, 0, 0, 0]), {"pearson", "mass_inside"}),
        (np.arange(4.0), np.zeros(4), {"auc", "average_precision", "pearson", "pointing_rank"}),
        (np.arange(4.0), np.ones(4), {"auc", "average_precision", "pearson", "pointing_rank"}),
        (np.array([1, np.nan, 0, 0]), np.array([1.0, 0, 0, 0]), set()),
    ],
)
def test_measures_that_are_not_defined_are_missing(values: np.ndarray, truth: np.ndarray, missing: set[str]) -> None:
    found = recovery(values, truth)
    expected = missing or set(found)
    assert {name for name, value in found.items() if np.isnan(value)} == expected


def test_a_map_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match="recovery"):
        recovery(np.zeros((2, 3)), np.zeros((3, 2)))


def test_the_support_leaves_the_tails_of_a_mask_out() -> None:
    assert support_of([0.0, 0.05, -0.2, 1.0]).tolist() == [False, False, True, True]
    assert not support_of(np.zeros(3)).any()


def test_the_exact_map_equals_the_one_of_the_full_covariance_matrix() -> None:
    size = 8
    mask = np.random.default_rng(0).normal(size=(size, size))
    row, column = (axis.reshape(-1) for axis in np.indices((size, size)))
    lags = (row[:, None] - row) % size, (column[:, None] - column) % size
    product = exact_covariance(size)[lags] @ mask.reshape(-1)
    expected = mask.reshape(-1) * product / (mask.reshape(-1) @ product)
    np.testing.assert_allclose(weighted_sum_map(mask).reshape(-1), expected, rtol=1e-9, atol=1e-12)


def truth_of(mask: np.ndarray) -> xr.DataArray:
    return xr.DataArray(mask[None, None], dims=("target", "channel", "row", "column"), coords={"target": ["sum"]})


def test_the_error_to_the_exact_map_is_given_for_the_weighted_sum_only() -> None:
    mask = np.random.default_rng(0).normal(size=(8, 8))
    exact = weighted_sum_map(mask)[None, None]
    result = make_result((1, 8, 8), targets=["sum"], maps=1.1 * exact)
    assert recovery_table(result, truth_of(mask), "weighted_sum")["relative_error"].tolist() == pytest.approx([0.1])
    assert recovery_table(result, truth_of(mask), "maximum")["relative_error"].isna().all()
    result.attrs["complete"] = False
    assert recovery_table(result, truth_of(mask), "weighted_sum")["relative_error"].isna().all()


def test_targets_are_matched_by_name_and_those_without_truth_left_out() -> None:
    mask = np.eye(8)
    maps = np.stack([np.ones((1, 8, 8)), mask[None]])
    result = make_result((1, 8, 8), targets=["other", "sum"], maps=maps)
    table = recovery_table(result, truth_of(mask))
    assert table["target"].tolist() == ["sum"]
    assert table["pearson"].tolist() == pytest.approx([1])
