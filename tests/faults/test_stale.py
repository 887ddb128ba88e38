"""Within one process, files that were made anew are read anew."""

import json
import shutil
from pathlib import Path

import numpy as np

import igc
from tests.faults.studies import NETWORK, array_settings, copied, done


def scores(place: Path, name: str) -> np.ndarray:
    places = ["--samples", place / "samples.zarr", "--model", place / "network"]
    settings = json.dumps({"method": "igc", "points": 1})
    done("attribute", "--settings", settings, *places, "--output", place / f"{name}.zarr")
    return igc.open_result(place / f"{name}.zarr")["score"].values


def test_a_model_that_was_trained_again_into_its_folder_is_the_one_that_is_explained(
    study: Path, tmp_path: Path
) -> None:
    place = copied(study, tmp_path)
    before = scores(place, "before")
    longer = json.dumps({**NETWORK, "training": {"epochs": 5}})
    done("train", "--settings", longer, "--samples", place / "samples.zarr", "--output", place / "network")
    after = scores(place, "after")
    assert not np.allclose(before, after)
    (place / "elsewhere").mkdir()
    shutil.move(place / "network", place / "elsewhere" / "network")
    shutil.copytree(place / "elsewhere" / "network", place / "network")
    np.testing.assert_array_equal(scores(place, "copy"), after)


def make_again(place: Path) -> None:
    """Make the samples of a study with other folds, and let its model stand for one of them."""
    settings = array_settings(place / "arrays")
    np.save(place / "arrays" / "inputs.npy", np.load(place / "arrays" / "inputs.npy")[:60])
    for name in ("responses", "groups"):
        np.save(place / "arrays" / f"{name}.npy", np.load(place / "arrays" / f"{name}.npy")[:60])
    split = '{"folds": 2}'
    done("preprocess", "--settings", settings, "--split", split, "--output", place / "samples.zarr", "--seed", "4")
    file = place / "network" / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "samples": ""}))


def test_samples_that_were_made_again_are_the_ones_that_are_read(study: Path, tmp_path: Path) -> None:
    read, unread = copied(study, tmp_path / "read"), copied(study, tmp_path / "unread")
    scores(read, "before")
    make_again(read)
    make_again(unread)
    np.testing.assert_array_equal(scores(read, "after"), scores(unread, "after"))
