import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter

from igc.config import ModelSettings
from igc.data.simulated import images, rule
from igc.errors import DataError, IgcError, ModelError
from igc.models import describe_model, load_model
from igc.models.batches import SampleSource
from igc.models.partition import COLUMNS as PARTITION_COLUMNS
from igc.roi.sets import from_labels, save_rois
from igc.steps.train import train
from igc.store.arrays import store_digest
from igc.store.samples import open_samples
from tests.models.stores import classes, regression, write_samples

NETWORK = {
    "kind": "network",
    "architecture": "residual_mlp",
    "arguments": {"width": 16, "dropout": 0.1, "input_dropout": 0.0},
    "training": {"epochs": 4, "learning_rate": 1e-2, "batch_size": 16},
}


def settings(**values: Any) -> Any:
    return TypeAdapter(ModelSettings).validate_python(values)


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    x, y = classes(180)
    group = np.arange(180) // 15
    return write_samples(tmp_path / "samples.zarr", x, y, group % 4 - 1, group, categories=True)


def scores(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "scores.tsv", sep="\t", dtype={"fold": str})


def test_a_network_is_trained_scored_and_described_for_every_fold(labelled: Path, tmp_path: Path) -> None:
    train(labelled, settings(**NETWORK), 3, tmp_path / "model", device="cpu", progress=False)
    description, table = describe_model(tmp_path / "model"), scores(tmp_path / "model")
    assert (description["kind"], description["folds"], description["seed"]) == ("network", 3, 3)
    assert description["samples"] == store_digest(labelled)
    assert np.shape(description["residual_variance"]) == (3, 3)
    assert set(table.fold) == {"0", "1", "2", "mean", "pooled"}
    assert table.columns.tolist() == ["fold", "target", "metric", "value", "n"]
    history = pd.read_csv(tmp_path / "model" / "history.tsv", sep="\t")
    assert history.columns.tolist() == ["fold", "epoch", "train_loss", "validation_loss", "metric"]
    assert history.groupby("fold").epoch.apply(list).tolist() == [[0, 1, 2, 3]] * 3
    assert set(tmp_path.iterdir()) == {labelled, tmp_path / "model"}


@pytest.mark.parametrize(
    "model", [NETWORK, {"kind": "linear", "fit": "logistic"}, {"kind": "linear"}], ids=["network", "logistic", "ridge"]
)
def test_scores_are_those_of_the_stored_models_on_samples_they_have_not_seen(
    labelled: Path, tmp_path: Path, model: dict[str, Any]
) -> None:
    train(labelled, settings(**model), 0, tmp_path / "model", device="cpu", progress=False)
    samples = open_samples(labelled)
    source, folds = SampleSource(samples), samples["fold"].values
    table = scores(tmp_path / "model").set_index(["fold", "target", "metric"]).value
    for fold in range(3):
        x, y = source.read(np.flatnonzero(folds == fold))
        outputs = load_model(tmp_path / "model", fold)(x)
        accuracy = (outputs.argmax(1) == y.argmax(1)).double().mean()
        assert table[str(fold), "all", "accuracy"] == pytest.approx(float(accuracy))
        expected = np.corrcoef(outputs[:, 2], y[:, 2])[0, 1]
        assert table[str(fold), "target 2", "correlation"] == pytest.approx(expected, abs=1e-6)
    assert table["mean", "all", "accuracy"] > 0.7


def test_held_out_samples_do_not_reach_their_fold_s_model(labelled: Path, tmp_path: Path) -> None:
    x, y = classes(180)
    group = np.arange(180) // 15
    x[group % 4 - 1 == 0] += 100.0
    changed = write_samples(tmp_path / "changed.zarr", x, y, group % 4 - 1, group, categories=True)
    for model in (NETWORK, {"kind": "linear"}):
        outputs = []
        for samples in (labelled, changed):
            train(samples, settings(**model), 0, tmp_path / "model", device="cpu", progress=False)
            outputs.append([load_model(tmp_path / "model", fold)(torch.ones(1, 5)) for fold in (0, 1)])
        assert torch.equal(outputs[0][0], outputs[1][0])
        assert not torch.equal(outputs[0][1], outputs[1][1])


def test_samples_that_only_train_are_used_by_every_fold(tmp_path: Path) -> None:
    x, y = regression(90)
    fold = np.r_[np.full(60, -1), np.repeat([0, 1], 15)]
    train(write_samples(tmp_path / "s.zarr", x, y, fold), settings(kind="linear"), 0, tmp_path / "m", progress=False)
    table = scores(tmp_path / "m").set_index(["fold", "target", "metric"])
    assert table.loc[("pooled", "target 0", "r2")].value > 0.5
    assert table.loc[("0", "target 0", "r2")].n == 15


def test_an_analytic_model_is_right_by_construction(tmp_path: Path) -> None:
    values = images(0, np.arange(30), 32)
    path = write_samples(
        tmp_path / "s.zarr", values[:, None], rule("maximum", values), np.zeros(30), experiment="maximum"
    )
    train(path, settings(kind="analytic"), 0, tmp_path / "m", progress=False)
    assert set(scores(tmp_path / "m").value.round(5)) == {1.0}
    description = json.loads((tmp_path / "m" / "model.json").read_text())
    assert (description["architecture"], description["arguments"]) == ("maximum", {})
    assert not (tmp_path / "m" / "history.tsv").exists()


