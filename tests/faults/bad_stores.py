"""Models, stores and tables that are damaged or belong to something else, and methods that do not suit them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from igc.store.arrays import create_store
from tests.faults.studies import done, flip_byte
from tests.faults.wrong import Wrong, case

RIDGE = '{"kind": "linear", "alphas": [1.0, 1.0, 1], "inner_folds": 2}'


def attribute(
    study: Path, *words: str, model: str = "network", samples: str = "samples.zarr", **settings: Any
) -> Wrong:
    given = json.dumps({"method": "igc", "points": 2, **settings})
    places = ["--samples", study / samples, "--model", study / model, "--rois", study / "rois.zarr"]
    arguments = ["attribute", "--settings", given, *places, "--output", study / "out" / "igc.zarr"]
    return [str(argument) for argument in arguments], list(words)


# --- methods --------------------------------------------------------------------------------------------------------


@case
def unknown_method(study: Path) -> Wrong:
    return attribute(study, "method", "'integrated_gradient'", "did you mean", method="integrated_gradient")


@case
def unknown_option_of_a_method(study: Path) -> Wrong:
    words = ["options of igc", "stepps", "side", "remove or correct it"]
    return attribute(study, *words, options={"stepps": 3})


@case
def linear_igc_on_a_network(study: Path) -> Wrong:
    return attribute(study, "linear_igc", "linear", method="linear_igc", points=None)


@case
def more_baselines_than_samples(study: Path) -> Wrong:
    return attribute(study, "baselines", "41", "1 to 40", "draw fewer", baselines=41)


@case
def probabilities_of_values(study: Path) -> Wrong:
    return attribute(
        study, "output", "'probability' of a model of values", "'raw'", "leave it out", output="probability"
    )


@case
def device_that_does_not_exist(study: Path) -> Wrong:
    arguments, _ = attribute(study)
    return [*arguments, "--device", "tpu"], ["device", "'tpu'", "auto, cpu, cuda", "choose another"]


@case
def gpu_that_does_not_exist(study: Path) -> Wrong:
    arguments, _ = attribute(study)
    return [*arguments, "--device", "cuda:99"], ["device", "'cuda:99'", "auto, cpu, cuda", "choose another"]


@case
def model_of_another_input_shape(study: Path) -> Wrong:
    settings = {"kind": "arrays", **{name: str(study / "arrays" / f"{name}.npy") for name in ("inputs", "responses")}}
    np.save(study / "arrays" / "inputs.npy", np.random.default_rng(0).standard_normal((80, 5)))
    split = '{"folds": 2}'
    done("preprocess", "--settings", json.dumps(settings), "--split", split, "--output", study / "five.zarr")
    return attribute(study, "network", "(6,)", "(5,)", samples="five.zarr")


@case
def model_of_other_samples(study: Path) -> Wrong:
    settings = {"kind": "arrays", **{name: str(study / "arrays" / f"{name}.npy") for name in ("inputs", "responses")}}
    split = '{"folds": 2}'
    done(
        *("preprocess", "--settings", json.dumps(settings), "--split", split),
        *("--seed", "5", "--output", study / "other.zarr"),
    )
    return attribute(
        study, "network", "a model of other samples", "train it again on these samples", samples="other.zarr"
    )


@case
def missing_model(study: Path) -> Wrong:
    return attribute(study, str(study / "nothing" / "model.json"), "no such file", "igc train", model="nothing")


# --- model files ----------------------------------------------------------------------------------------------------


@case
def corrupt_weights(study: Path) -> Wrong:
    file = study / "network" / "model.safetensors"
    flip_byte(file, 12)
    return attribute(study, str(file), "unreadable", "a safetensors file", "train the model again")


@case
def truncated_weights(study: Path) -> Wrong:
    file = study / "network" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    return attribute(study, str(file), "unreadable", "a safetensors file", "train the model again")


@case
def weights_of_another_model(study: Path) -> Wrong:
    shutil.copy(study / "ridge" / "model.safetensors", study / "network")
    return attribute(study, "network", "other bytes", "weights of the same training", "train the model again")


@case
def missing_weights(study: Path) -> Wrong:
    file = study / "network" / "model.safetensors"
    file.unlink()
    return attribute(study, str(file), "no such file", "train the model again")


@case
def damaged_weights(study: Path) -> Wrong:
    file = study / "network" / "model.safetensors"
    flip_byte(file, -5)
    return attribute(study, str(file), "other bytes", "weights of the same training", "train the model again")


def described(study: Path, *words: str, **changes: Any) -> Wrong:
    file = study / "network" / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return attribute(study, *words)


@case
def model_json_of_another_format(study: Path) -> Wrong:
    return described(study, "format 99", "format 1", "train it again with this version", format=99)


@case
def model_json_without_json(study: Path) -> Wrong:
    file = study / "network" / "model.json"
    file.write_text('{"format": 1, "arch')
    return attribute(study, str(file), "unreadable JSON", "a model description", "train it again")


@case
def model_json_with_a_list(study: Path) -> Wrong:
    (study / "network" / "model.json").write_text("[1, 2]")
    return attribute(study, "model.json", "a model description", "train it again")


@case
def model_json_in_binary(study: Path) -> Wrong:
    (study / "network" / "model.json").write_bytes(b"\xff\xfe\x00")
    return attribute(study, "model.json", "a model description", "train it again")


@case
def model_json_of_an_unknown_architecture(study: Path) -> Wrong:
    file = study / "network" / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "architecture": "theirs"}))
    return attribute(study, "architecture", "'theirs'", "residual_mlp")


@case
def model_json_with_other_folds(study: Path) -> Wrong:
    return described(study, "no sample held out in fold 2", folds=5)


@case
def model_json_with_folds_in_words(study: Path) -> Wrong:
    return described(study, "folds = 'two'", "folds of type int", folds="two")


# --- stores ---------------------------------------------------------------------------------------------------------


def chunk_of(store: Path, name: str) -> Path:
    """Return the first chunk of a variable."""
    return next(file for file in sorted((store / name).rglob("*")) if file.is_file() and file.name != "zarr.json")


@case
def damaged_chunk_of_samples(study: Path) -> Wrong:
    flip_byte(chunk_of(study / "samples.zarr", "inputs"), 50)
    return attribute(
        study, "samples.zarr", "damaged data", "the bytes that were written", "delete the store and make it again"
    )


@case
def damaged_folds(study: Path) -> Wrong:
    flip_byte(chunk_of(study / "samples.zarr", "fold"), 9)
    return attribute(
        study, "samples.zarr", "damaged data", "the bytes that were written", "delete the store and make it again"
    )


@case
def damaged_chunk_when_training(study: Path) -> Wrong:
    flip_byte(chunk_of(study / "samples.zarr", "responses"), 20)
    words = ["samples.zarr", "damaged data", "the bytes that were written", "delete the store and make it again"]
    return train(study, *words)


@case
def damaged_groups_when_training(study: Path) -> Wrong:
    flip_byte(chunk_of(study / "samples.zarr", "group"), 9)
    return train(study, "samples.zarr", "damaged data", "delete the store and make it again")


def train(study: Path, *words: str, samples: str = "samples.zarr") -> Wrong:
    arguments = ["train", "--settings", RIDGE, "--samples", str(study / samples)]
    return [*arguments, "--output", str(study / "out" / "ridge")], list(words)


@case
def missing_chunk_of_samples(study: Path) -> Wrong:
    chunk_of(study / "samples.zarr", "inputs").unlink()
    return train(study, "samples.zarr/inputs/c/0/0", "no such file", "every chunk of the store", "delete the store")


@case
def samples_without_metadata(study: Path) -> Wrong:
    (study / "samples.zarr" / "zarr.json").unlink()
    return attribute(
        study, "samples.zarr", "an unreadable store", "a complete zarr store", "check the path, or make it again"
    )


@case
def samples_with_broken_metadata(study: Path) -> Wrong:
    (study / "samples.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node')
    return attribute(
        study, "samples.zarr", "an unreadable store", "a complete zarr store", "check the path, or make it again"
    )


@case
def samples_with_broken_metadata_of_a_variable(study: Path) -> Wrong:
    (study / "samples.zarr" / "inputs" / "zarr.json").write_text("{}")
    return attribute(
        study, "samples.zarr", "an unreadable store", "a complete zarr store", "check the path, or make it again"
    )


@case
def samples_without_a_variable(study: Path) -> Wrong:
    shutil.rmtree(study / "samples.zarr" / "group")
    return attribute(study, "samples.zarr", "no group", "a samples store", "igc preprocess")


@case
def samples_without_attributes(study: Path) -> Wrong:
    file = study / "samples.zarr" / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "attributes": {}}))
    return train(study, "samples.zarr", "target_names", "a samples store", "igc preprocess")


@case
def missing_samples(study: Path) -> Wrong:
    return train(study, "nothing.zarr", "no such folder", "a zarr store", samples="nothing.zarr")


@case
def file_in_place_of_samples(study: Path) -> Wrong:
    return train(study, "inputs.npy", "a zarr store", samples="arrays/inputs.npy")


@case
def folder_in_place_of_samples(study: Path) -> Wrong:
    return train(study, str(study / "brain"), "a complete zarr store", samples="brain")


@case
def rois_in_place_of_samples(study: Path) -> Wrong:
    return train(study, "rois.zarr", "no inputs, responses", "a samples store", "igc preprocess", samples="rois.zarr")


@case
def result_in_place_of_samples(study: Path) -> Wrong:
    return train(study, "igc.zarr", "a samples store", "igc preprocess", samples="maps/igc.zarr")


def save_rois(study: Path, n_components: int) -> None:
    with create_store(study / "rois.zarr") as store:
        store.set_attributes({"rois": ["halves"]})
        labels = (np.arange(n_components) < 3).astype(np.int32)
        store.put("halves", ("voxel",), labels, regions={"1": {"name": "first", "color": "#e69f00"}})


@case
def rois_of_another_shape(study: Path) -> Wrong:
    save_rois(study, 9)
    return attribute(study, "rois", "9 components", "6, as the inputs have", "define the ROI sets on these samples")


@case
def samples_in_place_of_rois(study: Path) -> Wrong:
    shutil.rmtree(study / "rois.zarr")
    shutil.copytree(study / "samples.zarr", study / "rois.zarr")
    return attribute(study, "rois.zarr", "ROI sets", "make it with `igc rois`")


@case
def rois_with_damaged_labels(study: Path) -> Wrong:
    flip_byte(chunk_of(study / "rois.zarr", "halves"), 9)
    return attribute(study, "rois.zarr", "damaged data", "delete the store and make it again")


# --- what follows ---------------------------------------------------------------------------------------------------


def aggregate(study: Path, *words: str) -> Wrong:
    arguments = ["aggregate", study / "maps" / "igc.zarr", "--rois", study / "rois.zarr", "--output", study / "tables"]
    return [str(argument) for argument in arguments], list(words)


@case
def table_of_rois_of_another_shape(study: Path) -> Wrong:
    save_rois(study, 9)
    return aggregate(study, "igc.zarr", "define the ROI sets again")


@case
def damaged_result(study: Path) -> Wrong:
    flip_byte(chunk_of(study / "maps" / "igc.zarr", "attribution"), 30)
    return aggregate(
        study, "igc.zarr", "damaged data", "the bytes that were written", "delete the store and make it again"
    )


@case
def damaged_sums_of_a_result(study: Path) -> Wrong:
    flip_byte(chunk_of(study / "maps" / "igc.zarr", "roi_attribution"), 9)
    return aggregate(
        study, "igc.zarr", "damaged data", "the bytes that were written", "delete the store and make it again"
    )


def compare(study: Path, *words: str) -> Wrong:
    arguments = ["compare", study / "maps" / "igc.zarr", "--samples", study / "samples.zarr"]
    arguments += ["--scores", study / "network" / "scores.tsv", "--output", study / "comparison"]
    return [str(argument) for argument in arguments], list(words)


@case
def scores_without_a_column(study: Path) -> Wrong:
    (study / "network" / "scores.tsv").write_text("fold\ttarget\tvalue\n0\ta\t1\n")
    return compare(study, "scores.tsv", "no column 'metric'", "a score table", "train the model again")


@case
def empty_scores(study: Path) -> Wrong:
    (study / "network" / "scores.tsv").write_text("")
    return compare(study, "scores.tsv", "a score table", "train the model again")


@case
def scores_in_binary(study: Path) -> Wrong:
    (study / "network" / "scores.tsv").write_bytes(b"\x1f\x8b\xff\xff\n\xff")
    return compare(study, "scores.tsv", "a score table", "train the model again")


@case
def samples_in_place_of_a_result(study: Path) -> Wrong:
    arguments, _ = compare(study)
    return [arguments[0], str(study / "samples.zarr"), *arguments[2:]], ["samples.zarr", "an attribution result"]


@case
def report_without_scores(study: Path) -> Wrong:
    (study / "network" / "scores.tsv").unlink()
    arguments = [
        "report",
        study / "maps" / "igc.zarr",
        "--samples",
        study / "samples.zarr",
        "--model",
        study / "network",
    ]
    words = ["scores.tsv", "no such file", "a table", "run the step that makes it"]
    return [str(argument) for argument in [*arguments, "--output", study / "report"]], words


@case
def merging_a_folder_without_a_share(study: Path) -> Wrong:
    words = ["request.json", "no such file", "a share of an attribution", "igc attribute --share"]
    return ["merge", str(study / "network"), "--output", str(study / "merged.zarr")], words


@case
def merging_a_share_with_a_broken_request(study: Path) -> Wrong:
    (study / "network" / "request.json").write_text('{"samples": ')
    words = ["request.json", "a share of an attribution"]
    return ["merge", str(study / "network"), "--output", str(study / "merged.zarr")], words


@case
def roi_mask_of_another_shape(study: Path) -> Wrong:
    np.save(study / "arrays" / "half.npy", np.ones(7))
    return rois(study, "half.npy", "shape (7,)", "shape (6,)")


@case
def rings_of_vectors(study: Path) -> Wrong:
    words = ["rois.rings", "inputs of shape (6,)", "images", "use this kind only for images"]
    return rois(study, *words, settings={"rings": {"kind": "rings"}})


@case
def more_parcels_than_components(study: Path) -> Wrong:
    return rois(study, "rois.parts", settings={"parts": {"kind": "ward", "count": 50}})


def rois(study: Path, *words: str, settings: Any = None) -> Wrong:
    sets = settings or {"halves": {"kind": "masks", "masks": {"first": str(study / "arrays" / "half.npy")}}}
    samples, output = str(study / "samples.zarr"), str(study / "out" / "rois.zarr")
    return ["rois", "--settings", json.dumps(sets), "--samples", samples, "--output", output], list(words)


# --- outputs in the way of something --------------------------------------------------------------------------------


def placed(command: Wrong, output: Path, *words: str) -> Wrong:
    """Put another output into a command."""
    arguments = list(command[0])
    arguments[arguments.index("--output") + 1] = str(output)
    return arguments, list(words)


@case
def rois_over_their_samples(study: Path) -> Wrong:
    samples = study / "samples.zarr"
    return placed(rois(study), samples, str(samples), "the path of the input", "choose another output")


@case
def attribution_over_its_samples(study: Path) -> Wrong:
    samples = study / "samples.zarr"
    return placed(attribute(study), samples, str(samples), "the path of the input", "choose another output")


@case
def attribution_over_its_model(study: Path) -> Wrong:
    return placed(attribute(study), study / "network", "the path of the input", "choose another output")


@case
def attribution_inside_its_rois(study: Path) -> Wrong:
    return placed(attribute(study), study / "rois.zarr" / "igc.zarr", "the path of the input", "choose another output")


@case
def attribution_over_a_folder_of_data(study: Path) -> Wrong:
    return placed(attribute(study), study / "brain", "a folder that holds something else", "choose another output")


@case
def attribution_over_a_file(study: Path) -> Wrong:
    file = study / "arrays" / "half.npy"
    return placed(attribute(study), file, str(file), "a file", "choose another output")


@case
def model_in_its_samples(study: Path) -> Wrong:
    return placed(train(study), study / "samples.zarr", "a zarr store", "a folder for other files", "choose another")


@case
def model_below_a_file(study: Path) -> Wrong:
    file = study / "arrays" / "half.npy"
    return placed(train(study), file / "ridge", f"the file {file} in its way", "a path of folders", "choose another")


@case
def tables_in_a_store(study: Path) -> Wrong:
    words = ["a zarr store", "a folder for other files", "choose another output"]
    return placed(compare(study), study / "samples.zarr", *words)


@case
def output_without_a_name(study: Path) -> Wrong:
    return placed(rois(study), Path("/"), "choose another output")
