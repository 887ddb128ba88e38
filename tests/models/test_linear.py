import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import PredefinedSplit

from igc.config import LinearModel
from igc.errors import DataError, ModelError
from igc.models.batches import SampleSource
from igc.models.linear import alpha_grid, edge_warning, fit_linear, fit_logistic, inner_folds
from igc.store.samples import open_samples
from tests.models.stores import classes, regression, write_samples

GRID = np.geomspace(1e-3, 1e4, 8)


def source_of(folder: Path, x: np.ndarray, y: np.ndarray) -> SampleSource:
    return SampleSource(open_samples(write_samples(folder / "s.zarr", x, y, np.zeros(len(x)))))


def test_inner_folds_divide_no_group_and_are_all_used() -> None:
    groups = np.repeat(np.arange(9), [3, 5, 2, 8, 3, 4, 4, 6, 1])
    labels = inner_folds(groups, 4, seed=1)
    assert set(labels) == {0, 1, 2, 3}
    assert all(len(set(labels[groups == group])) == 1 for group in range(9))
    assert not np.array_equal(labels, inner_folds(groups, 4, seed=2))


def test_there_are_no_more_inner_folds_than_groups() -> None:
    assert set(inner_folds(np.repeat([0, 1, 2], 4), 5, seed=0)) == {0, 1, 2}
    with pytest.raises(DataError, match="one group only"):
        inner_folds(np.zeros(6, dtype=np.int64), 5, seed=0)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    x, y = classes(150)
    label, inner = y.argmax(axis=1), np.arange(150) % 5
    fit = fit_logistic(x, label, inner, GRID, 3)
    peer = LogisticRegressionCV(
        Cs=1 / GRID,
        cv=PredefinedSplit(inner),
        scoring="neg_log_loss",
        tol=1e-6,
        max_iter=5000,
        use_legacy_attributes=False,
        l1_ratios=(0.0,),
    ).fit(x, label)
    assert fit.alphas[0] == pytest.approx(1 / peer.C_)
    np.testing.assert_allclose(fit.weights, peer.coef_, atol=2e-3)


def test_two_classes_get_two_opposite_logits() -> None:
    x, y = classes(80, k=2)
    fit = fit_logistic(x, y.argmax(axis=1), np.arange(80) % 4, GRID, 2)
    peer = LogisticRegression(C=1 / fit.alphas[0], tol=1e-6).fit(x, y.argmax(axis=1))
    logits = x @ fit.weights.T + fit.bias
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], peer.decision_function(x), atol=2e-3)


def test_a_class_without_training_samples_is_never_predicted() -> None:
    x, y = classes(90)
    fit = fit_logistic(x, y.argmax(axis=1), np.arange(90) % 3, GRID, 4)
    assert fit.weights.shape == (4, 5)
    assert (x @ fit.weights.T + fit.bias).argmax(axis=1).max() == 2


def test_one_category_only_is_refused() -> None:
    with pytest.raises(DataError, match="one category only"):
        fit_logistic(np.ones((6, 2)), np.zeros(6, dtype=np.int64), np.arange(6) % 2, GRID, 2)


@pytest.mark.parametrize("fit", ["ridge", "logistic"])
def test_the_module_predicts_held_out_categories(tmp_path: Path, fit: str) -> None:
    x, y = classes(300)
    source, rows = source_of(tmp_path, x, y), np.arange(200)
    module, chosen = fit_linear(LinearModel(kind="linear", fit=fit), source, np.arange(300), rows, True, 0)
    outputs = module(torch.from_numpy(x[200:].astype(np.float32)))
    assert (outputs.argmax(1).numpy() == y[200:].argmax(axis=1)).mean() > 0.8
    assert len(chosen["alphas"]) == (3 if fit == "ridge" else 1)
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_images_are_flattened(tmp_path: Path) -> None:
    x, y = regression(100, 8, 2)
    flat, images = source_of(tmp_path / "a", x, y), source_of(tmp_path / "b", x.reshape(100, 2, 2, 2), y)
    settings, rows = LinearModel(kind="linear"), np.arange(80)
    first, second = (fit_linear(settings, s, np.arange(100), rows, False, 0)[0] for s in (flat, images))
    torch.testing.assert_close(first.readout.weight, second.readout.weight)
    assert second(torch.zeros(3, 2, 2, 2)).shape == (3, 2)


def test_an_alpha_on_the_edge_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x, y = regression()
    settings = LinearModel(kind="linear", alphas=(1e5, 1e8, 4))
    with caplog.at_level(logging.WARNING, logger="igc.models"):
        _, chosen = fit_linear(settings, source_of(tmp_path, x, y), np.arange(120), np.arange(120), False, 0)
    assert "2 are the smallest (100000)" in chosen["warning"]
    assert chosen["warning"] in caplog.messages


def test_an_alpha_inside_the_grid_is_not() -> None:
    assert edge_warning(np.array([1.0, 10.0]), np.array([0.1, 1.0, 10.0, 100.0])) is None
    assert "1 the largest (100)" in str(edge_warning(np.array([1.0, 100.0]), np.array([0.1, 1.0, 100.0])))


@pytest.mark.parametrize("alphas", [(0.0, 1.0, 3), (1.0, 0.1, 3), (1.0, 2.0, 0)])
def test_an_impossible_grid_is_refused(alphas: tuple[float, float, int]) -> None:
    with pytest.raises(ModelError, match="alphas"):
        alpha_grid(LinearModel(kind="linear", alphas=alphas))


def test_logistic_regression_of_values_is_refused(tmp_path: Path) -> None:
    x, y = regression()
    settings = LinearModel(kind="linear", fit="logistic")
    with pytest.raises(ModelError, match="use fit: ridge"):
        fit_linear(settings, source_of(tmp_path, x, y), np.arange(120), np.arange(120), False, 0)
