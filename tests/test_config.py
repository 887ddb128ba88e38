import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from snakemake.utils import validate

from igc.config import (
    Config,
    DataSource,
    LinearModel,
    ModelSettings,
    NetworkModel,
    json_schema,
    load_config,
    parse_block,
)
from igc.errors import ConfigError, MissingFileError

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"
FILES = sorted((ROOT / "config").glob("*.yaml"))

GOOD: dict[str, Any] = {
    "seed": 1,
    "studies": {
        "digits": {
            "data": {"kind": "mnist"},
            "models": {
                "cnn": {"kind": "network", "architecture": "convolutional_classifier", "training": {"epochs": 3}},
                "ridge": {"kind": "linear", "alphas": [1, 10, 3]},
            },
            "methods": {"igc": {"points": 16}, "other": {"method": "igc", "models": ["cnn"]}},
            "rois": {"rings": {"kind": "rings"}},
        }
    },
}

# (path of the key, value to put there, place named in the message, words of the message)
BAD = [
    (["seeed"], 1, "seeed", ["unknown key", "seed, studies", "write 'seed'"]),
    (["seed"], -1, "seed", ["-1", "greater than or equal to 0"]),
    (["seed"], "1", "seed", ["'1'", "without quotes"]),
    (["seed"], True, "seed", ["True", "integer"]),
    (["studies"], {}, "studies", ["at least 1"]),
    (["studies", "Digits"], {}, "studies.Digits", ["Digits", "pattern"]),
    (["studies", "digits"], 3, "studies.digits", ["3", "object"]),
    (["studies", "digits", "titel"], "x", "studies.digits.titel", ["unknown key", "write 'title'"]),
    (["studies", "digits", "data", "fold"], 1, "studies.digits.data.fold", ["unknown key", "download_folder"]),
    (["studies", "digits", "data", "kind"], "zip", "studies.digits.data", ["the kind 'zip'", "'nifti'"]),
    (["studies", "digits", "data"], {}, "studies.digits.data", ["no kind", "the key 'kind'"]),
    (["studies", "digits", "split"], 3, "studies.digits.split", ["3", "object"]),
    (
        ["studies", "digits", "split"],
        {"folds": 1},
        "studies.digits.split.folds",
        ["greater than or equal to 2", "given"],
    ),
    (["studies", "digits", "split"], {"folds": "all"}, "studies.digits.split.folds", ["'all'", "'given'"]),
    (
        ["studies", "digits", "models", "cnn", "training", "epocs"],
        3,
        "studies.digits.models.cnn.training.epocs",
        ["unknown key", "write 'epochs'"],
    ),
    (
        ["studies", "digits", "models", "cnn", "training", "learning_rate"],
        "1e-3",
        "studies.digits.models.cnn.training.learning_rate",
        ["'1e-3'", "1.0e-3"],
    ),
    (
        ["studies", "digits", "models", "cnn"],
        {"kind": "network"},
        "studies.digits.models.cnn.architecture",
        ["nothing", "add the key"],
    ),
    (["studies", "digits", "models", "cnn", "seeds"], [], "studies.digits.models.cnn.seeds", ["at least 1"]),
    (["studies", "digits", "models", "ridge", "alphas"], [1, 2], "studies.digits.models.ridge.alphas.2", ["add"]),
    (["studies", "digits", "methods", "igc", "points"], "16", "studies.digits.methods.igc.points", ["without quotes"]),
    (["studies", "digits", "methods", "igc", "points"], 0, "studies.digits.methods.igc.points", ["greater than 0"]),
    (["studies", "digits", "methods", "igc", "baselines"], "black", "studies.digits.methods.igc.baselines", ["'data'"]),
    (
        ["studies", "digits", "methods", "igc", "baselines"],
        0,
        "studies.digits.methods.igc.baselines",
        ["or equal to 1"],
    ),
    (["studies", "digits", "rois", "rings", "cuont"], 3, "studies.digits.rois.rings.cuont", ["write 'count'"]),
]


def changed(path: list[str], value: object) -> dict[str, Any]:
    config = copy.deepcopy(GOOD)
    block = config
    for key in path[:-1]:
        block = block[key]
    block[path[-1]] = value
    return config


