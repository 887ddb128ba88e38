"""Fitting samplers from stores, and attributions that draw from them."""

import json

import numpy as np
import pandas as pd
import pytest

from igc.attribution.information.files import load_sampler
from igc.config import MethodSettings, MnistData, NetworkModel, SamplerSettings, Split, Training
from igc.errors import IgcError, MissingFileError, ModelError
from igc.steps.attribute import attribute_files
from igc.steps.preprocess import preprocess
from igc.steps.samplers import fit_sampler
from igc.steps.train import train
from igc.store.arrays import read_values
from igc.store.results import open_result
from igc.store.samples import open_samples

TRAINING = Training(epochs=6, batch_size=16, learning_rate=0.01, patience=6)
PATCHES = SamplerSettings(
    kind="patch",
    patch=4,
    levels=4,
    filters=6,
    train_samples=160,
    training=TRAINING,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Digits with a classifier, a patch sampler and a Gaussian."""
    home = tmp_path_factory.mktemp("digits")
    data = MnistData(kind="mnist", train_samples=200, test_samples=40)
    preprocess(data, Split(), 0, home / "samples.zarr", "digits")
    network = NetworkModel(
        kind="network", architecture="convolutional_classifier", training=Training(epochs=1, batch_size=32)
    )
    train(home / "samples.zarr", network, 0, home / "cnn", device="cpu", progress=False)
    for name, settings in (("patches", PATCHES), ("closest", SamplerSettings(kind="neighbours", patch=7))):
        fit_sampler(home / "samples.zarr", settings, home / "samplers" / name, device="cpu", progress=False)
    return home


def explain(home, name, **options):
    settings = MethodSettings(method="information_gain", samples=6, examples=2, options={"draws": 16, **options})
    output = home / f"{name}.zarr"
    attribute_files(home / "samples.zarr", home / "cnn", settings, None, output, device="cpu", progress=False)
    return open_result(output)


def test_a_sampler_folder_holds_weights_quality_and_a_figure(study):
    folder = study / "samplers" / "patches"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("sampler.safetensors", "sampler.json", "quality.tsv", "history.tsv", "sampler.png", "examples.zarr")
    }
    quality = pd.read_csv(folder / "quality.tsv", sep="\t")
    assert quality["gain"][0] > 5 * quality["gain_se"][0] > 0
    assert quality["energy"][0] < quality["energy_marginal"][0]
    assert json.loads((folder / "sampler.json").read_text())["arguments"]["levels"] == 4


def test_fitting_again_gives_the_same_bits(study, tmp_path):
    fit_sampler(study / "samples.zarr", PATCHES, tmp_path / "again", device="cpu", progress=False)
    first, second = (load_sampler(folder).tensors() for folder in (study / "samplers" / "patches", tmp_path / "again"))
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def test_nothing_is_fitted_on_held_out_samples(study):
    bank = load_sampler(study / "samplers" / "closest").tensors()["bank"].numpy()
    samples = open_samples(study / "samples.zarr")
    held = read_values(samples["inputs"], np.flatnonzero(samples["fold"].values == 0)).reshape(40, -1)
    assert len(bank) == 200
    assert not (bank[:, None] == held[None]).all(axis=2).any()


@pytest.mark.parametrize(("sampler", "options"), [("patches", {"stride": 4}), ("closest", {"patch": 7, "stride": 7})])
def test_an_attribution_draws_from_the_sampler_it_names(study, sampler, options):
    result = explain(study, sampler, sampler=sampler, **options)
    assert result["attribution"].shape == (10, 1, 28, 28)
    assert np.isfinite(result["attribution"]).all()
    assert result["example_attribution"].sizes["example"] >= 2
    patches = len(range(0, 28, options["stride"]))
    assert result.attrs["points"] <= 1 + patches**2 * 16
    if sampler == "patches":  # this corner is always black
        np.testing.assert_array_equal(result["attribution"][:, :, 0, 0], 0.0)


def test_more_workers_and_a_checkpoint_change_nothing(study, tmp_path):
    settings = MethodSettings(
        method="pmi", samples=6, examples=0, options={"draws": 16, "sampler": "patches", "stride": 4}
    )
    maps = []
    for name, checkpoint in (("plain", None), ("kept", tmp_path / "parts")):
        output = tmp_path / f"{name}.zarr"
        attribute_files(
            *(study / "samples.zarr", study / "cnn", settings, None, output),
            device="cpu",
            checkpoint=checkpoint,
            progress=False,
        )
        maps.append(open_result(output)["attribution"].values)
    np.testing.assert_array_equal(maps[0], maps[1])


def test_a_sampler_that_is_missing_or_of_other_samples_is_refused(study, tmp_path):
    with pytest.raises(MissingFileError, match="fit-sampler"):
        explain(study, "none", sampler="nowhere")
    with pytest.raises(IgcError, match="patches of 4 pixels"):
        explain(study, "wrong", sampler="patches", patch=5)
    preprocess(
        MnistData(kind="mnist", train_samples=60, test_samples=20), Split(), 0, tmp_path / "samples.zarr", "other"
    )
    fit_sampler(
        tmp_path / "samples.zarr", SamplerSettings(kind="mean"), tmp_path / "other", device="cpu", progress=False
    )
    with pytest.raises(ModelError, match="other samples"):
        explain(study, "foreign", sampler=str(tmp_path / "other"))
    assert not (study / "foreign.zarr").exists()
