import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from igc.data.planted_voxels import REGIONS, RESPONSE_NOISE, voxel_plan
from igc.data.simulated_voxels import voxels_and_responses
from igc.models.partition import COLUMNS, partition_fold, partition_table
from igc.stats.correlation import jackknife_error

BANDS = np.array([0, 0, 1, 2, 2, 1])
WEAK = np.full((2, 3), 1e-8)
INNER = (np.arange(200) % 5, np.array([1e-8]))


def samples(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 6)) @ (np.eye(6) + 0.3)
    return x, x @ np.random.default_rng(9).standard_normal((6, 2)) + 2 * rng.standard_normal((n, 2))


TRAIN, TEST = samples(200, 0), samples(90, 1)


def test_shares_are_differences_of_r_squared_of_models_fitted_without_a_region() -> None:
    found = partition_fold(TRAIN, TEST, np.arange(90), BANDS, WEAK, *INNER).values

    def score(columns: np.ndarray) -> np.ndarray:
        model = LinearRegression().fit(TRAIN[0][:, columns], TRAIN[1])
        return r2_score(TEST[1], model.predict(TEST[0][:, columns]), multioutput="raw_values")

    whole = score(np.full(6, True))
    for band in range(3):
        alone, rest = score(band == BANDS), score(band != BANDS)
        expected = np.stack([whole, alone, whole - rest, alone - (whole - rest)])
        np.testing.assert_allclose(found[:, :, band], expected, atol=1e-6)


def test_errors_leave_out_one_group_at_a_time() -> None:
    groups = np.repeat(np.arange(9), 10)
    found = partition_fold(TRAIN, TEST, groups, BANDS, WEAK, *INNER)
    slow = []
    for group in range(9):
        part = tuple(values[groups != group] for values in TEST)
        slow.append(partition_fold(TRAIN, part, groups[groups != group], BANDS, WEAK, *INNER).values)
    np.testing.assert_allclose(found.without, slow, atol=1e-10)
    table = partition_table([found], "set", [(1, "a"), (3, "b"), (0, "rest")], ["u", "v"])
    assert tuple(table.columns) == COLUMNS
    row = table[(table["roi"] == "b") & (table["target"] == "v")].iloc[0]
    assert row["unique"] == pytest.approx(found.values[2, 1, 1])
    assert row["unique_se"] == pytest.approx(jackknife_error(np.stack(slow))[2, 1, 1])


def test_folds_are_weighed_by_their_samples() -> None:
    big = partition_fold(TRAIN, TEST, np.arange(90), BANDS, WEAK, *INNER)
    small = partition_fold(TRAIN, samples(30, 2), np.arange(30), BANDS, WEAK, *INNER)
    table = partition_table([big, small], "set", [(1, "a"), (2, "b"), (0, "rest")], ["u", "v"])
    expected = 0.75 * big.values + 0.25 * small.values
    np.testing.assert_allclose(table["alone"], expected[1].reshape(-1))
    errors = [jackknife_error(fold.without)[1] for fold in (big, small)]
    np.testing.assert_allclose(table["alone_se"], np.hypot(0.75 * errors[0], 0.25 * errors[1]).reshape(-1))


def test_with_a_single_group_there_is_no_error() -> None:
    table = partition_table(
        [partition_fold(TRAIN, TEST, np.zeros(90, dtype=np.int64), BANDS, WEAK, *INNER)],
        "set",
        [(1, "a"), (2, "b"), (0, "rest")],
        ["u", "v"],
    )
    assert table["unique_se"].isna().all()
    assert table["unique"].notna().all()


def test_planted_roles_show_as_their_exact_shares() -> None:
    plan = voxel_plan(16)
    numbers = np.arange(12000)
    voxels, responses = voxels_and_responses(0, numbers, 16)
    bands = (plan.regions - 1) % 8
    train, test = ((voxels[part], responses[part]) for part in (numbers % 2 == 0, numbers % 2 == 1))
    # strengths that use only one of two regions that say the same, as a search may well choose
    strengths = np.full((2, 8), 1e-3)
    strengths[:, REGIONS.index("copies")] = 1e9
    found = partition_fold(train, test, numbers[:6000], bands, strengths, numbers[:6000] % 5, np.array([1e-3]))
    signal = plan.loading @ plan.field_covariance @ plan.sum_signal

    def explained(columns: np.ndarray) -> float:
        covariance = np.linalg.pinv(plan.covariance[np.ix_(columns, columns)], rcond=1e-10, hermitian=True)
        return float(signal[columns] @ covariance @ signal[columns] / (1 + RESPONSE_NOISE**2))

    whole = explained(np.full(32, True))
    for band in range(7):
        exact = [explained(bands == band), whole - explained(bands != band)]
        assert found.values[1:3, 0, band] == pytest.approx(exact, abs=0.025)
    alone, unique, shared = (dict(zip(REGIONS, found.values[i, 0], strict=False)) for i in (1, 2, 3))
    assert max(unique["original"], unique["copies"]) < 0.005 < 0.1 < shared["copies"]
    assert unique["suppressors"] > 0.05
    assert abs(alone["suppressors"]) < 0.01
    assert shared["suppressors"] < -0.05
    assert np.abs(found.values[1:3, 1]).max() < 0.02  # nothing linear predicts the product