def written(folder: Path, config: object) -> Path:
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


def test_the_committed_schema_is_the_generated_one() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), "run: igc config-schema --output " + str(SCHEMA)


def test_the_schema_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(yaml.safe_load(json_schema()))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_shipped_configurations_name_known_architectures_and_methods(file: Path) -> None:
    from igc.attribution.registry import METHODS
    from igc.models import ARCHITECTURES

    for study in load_config(file).studies.values():
        assert {model.architecture for model in study.models.values() if isinstance(model, NetworkModel)} <= set(
            ARCHITECTURES
        )
        assert {method.method or key for key, method in study.methods.items()} <= set(METHODS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_workflow_fills_in_the_same_defaults_as_the_package(file: Path) -> None:
    filled = yaml.safe_load(file.read_text(encoding="utf-8"))
    validate(filled, str(SCHEMA))
    filled = json.loads(json.dumps(filled))  # blocks that studies share by an alias are one object
    config = load_config(file)
    for name, study in config.studies.items():
        for key, method in study.methods.items():
            # into how many jobs a map is split is no setting of the map, and is not written with it
            assert filled["studies"][name]["methods"][key].pop("shards") == method.shards
    assert filled == config.model_dump(mode="json")


@pytest.mark.parametrize(("path", "value", "place", "words"), BAD, ids=lambda part: str(part)[-40:])
def test_a_wrong_key_or_value_is_refused_in_one_line_that_names_its_path(
    tmp_path: Path, path: list[str], value: object, place: str, words: list[str]
) -> None:
    file = written(tmp_path, changed(path, value))
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: {place}: ")
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(("path", "value"), [case[:2] for case in BAD], ids=lambda part: str(part)[-40:])
def test_what_the_package_refuses_the_workflow_refuses_too(path: list[str], value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(path, value), yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["studies", "digits", "methods", "igc", "models"], ["vgg"], ["a contradiction", "'vgg'", "cnn"]),
        (["studies", "digits", "methods", "igc", "tolerance"], 0.1, ["only one of points and tolerance"]),
        (["studies", "digits", "rois", "rings"], {"kind": "atlas", "atlas": "aal"}, ["'aal'", "atlases are []"]),
    ],
)
def test_keys_that_contradict_each_other_are_refused(
    tmp_path: Path, path: list[str], value: object, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, changed(path, value)))
    assert all(word in str(caught.value) for word in words)


def test_the_number_of_further_problems_is_told(tmp_path: Path) -> None:
    config = changed(["seed"], -1)
    config["studies"]["digits"]["split"] = 3
    with pytest.raises(ConfigError, match="1 more problem"):
        load_config(written(tmp_path, config))


@pytest.mark.parametrize("content", ["", "[1, 2]", "just a word"])
def test_a_file_without_a_mapping_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match="the whole file"):
        load_config(file)


def test_broken_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("seed: 0\nstudies: {a: [}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 2") as caught:
        load_config(file)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nothing\.yaml"):
        load_config(tmp_path / "nothing.yaml")


def test_infinity_is_not_a_setting() -> None:
    with pytest.raises(ConfigError, match="finite"):
        parse_block(ModelSettings, "{kind: network, architecture: a, training: {learning_rate: .inf}}")


def test_a_block_reads_the_same_from_json_yaml_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text("kind: linear\nalphas: [0.1, 10, 3]\n", encoding="utf-8")
    expected = LinearModel(kind="linear", alphas=(0.1, 10, 3))
    for text in ('{"kind": "linear", "alphas": [0.1, 10, 3]}', "{kind: linear, alphas: [0.1, 10, 3]}", str(file)):
        assert parse_block(ModelSettings, text) == expected


def test_a_wrong_block_is_refused_by_its_own_path() -> None:
    with pytest.raises(ConfigError, match=r"^settings: source: found 3"):
        parse_block(DataSource, '{"kind": "mnist", "source": 3}')


def test_settings_cannot_be_changed_after_reading() -> None:
    config = Config.model_validate(GOOD)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]
