import inspect
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from igc.cli import app
from igc.config import FieldSettings, LinearModel, MethodSettings, MnistData, RingRois, Split, Yardsticks, json_schema
from igc.errors import DataError, explain

ROOT = Path(__file__).parents[1]
VERBS = [
    "aggregate",
    "attribute",
    "bids",
    "compare",
    "config-schema",
    "explore",
    "fetch",
    "fields",
    "fit-sampler",
    "group",
    "make-nsd",
    "merge",
    "methods",
    "preprocess",
    "report",
    "rois",
    "shards",
    "status",
    "summarize",
    "train",
    "yardsticks",
]
CONFIG = """
seed: 7
studies:
  digits:
    title: Digits
    data: {kind: mnist}
    split: {folds: 3}
    models: {ridge: {kind: linear}}
    methods: {plain: {method: igc, points: 4}, igc: {}}
    rois: {rings: {kind: rings, count: 2}}
    yardsticks: {steps: 5}
"""

# verb, name of its step function, arguments beside those of the settings, the settings, arguments of the same with
# a configuration file, and what the step function must be given
CASES: list[tuple[str, str, list[str], list[str], list[str], dict[str, Any]]] = [
    ("fetch", "fetch", [], ["--settings", '{"kind": "mnist"}'], [], {"data": MnistData(kind="mnist")}),
    (
        "preprocess",
        "preprocess",
        ["--output", "out/samples.zarr/zarr.json"],
        [
            *("--settings", '{"kind": "mnist"}', "--split", '{"folds": 3}'),
            *("--study", "digits", "--title", "Digits", "--seed", "7"),
        ],
        [],
        {
            "data": MnistData(kind="mnist"),
            "split": Split(folds=3),
            "seed": 7,
            "output": Path("out/samples.zarr"),
            "study": "digits",
            "title": "Digits",
        },
    ),
    (
        "rois",
        "define_rois",
        ["--samples", "samples.zarr/zarr.json", "--output", "rois.zarr"],
        ["--settings", '{"rings": {"kind": "rings", "count": 2}}', "--seed", "7"],
        [],
        {
            "samples": Path("samples.zarr"),
            "rois": {"rings": RingRois(kind="rings", count=2)},
            "output": Path("rois.zarr"),
            "seed": 7,
        },
    ),
    (
        "train",
        "train",
        ["--samples", "samples.zarr", "--output", "ridge/model.json", "--scratch", "partials", "--device", "cpu"],
        ["--settings", '{"kind": "linear"}', "--seed", "7"],
        ["--model", "ridge"],
        {
            "samples": Path("samples.zarr"),
            "model": LinearModel(kind="linear"),
            "seed": 7,
            "output": Path("ridge"),
            "device": "cpu",
            "scratch": Path("partials"),
            "progress": True,
            "rois": None,
        },
    ),
    (
        "attribute",
        "attribute_files",
        [
            *("--samples", "samples.zarr", "--model", "ridge/model.json", "--rois", "rois.zarr/zarr.json"),
            *(
                "--output",
                "igc.zarr/zarr.json",
                "--checkpoint",
                "partials",
                "--workers",
                "2",
                "--share",
                "2/4",
                "--progress",
            ),
        ],
        ["--settings", '{"method": "igc", "points": 4, "examples": 64}', "--seed", "7"],
        ["--method", "plain"],
        {
            "samples": Path("samples.zarr"),
            "model": Path("ridge"),
            "settings": MethodSettings(method="igc", points=4, examples=64),
            "rois": Path("rois.zarr"),
            "output": Path("igc.zarr"),
            "seed": 7,
            "device": "auto",
            "checkpoint": Path("partials"),
            "share": (2, 4),
            "workers": 2,
            "scheduler": None,
            "progress": True,
        },
    ),
    (
        "yardsticks",
        "judge_models",
        [
            *("net/igc.zarr/zarr.json", "--samples", "samples.zarr/zarr.json", "--model", "net/model.json"),
            *("--model", "ridge", "--rois", "rois.zarr", "--output", "judged", "--device", "cpu"),
        ],
        ["--settings", '{"steps": 5}', "--seed", "7"],
        [],
        {
            "samples": Path("samples.zarr"),
            "models": [Path("net"), Path("ridge")],
            "attributions": [Path("net/igc.zarr")],
            "settings": Yardsticks(steps=5),
            "output": Path("judged"),
            "rois": Path("rois.zarr"),
            "seed": 7,
            "device": "cpu",
            "progress": True,
        },
    ),
]


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "study.yaml"
    file.write_text(CONFIG, encoding="utf-8")
    return str(file)


def replace_step(monkeypatch: pytest.MonkeyPatch, module: str, function: str) -> list[dict[str, Any]]:
    """Put a recorder in the place of a step function, which takes exactly the arguments the function takes."""
    calls: list[dict[str, Any]] = []
    signature = inspect.signature(getattr(import_module(f"igc.steps.{module}"), function))

    def record(*arguments: Any, **named: Any) -> None:
        calls.append(dict(signature.bind(*arguments, **named).arguments))

    monkeypatch.setattr(f"igc.steps.{module}.{function}", record)
    return calls


