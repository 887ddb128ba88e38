from __future__ import annotations

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from igc.errors import ConfigError, DataError, MissingFileError, ShapeError
from igc.roi.sets import from_labels, save_rois
from igc.steps.compare import compare
from igc.steps.report import FIGURES, report
from igc.store.arrays import save_dataset
from tests.report import studies
from tests.report.conftest import results_of

MODELS = ("mlp-seed0", "ridge-seed0")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A small study of voxels on disk: samples, ROI sets, two models, two methods."""
    folder = tmp_path_factory.mktemp("study")
    names = ["face", "house", "chair"]
    studies.write_samples(folder / "samples.zarr", "volume", names, True, (8, 8, 1))
    samples = studies.open_samples(folder / "samples.zarr")
    side = (samples["voxel_index"].values[:, 0] < 4).astype(int) + 1
    sets = {"sides": from_labels("sides", side, {1: "right", 2: "left"})}
    save_rois(sets, folder / "rois.zarr")
    for (model, method), result in results_of((len(side),), names, sets, models=MODELS).items():
        save_dataset(result, folder / "attributions" / model / f"{method}.zarr")
    for model, kind in zip(MODELS, ("network", "linear"), strict=True):
        studies.write_model(folder / "models" / model, kind, names, True)
    return folder


def inputs(study):
    return {
        "samples": study / "samples.zarr",
        "rois": study / "rois.zarr",
        "attributions": sorted((study / "attributions").glob("*/*.zarr")),
        "models": [study / "models" / model for model in MODELS],
        "comparison": None,
    }


def test_a_study_of_voxels_gives_all_figures_and_volumes(study, tmp_path):
    report(**inputs(study), output=tmp_path)
    for name in FIGURES:
        data = (tmp_path / "figures" / name).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5000
    assert {path.name for path in (tmp_path / "figures").iterdir()} == set(FIGURES)
    samples = studies.open_samples(study / "samples.zarr")
    result = studies.open_store(study / "attributions" / "ridge-seed0" / "igc.zarr")
    image = nib.load(tmp_path / "maps" / "ridge-seed0" / "igc.nii.gz")
    np.testing.assert_array_equal(image.affine, np.asarray(samples.attrs["affine"]))
    found = np.asarray(image.dataobj)[tuple(samples["voxel_index"].values.T)].T
    np.testing.assert_allclose(found, result["attribution"].values, rtol=1e-6)
    described = json.loads((tmp_path / "maps" / "ridge-seed0" / "igc.json").read_text())
    assert described["Volumes"] == ["face", "house", "chair"]
    np.testing.assert_allclose(described["Scores"], found.sum(axis=1), rtol=1e-5)
    assert len(list((tmp_path / "maps").glob("*/*.nii.gz"))) == 4


def test_figures_come_last_since_the_workflow_takes_them_for_all_of_a_report(study, tmp_path, monkeypatch):
    def stop(figure, path):
        raise InterruptedError(path.name)

    monkeypatch.setattr("igc.steps.report.save_figure", stop)
    monkeypatch.setattr("igc.steps.report.viewer_pages", lambda *_: {("mlp-seed0", "igc"): "a page"})
    with pytest.raises(InterruptedError):
        report(**inputs(study), output=tmp_path)
    assert not (tmp_path / "figures").exists()
    assert len(list((tmp_path / "maps").glob("*/*.nii.gz"))) == 4
    assert (tmp_path / "viewer" / "mlp-seed0" / "igc.html").read_text() == "a page"


def test_figures_use_the_tables_of_the_comparison(study, tmp_path):
    given = inputs(study)
    tables = tmp_path / "comparison"
    compare(given["samples"], given["attributions"], [folder / "scores.tsv" for folder in given["models"]], tables)
    report(**{**given, "comparison": tables}, output=tmp_path / "with")
    report(**given, output=tmp_path / "without")
    for name in FIGURES:
        same = (tmp_path / "with/figures" / name).read_bytes() == (tmp_path / "without/figures" / name).read_bytes()
        # which models are linear is known to the comparison alone
        assert same == (name != "deep_linear.png")


def test_one_target_without_networks_regions_or_second_method_is_drawn_with_honest_notes(tmp_path):
    studies.write_samples(tmp_path / "samples.zarr", "image", ["y"], False, (1, 6, 6))
    ((_, result),) = results_of((1, 6, 6), ["y"], models=("ridge-seed0",), methods=("igc",)).items()
    save_dataset(result, tmp_path / "attributions/ridge-seed0/igc.zarr")
    studies.write_model(tmp_path / "models/ridge-seed0", "linear", ["y"], False)
    attributions, models = [tmp_path / "attributions/ridge-seed0/igc.zarr"], [tmp_path / "models/ridge-seed0"]
    report(tmp_path / "samples.zarr", None, attributions, models, None, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == set(FIGURES)
    assert not (tmp_path / "maps").exists()


def _no_results(study, folder):
    return {"attributions": []}, ConfigError, "at least one result"


def _lost_scores(study, folder):
    (folder / "mlp-seed0").mkdir()
    return {"models": [folder / "mlp-seed0"]}, MissingFileError, "scores.tsv"


def _scores_without_values(study, folder):
    shutil.copytree(study / "models/mlp-seed0", folder / "mlp-seed0")
    (folder / "mlp-seed0/scores.tsv").write_text("fold\ttarget\tmetric\n")
    return {"models": [folder / "mlp-seed0"]}, DataError, "no column 'value'"


def _other_voxels(study, folder):
    save_dataset(results_of((7,), ["face", "house", "chair"])["cnn-seed0", "igc"], folder / "cnn-seed0/igc.zarr")
    return {"attributions": [folder / "cnn-seed0/igc.zarr"]}, ShapeError, "maps of shape"


def _other_targets(study, folder):
    n = studies.open_samples(study / "samples.zarr").sizes["voxel"]
    save_dataset(results_of((n,), ["face", "house"])["cnn-seed0", "igc"], folder / "cnn-seed0/igc.zarr")
    return {"attributions": [folder / "cnn-seed0/igc.zarr"]}, DataError, "the 3 of the samples"


def _lost_comparison(study, folder):
    return {"comparison": folder}, MissingFileError, "agreement.tsv"


def _lost_result(study, folder):
    return {"attributions": [folder / "igc.zarr"]}, MissingFileError, "igc.zarr"


@pytest.mark.parametrize(
    "spoil",
    [_no_results, _lost_scores, _scores_without_values, _other_voxels, _other_targets, _lost_comparison, _lost_result],
)
def test_bad_input_is_refused_before_anything_is_written(study, tmp_path, spoil):
    changed, kind, message = spoil(study, tmp_path)
    with pytest.raises(kind, match=message) as caught:
        report(**{**inputs(study), **changed}, output=tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
