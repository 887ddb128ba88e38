"""The manual says what the code does: keys, defaults, kinds, columns, examples and commands are held against it."""

import inspect
import re
import runpy
import shlex
import typing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
import xarray as xr
import yaml
from pydantic import TypeAdapter

import igc
from igc import config
from igc.attribution.registry import METHODS
from igc.cli import app
from igc.comparison.agreement import MEASURES
from igc.comparison.criteria import COLUMNS as YARDSTICK_COLUMNS
from igc.comparison.criteria import CURVE_COLUMNS, YARDSTICKS
from igc.comparison.linear import COLUMNS as LINEAR_COLUMNS
from igc.comparison.partition import COLUMNS as PARTITION_COLUMNS
from igc.comparison.sizes import SIZE_COLUMNS
from igc.comparison.summary import METRICS, SUMMARY_COLUMNS
from igc.models import ARCHITECTURES, build_architecture
from igc.roi.aggregate import COLUMNS as ROI_COLUMNS
from igc.roi.field_table import FIELD_COLUMNS, LOCALISER_COLUMNS
from igc.roi.groups import GROUP_COLUMNS, SUBJECT_COLUMNS
from igc.steps.preprocess import preprocess
from igc.steps.report import FIGURES
from igc.steps.rois import define_rois
from igc.store.samples import open_samples
from igc.testing.contract import check_method

ROOT = Path(__file__).parents[1]
MANUAL = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in GUIDES}
PAGES |= {"README.md": README, "config/README.md": MANUAL}

SECTIONS = {
    "The whole file": config.Config,
    "A study": config.Study,
    "Data, `kind: nifti`": config.NiftiData,
    "An atlas": config.AtlasFiles,
    "Data, `kind: arrays`": config.ArraysData,
    "Data, `kind: haxby`": config.HaxbyData,
    "Data, `kind: nsd`": config.NsdData,
    "A recipe": config.NsdRecipe,
    "Data, `kind: mnist`": config.MnistData,
    "Data, `kind: simulated`": config.SimulatedData,
    "The split": config.Split,
    "Models, `kind: linear`": config.LinearModel,
    "Models, `kind: network`": config.NetworkModel,
    "Models, `kind: analytic`": config.AnalyticModel,
    "Methods": config.MethodSettings,
    "Samplers": config.SamplerSettings,
    "Yardsticks": config.Yardsticks,
    "Receptive fields": config.FieldSettings,
    "Groups": config.GroupSettings,
}


