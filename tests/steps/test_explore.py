from __future__ import annotations

import json
import re

import numpy as np
import pytest

from igc.errors import ConfigError, IgcError, MissingFileError, ShapeError
from igc.roi.sets import from_labels, save_rois
from igc.steps.explore import explore
from igc.store.arrays import save_dataset
from igc.store.atomic import write_text
from tests.report import studies
from tests.report.conftest import results_of


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two studies on disk: images without regions or tables, and voxels with both."""
    folder = tmp_path_factory.mktemp("results")
    studies.write_samples(folder / "pixels" / "samples.zarr", "image", ["y"], False, (1, 6, 6))
    for (model, method), result in results_of((1, 6, 6), ["y"], models=("ridge-seed0",)).items():
        save_dataset(result, folder / "pixels" / "attributions" / model / f"{method}.zarr")
    names = ["face", "house"]
    studies.write_samples(folder / "voxels" / "samples.zarr", "volume", names, True, (8, 8, 1))
    side = (studies.open_samples(folder / "voxels/samples.zarr")["voxel_index"].values[:, 0] < 4).astype(int) + 1
    sets = {"sides": from_labels("sides", side, {1: "right", 2: "left"})}
    save_rois(sets, folder / "voxels" / "rois.zarr")
    for (model, method), result in results_of((len(side),), names, sets).items():
        save_dataset(result, folder / "voxels" / "attributions" / model / f"{method}.zarr")
    head = "model\tmethod\tcurve\treference\tx\tvalue\tse\n"
    rows = [f"cnn-seed0\tigc\tdeletion\tmean\t{x}\t{1 - x}\t0.1\n" for x in (0, 0.5, 1)]
    write_text(folder / "voxels" / "comparison" / "yardstick_curves.tsv", head + "".join(rows))
    write_text(folder / "voxels" / "viewer" / "cnn-seed0" / "igc.html", "<p>")
    return folder


def stores(results):
    return sorted(results.glob("*/attributions/*/*.zarr"))


def data_of(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL)[1])


def test_one_page_holds_all_studies_with_what_each_has(results, tmp_path):
    explore(stores(results), results / "explorer.html")
    pixels, voxels = data_of(results / "explorer.html")["studies"]
    assert [pixels["name"], voxels["name"]] == ["pixels", "voxels"]
    assert [len(one["results"]) for one in (pixels, voxels)] == [2, 4]
    assert pixels["sets"] == {}
    assert [row[4:6] for row in voxels["curves"]] == [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]
    assert voxels["viewers"] == [["cnn-seed0", "igc", "voxels/viewer/cnn-seed0/igc.html"]]


def test_only_the_named_results_are_shown(results, tmp_path):
    explore([results / "voxels/attributions/cnn-seed0/igc.zarr"], tmp_path / "page.html")
    (study,) = data_of(tmp_path / "page.html")["studies"]
    assert [(one["model"], one["method"]) for one in study["results"]] == [("cnn-seed0", "igc")]


def test_the_same_results_give_the_same_bytes(results, tmp_path):
    explore(stores(results), tmp_path / "a.html")
    explore(stores(results), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def _nothing(results, folder):
    return [], ConfigError, "at least one result"


def _lost(results, folder):
    return [results / "voxels/attributions/cnn-seed0/no.zarr"], MissingFileError, "no.zarr"


def _without_samples(results, folder):
    name = folder / "lonely/attributions/cnn-seed0/igc.zarr"
    save_dataset(results_of((4,), ["y"], models=("cnn-seed0",), methods=("igc",))["cnn-seed0", "igc"], name)
    return [name], MissingFileError, "samples.zarr"


def _of_another_shape(results, folder):
    studies.write_samples(folder / "study/samples.zarr", "image", ["y"], False, (1, 6, 6))
    name = folder / "study/attributions/cnn-seed0/igc.zarr"
    save_dataset(results_of((1, 5, 5), ["y"], models=("cnn-seed0",), methods=("igc",))["cnn-seed0", "igc"], name)
    return [name], ShapeError, "(1, 5, 5)"


@pytest.mark.parametrize("broken", [_nothing, _lost, _without_samples, _of_another_shape])
def test_wrong_inputs_are_refused_in_one_line_and_nothing_is_written(results, tmp_path, broken):
    paths, error, words = broken(results, tmp_path)
    with pytest.raises(error, match=re.escape(words)) as caught:
        explore(paths, tmp_path / "page.html")
    assert isinstance(caught.value, IgcError)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "page.html").exists()


def test_a_study_of_vectors_can_be_shown(tmp_path):
    studies.write_samples(tmp_path / "s/samples.zarr", "vector", ["y"], False, (5,))
    name = tmp_path / "s/attributions/cnn-seed0/igc.zarr"
    save_dataset(results_of((5,), ["y"], models=("cnn-seed0",), methods=("igc",))["cnn-seed0", "igc"], name)
    explore([name], tmp_path / "page.html")
    (study,) = data_of(tmp_path / "page.html")["studies"]
    assert study["geometry"] == {"kind": "vector", "shape": [5]}
    assert np.isfinite(study["results"][0]["score"]).all()
