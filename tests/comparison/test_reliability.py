import numpy as np
import pytest

import igc
from igc.comparison.reliability import RELIABILITY_COLUMNS, SEED_COLUMNS, reliability_table, seed_table
from igc.errors import DataError
from igc.roi.sets import from_labels
from igc.stats.resampling import split_halves
from igc.testing.probes import linear_model, smooth_network, toy_samples
from tests.roi.synthetic import make_result

SHAPE = (1, 6, 8)
SETS = {"areas": from_labels("areas", np.arange(48).reshape(SHAPE) % 4)}


def attributed(n: int, noise: float, seed: int = 0) -> object:
    model = smooth_network(6, 2, seed=2)
    labels = {"parts": np.array([1, 2, 3, 4, 5, 0]), "two": np.array([1, 1, 1, 0, 0, 0])}
    samples = toy_samples(n, 6, model, noise=noise, seed=seed)
    return igc.attribute(model, samples, points=8, rois=labels, permutations=0, progress=False)


def test_a_profile_is_as_reliable_as_it_repeats_in_fresh_samples() -> None:
    table = reliability_table(attributed(300, 3.0))
    assert tuple(table.columns) == RELIABILITY_COLUMNS
    assert set(table["n_groups"]) == {64}
    repeats = [attributed(300, 3.0, seed)["roi_attribution"].values[:, :6] for seed in range(1, 25)]
    rows = table[table["set"] == "parts"]
    for k in range(2):
        pairs = np.corrcoef(np.stack([repeat[k] for repeat in repeats]))
        assert rows["reliability"].iloc[k] == pytest.approx(pairs[np.triu_indices(24, 1)].mean(), abs=0.1)
    # regions of one component each: the profile is the map
    np.testing.assert_allclose(rows["map_reliability"], rows["reliability"], atol=0.03)
    assert table[table["set"] == "two"]["reliability"].isna().all()


def test_halves_are_what_the_method_says_of_half_the_groups() -> None:
    model = linear_model(np.random.default_rng(1).normal(size=(2, 6)))
    inputs, responses = toy_samples(600, 6, model, noise=3.0)
    groups = np.arange(600) // 20
    options = {"method": "linear_igc", "rois": np.arange(1, 7), "permutations": 0, "progress": False}
    whole = igc.attribute(model, (inputs, responses), groups=groups, **options)
    value, without = whole["roi_fold"].values[0], whole["roi_without_group"].values[0]
    found = split_halves(value, without, np.random.default_rng(0))
    order = np.random.default_rng(0).permutation(30)
    for half, members in zip(found, (order[:15], order[15:]), strict=True):
        inside = np.isin(groups, members)
        exact = igc.attribute(model, (inputs[inside], responses[inside]), groups=groups[inside], **options)
        named = slice(0, 6)  # without the rest, which is empty
        gap, error = half - exact["roi_attribution"].values, exact["roi_standard_error"].values
        ratio = np.abs(gap[:, named]) / error[:, named]
        assert ratio.max() < 0.5
        assert ratio.mean() < 0.15


def test_more_samples_are_more_reliable() -> None:
    few, many = (reliability_table(attributed(n, 6.0)).query("set == 'parts'") for n in (100, 3000))
    assert (many["reliability"] > few["reliability"]).all()
    assert (many["reliability"] > many["half_correlation"]).all()
    assert (many["reliability"] > 0.95).all()


def test_without_groups_there_is_no_reliability() -> None:
    assert reliability_table(make_result(SHAPE, SETS)).empty


def test_seeds_spread_beside_the_error_of_sampling() -> None:
    results = [make_result(SHAPE, SETS, seed=seed) for seed in range(5)]
    table = seed_table(results)
    assert tuple(table.columns) == SEED_COLUMNS
    values = np.stack([result["roi_attribution"].values for result in results])
    errors = np.stack([result["roi_standard_error"].values for result in results])
    row = table[(table["target"] == "b") & (table["index"] == 2)].iloc[0]
    assert row["n_seeds"] == 5
    assert row["attribution"] == pytest.approx(values[:, 1, 1].mean())
    assert row["seed_sd"] == pytest.approx(np.sqrt(values[:, 1, 1].var(ddof=1) - 0.01**2))
    assert row["sampling_se"] == pytest.approx(np.sqrt((errors[:, 1, 1] ** 2).mean()))
    total = row["sampling_se"] ** 2 + (row["seed_sd"] ** 2 + 0.01**2) / 5
    assert row["total_se"] == pytest.approx(np.sqrt(total))


def test_one_seed_has_no_spread_and_other_regions_are_refused() -> None:
    first = make_result(SHAPE, SETS)
    assert seed_table([first]).empty
    with pytest.raises(DataError, match="other rois"):
        seed_table([first, make_result(SHAPE, {"x": from_labels("x", np.arange(48).reshape(SHAPE) % 3)})])
