import numpy as np
import pytest
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.ridge import GroupRidgeCV
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit

from igc.models import banded
from igc.models.banded import BandedRidge, penalties_of_some, search_penalties

GRID = np.geomspace(1e-1, 1e4, 6)
BANDS = np.array([0, 2, 1, 0, 1, 2, 0, 0])


def samples(n: int = 120, p: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs off zero of which the first band alone matters, responses (sample, 2), and bands."""
    rng = np.random.default_rng(seed)
    bands = np.resize(BANDS, p)
    x = rng.standard_normal((n, p)) + 2
    weights = rng.standard_normal((p, 2)) * (bands == 0)[:, None]
    return x, x @ weights + rng.standard_normal((n, 2)) * 2 + 5, bands


@pytest.mark.parametrize("p", [8, 200], ids=["primal", "dual"])
def test_a_fit_is_ridge_regression_of_scaled_components(p: int) -> None:
    x, y, bands = samples(p=p)
    penalties = np.array([[0.5, 20.0, 300.0], [10.0, 1.0, 4.0]])
    fit = BandedRidge(x, y, bands).fit(penalties)
    for k in range(2):
        scale = 1 / np.sqrt(penalties[k][bands])
        peer = Ridge(alpha=1.0).fit(x * scale, y[:, k])
        np.testing.assert_allclose(fit.weights[k], peer.coef_ * scale, rtol=1e-7, atol=1e-10)
        assert fit.bias[k] == pytest.approx(peer.intercept_)


@pytest.mark.parametrize("p", [8, 200], ids=["primal", "dual"])
def test_bands_that_are_left_out_are_as_if_they_were_never_there(p: int) -> None:
    x, y, bands = samples(p=p)
    penalties = np.array([[0.5, 20.0, 300.0], [10.0, 1.0, 4.0]])
    fit = BandedRidge(x, y, bands).fit(penalties, keep=[0, 2])
    columns = bands != 1
    alone = BandedRidge(x[:, columns], y, bands[columns] // 2).fit(penalties[:, [0, 2]])
    np.testing.assert_allclose(fit.weights[:, columns], alone.weights, rtol=1e-8, atol=1e-12)
    assert (fit.weights[:, ~columns] == 0).all()
    np.testing.assert_allclose(fit.bias, alone.bias)


@pytest.mark.parametrize("p", [8, 200], ids=["primal", "dual"])
def test_strengths_and_weights_are_those_of_himalaya(p: int) -> None:
    x, y, bands = samples(p=p)
    inner = np.arange(120) % 4
    penalties = search_penalties(x, y, bands, inner, GRID, seed=3)
    parts = [x[:, bands == band] for band in range(3)]
    options = {"n_iter": banded._ratios(3, 3), "alphas": GRID, "progress_bar": False}
    common = {"cv": PredefinedSplit(inner), "fit_intercept": True}
    if p == 8:
        peer = GroupRidgeCV(groups="input", solver_params=options | {"warn": False}, **common).fit(parts, y)
        weights = np.zeros((2, p))
        ends = np.cumsum([part.shape[1] for part in parts])[:-1]
        for band, coefficients in enumerate(np.split(peer.coef_, ends)):
            weights[:, bands == band] = coefficients.T
        np.testing.assert_allclose(BandedRidge(x, y, bands).fit(penalties).weights, weights, rtol=1e-6, atol=1e-8)
    else:
        centred = [part - part.mean(axis=0) for part in parts]
        kernels = np.stack([part @ part.T for part in centred])
        peer = MultipleKernelRidgeCV(kernels="precomputed", solver_params=options, **common).fit(kernels, y)
        fit = BandedRidge(x, y, bands).fit(penalties)
        np.testing.assert_allclose(x @ fit.weights.T + fit.bias, peer.predict(kernels), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(penalties, np.exp(-peer.deltas_.T))


def test_bands_without_information_are_regularised_most() -> None:
    x, y, bands = samples(n=300)
    penalties = search_penalties(x, y, bands, np.arange(300) % 5, GRID, seed=0)
    assert (penalties[:, 0] < penalties[:, 1:].min(axis=1)).all()


def test_plain_ridge_is_among_what_is_tried_and_one_band_is_plain_ridge() -> None:
    ratios = banded._ratios(4, 0)
    np.testing.assert_allclose(ratios[0], 0.25)
    np.testing.assert_allclose(ratios.sum(axis=1), 1)
    x, y, bands = samples()
    penalties = search_penalties(x, y, np.zeros_like(bands), np.arange(120) % 4, GRID, seed=0)
    assert np.isin(penalties.round(6), GRID.round(6)).all()


def test_patterns_are_input_covariance_times_weights_in_standard_deviations() -> None:
    x, y, bands = samples()
    ridge = BandedRidge(x, y, bands)
    fit = ridge.fit(np.ones((2, 3)))
    standardized, patterns = ridge.structure(fit.weights)
    prediction = x @ fit.weights.T + fit.bias
    haufe = np.cov(x.T) @ fit.weights.T / prediction.var(axis=0, ddof=1)
    np.testing.assert_allclose(patterns.T, haufe * prediction.std(axis=0) / x.std(axis=0)[:, None], rtol=1e-6)
    np.testing.assert_allclose(standardized.T, fit.weights.T * x.std(axis=0)[:, None] / y.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("p", [8, 200], ids=["primal", "dual"])
def test_even_strengths_are_ridge_regression_of_the_bands_that_are_kept(p: int) -> None:
    x, y, bands = samples(p=p)
    weights = BandedRidge(x, y, bands).even(np.array([0.5, 30.0]), [0, 2])
    peer = Ridge(alpha=30.0).fit(x[:, bands != 1], y)
    np.testing.assert_allclose(weights[1][:, bands != 1], peer.coef_, rtol=1e-6, atol=1e-9)
    assert (weights[:, :, bands == 1] == 0).all()


def test_strengths_of_some_bands_are_the_best_in_cross_validation() -> None:
    x, y, bands = samples(n=60)
    inner, keep = np.arange(60) % 3, np.array([0, 1])
    penalties = np.array([[1.0, 500.0, 1.0], [1e7, 1e7, 1.0]])
    (found,) = penalties_of_some(x, y, bands, inner, GRID, penalties, [keep])
    used = bands < 2
    for k in range(2):
        errors = []
        for strengths in (penalties[k][bands], *(np.full(8, alpha) for alpha in GRID)):
            scale = 1 / np.sqrt(strengths[used])
            total = 0.0
            for fold in range(3):
                peer = Ridge(alpha=1.0).fit(x[inner != fold][:, used] * scale, y[inner != fold, k])
                total += np.mean((peer.predict(x[inner == fold][:, used] * scale) - y[inner == fold, k]) ** 2)
            errors.append(total)
        best = int(np.argmin(errors))
        np.testing.assert_allclose(found[k], penalties[k] if best == 0 else GRID[best - 1])
    assert (found[1] == found[1, 0]).all()  # strengths that kill both bands lose