def step_that_fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    module = ModuleType("igc.steps.fetch")

    def fetch(data: object) -> None:
        raise error

    module.fetch = fetch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "igc.steps.fetch", module)


def run_igc(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "igc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def test_there_is_one_verb_a_step(runner: CliRunner) -> None:
    listed = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert sorted(listed) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_each_verb_shows_an_example(runner: CliRunner, verb: str) -> None:
    result = runner.invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert f"Example: igc {verb}" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("verb", "function", "common", "settings", "names", "expected"), CASES, ids=lambda c: str(c)[:9]
)
def test_a_verb_gives_its_step_the_settings_of_the_workflow(
    runner: CliRunner,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    function: str,
    common: list[str],
    settings: list[str],
    names: list[str],
    expected: dict[str, Any],
) -> None:
    calls = replace_step(monkeypatch, verb, function)
    result = runner.invoke(app, [verb, *common, *settings])
    assert (result.exit_code, result.output) == (0, "")
    assert calls == [expected]


@pytest.mark.parametrize(
    ("verb", "function", "common", "settings", "names", "expected"), CASES, ids=lambda c: str(c)[:9]
)
def test_a_configuration_file_gives_the_same_call_as_settings(
    runner: CliRunner,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    verb: str,
    function: str,
    common: list[str],
    settings: list[str],
    names: list[str],
    expected: dict[str, Any],
) -> None:
    calls = replace_step(monkeypatch, verb, function)
    result = runner.invoke(app, [verb, *common, "--config", config, "--study", "digits", *names])
    assert (result.exit_code, result.output) == (0, "")
    assert calls == [expected]


