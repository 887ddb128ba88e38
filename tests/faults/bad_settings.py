"""Settings that are not allowed, in a configuration file or on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.faults.studies import NETWORK
from tests.faults.wrong import Wrong, case

GOOD: dict[str, Any] = {
    "seed": 1,
    "studies": {
        "mine": {
            "data": {"kind": "simulated", "experiment": "maximum", "train_samples": 8, "test_samples": 8, "size": 16},
            "models": {"ridge": {"kind": "linear"}},
            "methods": {"igc": {"points": 2}},
            "rois": {"quadrants": {"kind": "quadrants"}},
        }
    },
}


def config(study: Path, text: str | bytes, *words: str) -> Wrong:
    file = study / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    output = str(study / "out" / "samples.zarr")
    return ["preprocess", "--config", str(file), "--study", "mine", "--output", output], [str(file), *words]


def changed(study: Path, path: str, value: Any, *words: str) -> Wrong:
    """Put a value at a path of the good configuration."""
    whole = json.loads(json.dumps(GOOD))
    *parents, last = path.split(".")
    block = whole
    for key in parents:
        block = block[key]
    block[last] = value
    return config(study, yaml.safe_dump(whole), *words)


# --- configuration files --------------------------------------------------------------------------------------------


@case
def unknown_key(study: Path) -> Wrong:
    known = "alphas, bands, fit, inner_folds"
    words = ["studies.mine.models.ridge.alpha", "the unknown key 'alpha'", known, "write 'alphas'"]
    return changed(study, "studies.mine.models.ridge.alpha", 3, *words)


@case
def unknown_key_at_the_top(study: Path) -> Wrong:
    return changed(study, "seeed", 3, "seeed", "the unknown key 'seeed'", "seed, studies", "write 'seed'")


@case
def wrong_type(study: Path) -> Wrong:
    words = ["studies.mine.split.folds", "'many'", "correct the key", "config/README.md"]
    return changed(study, "studies.mine.split", {"folds": "many"}, *words)


@case
def quoted_number(study: Path) -> Wrong:
    words = ["studies.mine.methods.igc.points", "'16'", "write the number without quotes"]
    return changed(study, "studies.mine.methods.igc.points", "16", *words)


@case
def not_a_number(study: Path) -> Wrong:
    return changed(study, "studies.mine.methods.igc.points", float("nan"), "studies.mine.methods.igc.points")


@case
def unknown_kind(study: Path) -> Wrong:
    words = ["studies.mine.data", "the kind 'nifty'", "'nifti'", "correct the kind"]
    return changed(study, "studies.mine.data", {"kind": "nifty"}, *words)


@case
def block_without_a_kind(study: Path) -> Wrong:
    return changed(study, "studies.mine.rois.quadrants", {}, "studies.mine.rois.quadrants", "no kind", "add the key")


@case
def missing_key(study: Path) -> Wrong:
    words = ["studies.mine.data.experiment", "nothing", "required", "add the key"]
    return changed(study, "studies.mine.data", {"kind": "simulated"}, *words)


@case
def points_and_tolerance(study: Path) -> Wrong:
    words = ["studies.mine.methods.igc", "a contradiction", "only one of points and tolerance", "make the keys agree"]
    return changed(study, "studies.mine.methods.igc.tolerance", 0.1, *words)


@case
def method_for_an_unknown_model(study: Path) -> Wrong:
    words = ["studies.mine", "methods.igc.models names 'vgg'", "['ridge']"]
    return changed(study, "studies.mine.methods.igc.models", ["vgg"], *words)


@case
def roi_set_of_an_unknown_atlas(study: Path) -> Wrong:
    words = ["studies.mine", "rois.areas.atlas names 'aal'"]
    return changed(study, "studies.mine.rois.areas", {"kind": "atlas", "atlas": "aal"}, *words)


@case
def study_without_models(study: Path) -> Wrong:
    return changed(study, "studies.mine.models", {}, "studies.mine.models", "at least 1 item")


@case
def unreadable_yaml(study: Path) -> Wrong:
    return config(study, "studies:\n  mine: {data: [\n", "valid YAML", "line 3", "correct the file")


@case
def yaml_with_a_tab(study: Path) -> Wrong:
    return config(study, "studies:\n\tmine: 1\n", "valid YAML", "line 2", "correct the file")


@case
def yaml_that_builds_objects(study: Path) -> Wrong:
    return config(study, "seed: !!python/object/apply:os.getpid []\n", "valid YAML", "correct the file")


@case
def yaml_in_another_encoding(study: Path) -> Wrong:
    return config(study, "# Größe\nseed: 1\n".encode("latin-1"), "UTF-8", "save it as UTF-8")


@case
def image_in_place_of_yaml(study: Path) -> Wrong:
    return config(study, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "UTF-8")


@case
def key_given_twice(study: Path) -> Wrong:
    text = "studies:\n  mine:\n    models:\n      a: {kind: linear}\n      a: {kind: analytic}\n"
    return config(study, text, "the key 'a' twice", "line 5", "correct the file")


@case
def empty_configuration(study: Path) -> Wrong:
    return config(study, "", "the whole file", "None")


@case
def list_in_place_of_keys(study: Path) -> Wrong:
    return config(study, "- seed: 1\n", "the whole file")


@case
def folder_in_place_of_a_configuration(study: Path) -> Wrong:
    arguments, _ = config(study, "")
    return [*arguments[:2], str(study), *arguments[3:]], [str(study), "a YAML configuration", "check the path"]


@case
def missing_configuration(study: Path) -> Wrong:
    arguments, words = config(study, "")
    Path(words[0]).unlink()
    return arguments, [words[0], "no such file", "a YAML configuration", "check the path"]


@case
def unknown_study(study: Path) -> Wrong:
    arguments, words = config(study, yaml.safe_dump(GOOD))
    return [*arguments[:4], "yours", *arguments[5:]], [
        "--study",
        "'yours'",
        "one of mine",
        words[0],
        "name one of them",
    ]


HOSTILE = {
    "quote": "mine' --title 'x",
    "semicolon": "mine; rm -rf results",
    "space": "my study",
    "parent": "../mine",
    "slash": "mine/two",
    "dollar": "$(id)",
    "backtick": "`id`",
    "newline": "mine\nid",
    "option": "--help",
    "brace": "{study}",
    "capital": "Mine",
    "empty": "",
    "umlaut": "mäne",
    "end_of_line": "mine\n",
}


def _hostile(name: str, level: str) -> None:
    def spoil(study: Path) -> Wrong:
        whole = json.loads(json.dumps(GOOD))
        block = whole["studies"] if level == "studies" else whole["studies"]["mine"][level]
        block[HOSTILE[name]] = next(iter(block.values()))
        return config(study, yaml.safe_dump(whole), "should match pattern '^[a-z][a-z0-9_]*$'")

    spoil.__name__ = f"hostile_name_in_{level}_{name}"
    case(spoil)


for _name in HOSTILE:
    _hostile(_name, "studies")
for _level in ("models", "methods", "rois"):
    _hostile("quote", _level)


# --- options --------------------------------------------------------------------------------------------------------


@case
def settings_and_config(study: Path) -> Wrong:
    arguments, _ = config(study, yaml.safe_dump(GOOD))
    return [*arguments, "--settings", "{}"], ["--settings and --config", "both", "exactly one of them", "give one"]


@case
def neither_settings_nor_config(study: Path) -> Wrong:
    output = str(study / "out.zarr")
    return ["preprocess", "--output", output], ["--settings and --config", "neither", "exactly one of them"]


@case
def settings_that_are_no_mapping(study: Path) -> Wrong:
    return ["fetch", "--settings", "mnist"], ["settings", "'mnist'"]


@case
def settings_with_an_unclosed_brace(study: Path) -> Wrong:
    return ["fetch", "--settings", '{"kind": "mnist"'], ["settings", "valid YAML", "correct the file"]


@case
def unknown_architecture(study: Path) -> Wrong:
    return train(study, {**NETWORK, "architecture": "resnet"}, "architecture", "'resnet'", "residual_mlp", "choose one")


@case
def unknown_argument_of_an_architecture(study: Path) -> Wrong:
    words = ["arguments of residual_mlp", "widht", "width", "correct the arguments"]
    return train(study, {**NETWORK, "arguments": {"widht": 8}}, *words)


@case
def bad_argument_of_an_architecture(study: Path) -> Wrong:
    return train(
        study, {**NETWORK, "arguments": {"width": -3}}, "width", "-3", "a whole number", "correct the argument"
    )


@case
def words_as_an_argument_of_an_architecture(study: Path) -> Wrong:
    return train(study, {**NETWORK, "arguments": {"width": "wide"}}, "width", "'wide'", "a whole number")


@case
def architecture_for_images_on_vectors(study: Path) -> Wrong:
    settings = {"kind": "network", "architecture": "convolutional_classifier"}
    return train(study, settings, "convolutional_classifier", "inputs of shape (6,)", "(channel, row, column)", "use")


@case
def analytic_rule_of_measured_data(study: Path) -> Wrong:
    return train(study, {"kind": "analytic"}, "model kind analytic", "a simulated experiment", "use kind network")


@case
def logistic_regression_of_values(study: Path) -> Wrong:
    return train(study, {"kind": "linear", "fit": "logistic"}, "logistic", "values", "ridge")


@case
def training_on_a_device_that_does_not_exist(study: Path) -> Wrong:
    arguments, _ = train(study, NETWORK)
    return [*arguments, "--device", "tpu"], ["device", "'tpu'", "auto, cpu", "choose another"]


def train(study: Path, settings: dict[str, Any], *words: str) -> Wrong:
    arguments = ["train", "--settings", json.dumps(settings), "--samples", str(study / "samples.zarr")]
    return [*arguments, "--output", str(study / "out" / "model")], list(words)