def test_a_choice_on_the_edge_of_the_grid_is_in_the_model_file(tmp_path: Path) -> None:
    x, y = regression(90)
    path = write_samples(tmp_path / "s.zarr", x, y, np.arange(90) % 2)
    train(path, settings(kind="linear", alphas=[1e4, 1e6, 3]), 0, tmp_path / "m", progress=False)
    assert all("smallest (10000)" in fold["warning"] for fold in describe_model(tmp_path / "m")["training"])


def test_an_interrupted_training_continues_from_the_scratch_folder(
    labelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, scratch = settings(**NETWORK), tmp_path / "scratch"
    train(labelled, model, 0, tmp_path / "whole", device="cpu", progress=False)
    count = {"epochs": 0}

    def after(limit: int) -> Any:
        def step(epoch: int, loss: float) -> None:
            count["epochs"] += 1
            if count["epochs"] == limit:
                raise KeyError("killed")

        return lambda advance: step

    monkeypatch.setattr("igc.steps.train._epochs", after(7))
    with pytest.raises(KeyError):
        train(labelled, model, 0, tmp_path / "resumed", device="cpu", scratch=scratch, progress=False)
    assert not (tmp_path / "resumed").exists()
    monkeypatch.setattr("igc.steps.train._epochs", after(10**9))
    train(labelled, model, 0, tmp_path / "resumed", device="cpu", scratch=scratch, progress=False)
    assert count["epochs"] == 12 + 1  # only the epoch that was cut short is run again
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "resumed")]
    assert files[0] == files[1]
    tables = [(tmp_path / name / "history.tsv").read_text() for name in ("whole", "resumed")]
    assert tables[0] == tables[1]


def test_other_settings_do_not_continue_from_the_same_scratch_folder(labelled: Path, tmp_path: Path) -> None:
    for i, epochs in enumerate((2, 3)):
        model = settings(**{**NETWORK, "training": {"epochs": epochs}})
        train(labelled, model, 0, tmp_path / str(i), device="cpu", scratch=tmp_path / "scratch", progress=False)
        assert len(pd.read_csv(tmp_path / str(i) / "history.tsv", sep="\t")) == 3 * epochs


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({**NETWORK, "architecture": "resnet"}, "found 'resnet'"),
        ({**NETWORK, "architecture": "convolutional_classifier", "arguments": {}}, "use residual_mlp"),
        ({**NETWORK, "arguments": {"depth": 1}}, "found depth"),
        ({"kind": "analytic"}, "samples of a simulated experiment"),
    ],
)
def test_a_model_that_does_not_suit_is_refused_before_anything_is_written(
    labelled: Path, tmp_path: Path, model: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        train(labelled, settings(**model), 0, tmp_path / "model", progress=False)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "model").exists()


def test_samples_without_training_samples_or_with_missing_folds_are_refused(tmp_path: Path) -> None:
    x, y = regression(20)
    alone = write_samples(tmp_path / "alone.zarr", x, y, np.zeros(20))
    with pytest.raises(DataError, match="no training sample"):
        train(alone, settings(kind="linear"), 0, tmp_path / "m", progress=False)
    gap = write_samples(tmp_path / "gap.zarr", x, y, np.arange(20) % 2 * 2)
    with pytest.raises(DataError, match=r"found held-out folds \[0, 2\]"):
        train(gap, settings(kind="linear"), 0, tmp_path / "m", progress=False)
    with pytest.raises(IgcError, match="no such folder"):
        train(tmp_path / "nowhere.zarr", settings(kind="linear"), 0, tmp_path / "m", progress=False)
    assert not (tmp_path / "m").exists()


@pytest.fixture
def regions(tmp_path: Path) -> Path:
    save_rois({"parts": from_labels("parts", np.array([1, 1, 0, 3, 3, 0]))}, tmp_path / "rois.zarr")
    return tmp_path / "rois.zarr"


def test_banded_ridge_writes_what_each_region_explains(tmp_path: Path, regions: Path) -> None:
    x, y = regression(150)
    samples = write_samples(tmp_path / "s.zarr", x, y, np.arange(150) // 5 % 3, np.arange(150) // 5)
    banded = settings(kind="linear", fit="banded", bands="parts", alphas=(1e-2, 1e3, 6))
    train(samples, banded, 0, tmp_path / "model", progress=False, rois=regions)
    table = pd.read_csv(tmp_path / "model" / "partition.tsv", sep="\t")
    assert tuple(table.columns) == PARTITION_COLUMNS
    assert table.query("target == 'target 1'")[["index", "roi"]].to_numpy().tolist()[-1] == [0, "rest"]
    assert len(table) == 2 * 3
    own = scores(tmp_path / "model").query("fold == 'mean' and metric == 'r2'").set_index("target")["value"]
    np.testing.assert_allclose(table["r2"], own[table["target"]], rtol=1e-5)
    trained = describe_model(tmp_path / "model")["training"]
    assert np.shape(trained[0]["penalties"]) == (2, 3)
    np.testing.assert_allclose(1 / np.sum(1 / np.array(trained[1]["penalties"]), axis=1), trained[1]["alphas"])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"fit": "banded"}, "name an ROI set"),
        ({"bands": "parts"}, "leave bands out"),
        ({"fit": "banded", "bands": "lobes"}, "parts"),
    ],
)
def test_bands_that_do_not_fit_are_refused(tmp_path: Path, regions: Path, model: dict[str, str], words: str) -> None:
    samples = write_samples(tmp_path / "s.zarr", *regression(60), np.arange(60) % 3)
    with pytest.raises(ModelError, match=words):
        train(samples, settings(kind="linear", **model), 0, tmp_path / "model", progress=False, rois=regions)
    assert not (tmp_path / "model").exists()
