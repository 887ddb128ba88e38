from pathlib import Path

import numpy as np
import pytest
from himalaya.ridge import RidgeCV
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit

from igc.models.batches import SampleSource
from igc.models.ridge import fit_ridge
from igc.store.samples import open_samples
from tests.models.stores import regression, write_samples

GRID = np.geomspace(1e-2, 1e5, 15)


def stored(folder: Path, n: int, p: int, budget: int = 1 << 30) -> tuple[SampleSource, np.ndarray, np.ndarray]:
    x, y = regression(n, p, 3)
    y[:, 2] = np.random.default_rng(5).standard_normal(n)  # nothing to learn: wants a large alpha
    source = SampleSource(open_samples(write_samples(folder / "s.zarr", x, y, np.zeros(n))), budget)
    return source, source.samples["inputs"].values.astype(float), source.samples["responses"].values.astype(float)


@pytest.mark.parametrize("p", [5, 200], ids=["primal", "dual"])
def test_weights_are_those_of_scikit_learn_with_the_alpha_of_each_target(tmp_path: Path, p: int) -> None:
    source, x, y = stored(tmp_path, 90, p)
    rows = np.arange(4, 90)
    fit = fit_ridge(source, rows, rows % 4, GRID)
    for k in range(3):
        peer = Ridge(alpha=fit.alphas[k]).fit(x[rows], y[rows, k])
        np.testing.assert_allclose(fit.weights[k], peer.coef_, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(fit.bias[k], peer.intercept_, rtol=1e-6)
    assert fit.alphas[2] > fit.alphas[0]


@pytest.mark.parametrize("p", [5, 200], ids=["primal", "dual"])
def test_alphas_are_those_of_himalaya_in_primal_form(tmp_path: Path, p: int) -> None:
    source, x, y = stored(tmp_path, 90, p)
    inner = np.arange(90) % 5
    params = {"warn": False}
    peer = RidgeCV(alphas=GRID, fit_intercept=True, cv=PredefinedSplit(inner), solver_params=params).fit(x, y)
    np.testing.assert_allclose(fit_ridge(source, np.arange(90), inner, GRID).alphas, peer.best_alphas_)


@pytest.mark.parametrize("p", [5, 200], ids=["primal", "dual"])
def test_the_fit_does_not_depend_on_the_memory(tmp_path: Path, p: int) -> None:
    whole, _, _ = stored(tmp_path, 90, p)
    paged = SampleSource(whole.samples, budget=whole.row_bytes * 4 * 11)
    rows = np.arange(4, 90)
    assert len(paged.pages(rows)) > 5
    first, second = (fit_ridge(source, rows, rows % 4, GRID) for source in (whole, paged))
    np.testing.assert_allclose(first.weights, second.weights, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(first.bias, second.bias, rtol=1e-7)
    np.testing.assert_array_equal(first.alphas, second.alphas)