def test_a_method_is_named_by_its_key_when_its_block_names_none(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    calls = replace_step(monkeypatch, "attribute", "attribute_files")
    common = ["attribute", "--samples", "s", "--model", "m", "--output", "o"]
    assert runner.invoke(app, [*common, "--config", config, "--study", "digits", "--method", "igc"]).exit_code == 0
    assert runner.invoke(app, [*common, "--settings", "{}", "--method", "igc"]).exit_code == 0
    assert [call["settings"] for call in calls] == [MethodSettings(method="igc", examples=n) for n in (64, None)]


def test_tables_are_named_after_model_and_method(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = replace_step(monkeypatch, "aggregate", "aggregate")
    stores = ["a/cnn-seed0/igc.zarr/zarr.json", "a/ridge-seed1/linear_igc.zarr"]
    given = ["--output", "rois", "--rois", "rois.zarr", "--samples", "samples.zarr/zarr.json"]
    assert runner.invoke(app, ["aggregate", *stores, *given]).exit_code == 0
    assert calls == [
        {
            "attributions": [Path("a/cnn-seed0/igc.zarr"), Path("a/ridge-seed1/linear_igc.zarr")],
            "outputs": [Path("rois/cnn-seed0/igc.tsv"), Path("rois/ridge-seed1/linear_igc.tsv")],
            "rois": Path("rois.zarr"),
            "samples": Path("samples.zarr"),
        }
    ]


def test_fields_are_given_the_block_of_the_study(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = replace_step(monkeypatch, "fields", "fields")
    common = ["fields", "net/igc.zarr/zarr.json", "--samples", "samples.zarr/zarr.json", "--output", "fields"]
    block = "{models: [ridge], channels: [0], field_of_view: 8.4}"
    file = tmp_path / "fields.yaml"
    file.write_text(f"{CONFIG}    fields: {block}\n", encoding="utf-8")
    assert runner.invoke(app, [*common, "--settings", block]).exit_code == 0
    assert runner.invoke(app, [*common, "--config", str(file), "--study", "digits"]).exit_code == 0
    expected = {
        "samples": Path("samples.zarr"),
        "attributions": [Path("net/igc.zarr")],
        "settings": FieldSettings(models=["ridge"], channels=[0], field_of_view=8.4),
        "output": Path("fields"),
    }
    assert calls == [expected, expected]


def test_a_group_is_given_the_folders_of_its_studies(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = replace_step(monkeypatch, "group", "group")
    arguments = ["group", "a/rois", "b/rois", "--output", "both", "--title", "Both", "--missing-regions"]
    assert runner.invoke(app, arguments).exit_code == 0
    assert calls == [
        {"studies": [Path("a/rois"), Path("b/rois")], "output": Path("both"), "title": "Both", "missing_regions": True}
    ]


def test_compare_is_given_every_score_table(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = replace_step(monkeypatch, "compare", "compare")
    arguments = ["a.zarr", "b.zarr", "--samples", "s.zarr", "--scores", "1.tsv", "--scores", "2.tsv", "--output", "out"]
    assert runner.invoke(app, ["compare", *arguments]).exit_code == 0
    assert calls == [
        {
            "samples": Path("s.zarr"),
            "attributions": [Path("a.zarr"), Path("b.zarr")],
            "scores": [Path("1.tsv"), Path("2.tsv")],
            "output": Path("out"),
            "yardsticks": None,
            "benchmarks": None,
        }
    ]


def test_export_is_given_stores_tables_and_the_version(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    from igc import __version__

    calls = replace_step(monkeypatch, "bids", "bids")
    arguments = ["a.zarr/zarr.json", "--samples", "s.zarr/zarr.json", "--rois", "r.zarr", "--tables", "t"]
    assert runner.invoke(app, ["bids", *arguments, "--fields", "f", "--output", "out"]).exit_code == 0
    assert calls == [
        {
            "samples": Path("s.zarr"),
            "rois": Path("r.zarr"),
            "attributions": [Path("a.zarr")],
            "tables": Path("t"),
            "output": Path("out"),
            "version": __version__,
            "fields": Path("f"),
        }
    ]


@pytest.mark.parametrize("arguments", [[], ["--settings", "{}", "--config", "study.yaml"]])
def test_exactly_one_of_settings_and_config_is_asked_for(runner: CliRunner, arguments: list[str]) -> None:
    result = runner.invoke(app, ["fetch", *arguments])
    assert result.exit_code == 2
    assert "--settings and --config" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "--study", "digit"], ["--study", "'digit'", "digits"]),
        (["fetch"], ["--study", "nothing", "digits"]),
        (
            ["train", "--samples", "s", "--output", "o", "--study", "digits", "--model", "vgg"],
            ["--model", "'vgg'", "ridge"],
        ),
        (
            ["attribute", "--samples", "s", "--model", "m", "--output", "o", "--study", "digits", "--method", "x"],
            ["--method", "'x'", "igc, plain"],
        ),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    runner: CliRunner, config: str, arguments: list[str], words: list[str]
) -> None:
    result = runner.invoke(app, [*arguments, "--config", config])
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words)


def test_an_unknown_key_in_the_settings_is_refused_before_the_step_starts(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = replace_step(monkeypatch, "fetch", "fetch")
    result = runner.invoke(app, ["fetch", "--settings", '{"kind": "mnist", "sauce": "embedded"}'])
    assert result.exit_code == 2
    assert "write 'source'" in result.stderr
    assert calls == []


def test_an_error_of_the_user_is_one_line_and_exit_status_2(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    step_that_fails(monkeypatch, DataError(explain("images.gz", "a short\nfile", "60000 images", "fetch it again")))
    result = runner.invoke(app, ["fetch", "--settings", '{"kind": "mnist"}'])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: images.gz: found a short file, allowed is 60000 images; fetch it again\n"


def test_a_bug_keeps_its_traceback(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    step_that_fails(monkeypatch, ZeroDivisionError("a bug"))
    result = runner.invoke(app, ["fetch", "--settings", '{"kind": "mnist"}'])
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_an_interruption_exits_with_130(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    step_that_fails(monkeypatch, KeyboardInterrupt())
    result = runner.invoke(app, ["fetch", "--settings", '{"kind": "mnist"}'])
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path: Path) -> None:
    wrong = ["fetch", "--settings", "{}"]
    plain = run_igc(*wrong, folder=tmp_path)
    assert plain.returncode == 2
    assert plain.stderr.startswith("error: settings: ")
    assert plain.stderr.count("\n") == 1
    for arguments in (["--debug", *wrong], [*wrong, "--debug"]):
        assert "Traceback" in run_igc(*arguments, folder=tmp_path).stderr


def test_a_wrong_option_exits_with_2(runner: CliRunner) -> None:
    assert runner.invoke(app, ["train", "--no-such-option"]).exit_code == 2
    assert runner.invoke(app, ["paint"]).exit_code == 2


def test_the_package_runs_from_a_checkout_in_any_folder(tmp_path: Path) -> None:
    from igc import __version__

    done = run_igc("--version", folder=tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_help_does_not_wait_for_the_heavy_libraries() -> None:
    code = "import sys, igc.cli; print([m for m in ('torch', 'xarray', 'pandas', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_methods_lists_the_registry(runner: CliRunner) -> None:
    from igc.attribution.registry import METHODS

    result = runner.invoke(app, ["methods"])
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == sorted(METHODS)


def test_the_schema_is_printed_or_written(runner: CliRunner, tmp_path: Path) -> None:
    printed = runner.invoke(app, ["config-schema"])
    assert json.loads(printed.output) == json.loads(json_schema())
    assert runner.invoke(app, ["config-schema", "--output", str(tmp_path / "schema.json")]).exit_code == 0
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == printed.output


@pytest.mark.parametrize("share", ["2", "two/4", "2/4/6", "-1/2"])
def test_a_share_that_is_no_share_ends_in_one_line(runner: CliRunner, share: str) -> None:
    common = ["--samples", "s.zarr", "--model", "m", "--output", "o.zarr", "--settings", "{}"]
    result = runner.invoke(app, ["attribute", *common, "--share", share])
    assert result.exit_code == 2
    assert "--share" in result.stderr
    assert len(result.stderr.splitlines()) == 1
