"""Redundancy, suppression and interaction, planted in simulated voxels, show in the method that should see them."""

from functools import cache

import numpy as np
import pytest
import xarray as xr

import igc
from igc.comparison.recovery import recovery
from igc.data.planted_voxels import REGIONS, RESPONSE_NOISE, TARGETS, planted_voxels, voxel_plan
from igc.data.simulated_voxels import voxels_and_responses
from igc.models import build_architecture

SIZE = 16
PLAN = voxel_plan(SIZE)
SUM, PRODUCT = range(2)


@cache
def run(method: str, n: int = 2000, **options: object) -> xr.Dataset:
    """Explain the exact best predictors."""
    samples = tuple(part.astype(np.float32) for part in voxels_and_responses(0, np.arange(n), SIZE))
    model = build_architecture("fmri", (2 * SIZE,), len(TARGETS)).eval()
    return igc.attribute(
        model,
        samples,
        method=method,
        rois={"truth": PLAN.regions},
        permutations=0,
        progress=False,
        **options,
    )


def profile(result: xr.Dataset, target: int) -> dict[str, float]:
    return dict(zip([*REGIONS, "rest"], result["roi_attribution"].values[target].tolist(), strict=True))


def exact_sum_profile() -> dict[str, float]:
    """Product measure of the best linear predictor from exact covariances, by region."""
    weights = PLAN.weights(PLAN.sum_signal)
    with_response = PLAN.loading @ PLAN.field_covariance @ PLAN.sum_signal
    scale = np.sqrt(weights @ PLAN.covariance @ weights * (1 + RESPONSE_NOISE**2))
    parts = weights * with_response / scale
    return {name: float(parts[PLAN.regions == code].sum()) for code, name in enumerate(REGIONS, start=1)}


def test_igc_of_the_best_predictor_is_the_closed_form_by_region() -> None:
    found, exact = profile(run("igc", points=4), SUM), exact_sum_profile()
    assert [found[name] for name in REGIONS] == pytest.approx(list(exact.values()), abs=0.04)


def test_igc_shares_credit_between_original_and_copies() -> None:
    found = profile(run("igc", points=4), SUM)
    assert found["copies"] == pytest.approx(found["original"], rel=1e-6)
    assert found["copies"] > 0.4 * found["unique"]


def test_what_a_region_adds_to_the_rest_is_nothing_for_original_and_copies() -> None:
    found = profile(run("information_gain", n=24, baselines=None, sampler="gaussian", draws=64), SUM)
    assert found["unique"] > 0.1
    assert max(abs(found["original"]), abs(found["copies"])) < 0.15 * found["unique"]


def test_suppressors_show_in_what_they_add_but_neither_in_igc_nor_in_naive_correlation() -> None:
    map_of_use = profile(run("integrated_gradients", baselines="zero", summary="mean_absolute"), SUM)
    gain = profile(run("information_gain", n=24, baselines=None, sampler="gaussian", draws=64), SUM)
    assert map_of_use["suppressors"] > 0.5 * map_of_use["unique"]
    assert gain["suppressors"] > 0.2 * gain["unique"]
    assert abs(profile(run("igc", points=4), SUM)["suppressors"]) < 0.03
    naive = np.abs(run("naive_correlation")["attribution"].values[SUM])
    assert naive[PLAN.regions == 1 + REGIONS.index("suppressors")].max() < 4 / np.sqrt(2000)
    assert naive[PLAN.regions == 1 + REGIONS.index("unique")].min() > 8 / np.sqrt(2000)


def test_the_interaction_shows_in_igc_and_is_no_first_order_effect() -> None:
    parts = run("taylor_igc", n=300, points=8, features=tuple(PLAN.regions.tolist()))
    pair = parts["interaction"].values[PRODUCT]
    first, second = (1 + REGIONS.index(name) for name in ("first partner", "second partner"))
    others = pair.copy()
    others[first, second] = others[second, first] = 0.0
    assert pair[first, second] > 0.7
    assert np.abs(others).max() < 0.05
    assert np.abs(parts["part_attribution"].sel(part="first").values[PRODUCT]).max() < 0.03
    found = profile(run("igc", points=4), PRODUCT)
    assert min(found["first partner"], found["second partner"]) > 0.3
    naive = np.abs(run("naive_correlation")["attribution"].values[PRODUCT])
    # the variance of a voxel times a product that it is part of is at most three times that of independent ones
    assert naive.max() < 4 * np.sqrt(3 / 2000)


def test_maps_of_the_best_predictor_recover_what_was_planted() -> None:
    truth = planted_voxels(SIZE).truth
    scores = {
        name: recovery(run(name, **options)["attribution"].values[SUM], truth[SUM])
        for name, options in (("igc", {"points": 4}), ("naive_correlation", {}))
    }
    assert scores["igc"]["mass_inside"] > 0.95 > scores["naive_correlation"]["mass_inside"]
    assert recovery(run("igc", points=4)["attribution"].values[PRODUCT], truth[PRODUCT])["auc"] == pytest.approx(1.0)