def section(title: str) -> str:
    """Return the text under a heading of the manual, up to the next heading of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", MANUAL, re.MULTILINE | re.DOTALL)
    assert found, f"the manual has no section {title!r}"
    return found[1]


def tables(text: str) -> list[list[list[str]]]:
    """Return the tables of a text: header and rows, without the line between them."""
    blocks = re.findall(r"((?:^\|.*\|\n)+)", text, re.MULTILINE)
    rows = [[[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]
    return [[row for row in block if set("".join(row)) - set("-")] for block in rows]


def keys(text: str) -> dict[str, str]:
    """Return the defaults by key of the first table of keys in a text."""
    block = next(block for block in tables(text) if block[0][0] == "key")
    return {row[0].strip("`"): row[1] for row in block[1:]}


def codes(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def same_default(shown: str, model: type[config.Block], name: str) -> bool:
    field = model.model_fields[name]
    if field.is_required() or shown == "required":
        return field.is_required() and shown == "required"
    if shown == "\N{EN DASH}":
        return field.get_default() is None
    annotation = typing.get_type_hints(model, include_extras=True)[name]
    return bool(TypeAdapter(annotation).validate_python(yaml.safe_load(shown.strip("`"))) == field.get_default())


def every_block() -> set[type[config.Block]]:
    """Return all blocks the configuration is made of."""
    return {value for value in vars(config).values() if inspect.isclass(value) and issubclass(value, config.Block)} - {
        config.Block
    }


@pytest.mark.parametrize("title", [*SECTIONS, "training"])
def test_every_key_is_described_with_its_default(title: str) -> None:
    if title == "training":
        text, model = section("Models, `kind: network`").partition("The training loop")[2], config.Training
    else:
        text, model = section(title), SECTIONS[title]
    described = keys(text)
    assert set(described) == set(model.model_fields)
    wrong = [name for name, shown in described.items() if not same_default(shown, model, name)]
    assert not wrong


def test_every_kind_of_roi_set_is_described_with_its_keys_and_defaults() -> None:
    rows = tables(section("ROI sets"))[0][1:]
    kinds = {typing.get_args(model.model_fields["kind"].annotation)[0]: model for model in roi_blocks()}
    assert {row[0].strip("`") for row in rows} == set(kinds)
    described = {(row[0].strip("`"), row[1].strip("`")) for row in rows if row[1]}
    assert described == {(kind, name) for kind, model in kinds.items() for name in model.model_fields if name != "kind"}
    assert all(same_default(row[2], kinds[row[0].strip("`")], row[1].strip("`")) for row in rows if row[1])


def roi_blocks() -> tuple[type[config.Block], ...]:
    return typing.get_args(typing.get_args(config.RoiSource)[0])


def test_no_block_of_the_configuration_is_left_out() -> None:
    assert every_block() == {*SECTIONS.values(), config.Training, *roi_blocks()}


def test_every_choice_of_a_key_is_named() -> None:
    choices = {
        choice
        for model in every_block()
        for annotation in typing.get_type_hints(model, include_extras=True).values()
        for choice in literals(annotation)
    }
    assert sorted(choice for choice in choices if f"`{choice}`" not in MANUAL and f"kind: {choice}" not in MANUAL) == []


def literals(annotation: Any) -> set[str]:
    if typing.get_origin(annotation) is typing.Literal:
        return set(map(str, typing.get_args(annotation)))
    return {name for part in typing.get_args(annotation) for name in literals(part)}


BUILDERS = ("igc.models.architectures", "igc.models.encoders")


def test_every_architecture_is_described_with_its_arguments_and_defaults() -> None:
    block = next(block for block in tables(section("Models, `kind: network`")) if block[0][0] == "architecture")
    described: dict[str, dict[str, Any]] = {}
    for name, argument, default, _ in block[1:]:
        if name:
            described[name.strip("`")] = {}
        if argument:
            described[list(described)[-1]][argument.strip("`")] = yaml.safe_load(default.strip("`"))
    builders = {name: f for name, f in ARCHITECTURES.items() if f.__module__ in BUILDERS}
    expected = {
        name: {
            key: list(p.default) if isinstance(p.default, tuple) else p.default
            for key, p in list(inspect.signature(builder).parameters.items())[2:]
        }
        for name, builder in builders.items()
    }
    assert described == expected


def test_every_method_and_its_options_are_described() -> None:
    text = section("Methods")
    assert [name for name in METHODS if f"| `{name}` |" not in text] == []
    assert [name for name in METHODS if f"`{name}`" not in README] == []
    rows = next(block for block in tables(text) if block[0][:2] == ["method", "option"])[1:]
    described = {(name, row[1].strip("`")) for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert described == {(method.name, option) for method in METHODS.values() for option in method.options}


@pytest.mark.parametrize(
    "names",
    [
        ROI_COLUMNS,
        LINEAR_COLUMNS,
        PARTITION_COLUMNS,
        MEASURES,
        [*YARDSTICK_COLUMNS, *CURVE_COLUMNS, *YARDSTICKS],
        SIZE_COLUMNS,
        [*FIELD_COLUMNS, *LOCALISER_COLUMNS],
        [*GROUP_COLUMNS, *SUBJECT_COLUMNS],
        [*SUMMARY_COLUMNS, *METRICS],
        [name.removesuffix(".png") for name in FIGURES],
    ],
    ids=[
        "ROI table",
        "deep against linear",
        "linear partition",
        "agreement",
        "yardsticks",
        "sizes",
        "receptive fields",
        "groups",
        "summary",
        "figures",
    ],
)
def test_every_column_and_figure_is_described(names: list[str]) -> None:
    assert [name for name in names if f"`{name}`" not in section("What comes out")] == []


def test_every_example_of_a_configuration_is_valid() -> None:
    examples = [text for page in PAGES.values() for text in codes("yaml", page) if "studies:" in text]
    assert len(examples) >= 3
    for text in examples:
        TypeAdapter(config.Config).validate_python(yaml.safe_load(text))


def test_the_made_up_data_and_the_worked_examples_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["make_example.py"])
    runpy.run_path(str(ROOT / "docs" / "make_example.py"), run_name="__main__")
    shapes = {}
    for text in codes("yaml", section_of_examples()):
        whole = TypeAdapter(config.Config).validate_python(yaml.safe_load(text))
        for name, study in whole.studies.items():
            preprocess(study.data, study.split, whole.seed, tmp_path / f"{name}.zarr", name, study.title)
            define_rois(tmp_path / f"{name}.zarr", study.rois, tmp_path / f"{name}-rois.zarr", whole.seed)
            samples = open_samples(tmp_path / f"{name}.zarr")
            shapes[name] = (*samples["inputs"].shape, samples.sizes["target"])
    # six runs of six blocks of four volumes; a lag of two volumes takes two from each run
    assert shapes == {
        "objects": (144, 210, 2),
        "brightness": (6 * 58, 210, 1),
        "category": (36, 210, 2),
        "table": (400, 30, 2),
    }


def section_of_examples() -> str:
    return MANUAL.partition("## Worked examples")[2].partition("## Input files")[0]


def test_the_example_for_a_notebook_runs_and_adds_up() -> None:
    (text,) = codes("python", README)
    names: dict[str, Any] = {}
    exec(compile(text, "README.md", "exec"), names)
    result = names["result"]
    assert isinstance(result, xr.Dataset)
    np.testing.assert_allclose(result["attribution"].sum("voxel"), result["score"], rtol=0, atol=1e-9)


def test_the_examples_for_contributors_keep_the_contract() -> None:
    known, builders = dict(METHODS), dict(ARCHITECTURES)
    try:
        for text in codes("python", PAGES["CONTRIBUTING.md"]):
            exec(compile(text, "CONTRIBUTING.md", "exec"), {"__name__": "contributed"})
        assert set(METHODS) - set(known) == {"saliency"}
        check_method("saliency")
        (name,) = set(ARCHITECTURES) - set(builders)
        assert build_architecture(name, (1, 4, 5), 3, {"width": 2})(torch.zeros(2, 1, 4, 5)).shape == (2, 3)
    finally:
        for registry, before in ((METHODS, known), (ARCHITECTURES, builders)):
            for added in set(registry) - set(before):
                del registry[added]


def test_commands_name_verbs_and_options_that_exist() -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    seen = set()
    for page in PAGES.values():
        for line in "\n".join(codes("bash", page)).replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["igc"]:
                continue
            assert words[1] in verbs, line
            known = {name for parameter in verbs[words[1]].params for name in parameter.opts} | {"--help"}
            assert {word for word in words if word.startswith("--")} <= known, line
            seen.add(words[1])
    assert set(verbs) - seen <= {"merge"}


def test_version_and_date_are_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    heading = f"## [{igc.__version__}] - {citation['date-released']}"
    assert citation["version"] == igc.__version__
    assert heading in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_front_page_has_the_words_that_the_workflow_catalog_looks_for() -> None:
    assert {"snakemake", "workflow"} <= set(re.findall(r"[a-z]+", README.lower()))


def test_links_between_pages_lead_somewhere() -> None:
    for name, text in PAGES.items():
        home = next(path for path in [ROOT / name, ROOT / "docs" / name] if path.is_file()).parent
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith(("http://", "https://", "#")):
                continue
            path, _, anchor = target.partition("#")
            assert (home / path).exists(), f"{name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", (home / path).read_text(encoding="utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, f"{name}: {target}"
