from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.metrics import accuracy_score, r2_score
from torch import nn

from igc.models.batches import SampleSource
from igc.models.scoring import Ceilings, held_out, score_table
from igc.store.samples import open_samples
from tests.models.stores import classes, regression, write_samples


def models(p: int, k: int, n: int) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Linear(p, k).requires_grad_(False) for _ in range(n)]


def value(table: pd.DataFrame, fold: str, target: str, metric: str) -> float:
    rows = table[(table.fold == fold) & (table.target == target) & (table.metric == metric)]
    assert len(rows) == 1
    return float(rows.value.iloc[0])


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_values_are_scored_as_scipy_and_scikit_learn_do(tmp_path: Path, batch_size: int) -> None:
    x, y = regression(100, 4, 2)
    folds = np.r_[np.zeros(30), np.ones(50), -np.ones(20)].astype(np.int64)
    source = SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x, y, folds)))
    modules = models(4, 2, 2)
    result = held_out(modules, source, folds, categories=False, batch_size=batch_size)
    table = score_table(result, ["a", "b"], categories=False)
    outputs = [module(source.read(np.flatnonzero(folds == k))[0]).double().numpy() for k, module in enumerate(modules)]
    truths = [source.read(np.flatnonzero(folds == k))[1].double().numpy() for k in range(2)]
    for k in range(2):
        for i, name in enumerate("ab"):
            expected = stats.pearsonr(outputs[k][:, i], truths[k][:, i]).statistic
            assert value(table, str(k), name, "correlation") == pytest.approx(expected, abs=1e-6)
            expected = r2_score(truths[k][:, i], outputs[k][:, i])
            assert value(table, str(k), name, "r2") == pytest.approx(expected, abs=1e-6)
        np.testing.assert_allclose(
            result.residual_variance[k], np.mean((truths[k] - outputs[k]) ** 2, axis=0), rtol=1e-6
        )
    by_fold = [value(table, fold, "a", "correlation") for fold in "01"]
    assert value(table, "mean", "a", "correlation") == pytest.approx((30 * by_fold[0] + 50 * by_fold[1]) / 80)
    pooled = stats.pearsonr(np.concatenate(outputs)[:, 0], np.concatenate(truths)[:, 0]).statistic
    assert value(table, "pooled", "a", "correlation") == pytest.approx(pooled, abs=1e-6)
    assert set(table[table.fold == "pooled"].n) == {80}


def test_scores_of_noisy_responses_are_divided_by_the_root_of_their_ceiling(tmp_path: Path) -> None:
    x, y = regression(80, 4, 3)
    folds = np.r_[np.zeros(30), np.ones(50)].astype(np.int64)
    source = SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x, y, folds)))
    result = held_out(models(4, 3, 2), source, folds, categories=False)
    ceilings = Ceilings(np.array([[64.0, 25.0, 5.0], [81.0, 25.0, np.nan]]), np.array([75.0, 25.0, 5.0]), floor=10.0)
    table = score_table(result, "abc", categories=False, ceilings=ceilings)
    for fold, share in (("0", 0.64), ("1", 0.81), ("mean", 0.75), ("pooled", 0.75)):
        plain = value(table, fold, "a", "correlation")
        assert value(table, fold, "a", "noise_ceiling") == 100 * share
        assert value(table, fold, "a", "normalized_correlation") == pytest.approx(plain / np.sqrt(share))
        assert value(table, fold, "a", "normalized_r2") == pytest.approx(plain * abs(plain) / share)
        # not above the floor, or unknown
        assert np.isnan(value(table, fold, "c", "normalized_correlation"))
    without = score_table(result, "abc", categories=False)
    pd.testing.assert_frame_equal(table[table.metric.isin(["correlation", "r2"])].reset_index(drop=True), without)


def test_categories_are_scored_by_accuracy_and_the_correlation_of_logits(tmp_path: Path) -> None:
    x, y = classes(90)
    folds = np.arange(90) // 45
    source = SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x, y, folds, categories=True)))
    modules = models(5, 3, 2)
    result = held_out(modules, source, folds, categories=True)
    table = score_table(result, "abc", categories=True)
    logits = torch.cat([modules[k](source.read(np.flatnonzero(folds == k))[0]) for k in range(2)]).double()
    accuracy = accuracy_score(y.argmax(axis=1), logits.argmax(dim=1))
    assert value(table, "pooled", "all", "accuracy") == pytest.approx(accuracy)
    assert value(table, "mean", "all", "accuracy") == pytest.approx(accuracy)
    expected = stats.pearsonr(logits[:45, 1], y[:45, 1]).statistic
    assert value(table, "0", "b", "correlation") == pytest.approx(expected, abs=1e-6)
    assert set(table.metric) == {"correlation", "accuracy"}
    residuals = (torch.softmax(logits[45:], 1).numpy() - y[45:]) ** 2
    np.testing.assert_allclose(result.residual_variance[1], residuals.mean(axis=0), rtol=1e-6)


def test_a_constant_response_scores_zero(tmp_path: Path) -> None:
    x, y = regression(40, 3, 1)
    source = SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x, 0 * y, np.zeros(40))))
    result = held_out(models(3, 1, 1), source, np.zeros(40, dtype=np.int64), categories=False)
    assert set(score_table(result, ["a"], categories=False).value) == {0.0}
