import re
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml
from snakefmt.snakefmt import main as snakefmt
from typer.testing import CliRunner

from tests.workflow.snakes import ROOT, planned, snakemake

pytestmark = pytest.mark.workflow

CONFIGURATIONS = sorted((ROOT / "config").glob("*.yaml"))
RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.name)
def test_the_root_and_the_standard_place_plan_the_same_jobs(tmp_path: Path, file: Path) -> None:
    where = ("--directory", tmp_path, "--configfile", file)
    jobs = planned(*where)
    assert jobs == planned("-s", "workflow/Snakefile", *where)
    studies = yaml.safe_load(file.read_text(encoding="utf-8"))["studies"]
    assert jobs["preprocess"] == jobs["report"] == len(studies)


def test_another_configuration_replaces_the_default_studies(tmp_path: Path) -> None:
    assert planned("--directory", tmp_path, "--configfile", ROOT / "config" / "mnist.yaml")["preprocess"] == 1


def test_a_download_comes_first_where_the_source_asks_for_it(tmp_path: Path) -> None:
    assert planned("--directory", tmp_path, "--configfile", ROOT / "config" / "mnist.yaml")["fetch"] == 1
    assert "fetch" not in planned("--directory", tmp_path, "--configfile", ROOT / "config" / "config.yaml")


def test_brain_data_need_not_be_there_to_plan_a_study(tmp_path: Path) -> None:
    jobs = planned("--directory", tmp_path, "--configfile", ROOT / "config" / "nsd.yaml")
    assert (jobs["preprocess"], jobs["train"]) == (4, 16)
    assert not {"fetch", "make_nsd"} & set(jobs)


def simulated(folder: Path, *recipes: str) -> Path:
    """Write a configuration of one study a recipe, all on files that are made in one folder."""
    studies = {
        f"study_{number}": {
            "data": {"kind": "nsd", "source": "simulated", "folder": "made here/nsd", "recipe": yaml.safe_load(recipe)},
            "models": {"ridge": {"kind": "linear"}},
            "methods": {"linear_igc": {}},
        }
        for number, recipe in enumerate(recipes)
    }
    file = folder / "simulated.yaml"
    file.write_text(yaml.safe_dump({"studies": studies}), encoding="utf-8")
    return file


def test_files_are_made_once_for_all_studies_that_read_them(tmp_path: Path) -> None:
    file = simulated(tmp_path, "{shared: 50}", "{shared: 50}")
    told = snakemake("--dry-run", "--printshellcmds", "--directory", tmp_path, "--configfile", file)
    assert told.count("igc make-nsd --output 'made here/nsd'") == 1
    assert "--shared 50" in told
    assert "--sessions 3 --sessions 2 --space func1pt8mm --version b3" in told
    assert planned("--directory", tmp_path, "--configfile", file)["preprocess"] == 2


def test_two_recipes_for_one_folder_are_refused(tmp_path: Path) -> None:
    file = simulated(tmp_path, "{shared: 50}", "{shared: 60}")
    told = snakemake("--dry-run", "--directory", tmp_path, "--configfile", file, ok=False)
    assert "study_1.data.recipe: another study makes other files in made here/nsd" in told


def test_lint_finds_nothing() -> None:
    assert "good condition" in snakemake("--lint")


def test_the_workflow_is_formatted() -> None:
    from click.testing import CliRunner as ClickRunner

    result = ClickRunner().invoke(snakefmt, ["--check", str(ROOT / "Snakefile"), str(ROOT / "workflow")])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.stem)
def test_each_rule_has_what_every_rule_must_have(file: Path) -> None:
    for rule in re.split(r"^rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        for directive in ("output", "log", "benchmark", "resources", "params", "message", "shell"):
            assert f"    {directive}:" in rule, f"{rule.split(':')[0]} has no {directive}"
        assert re.search(r'^ +"exec python -m igc ', rule, re.MULTILINE), "no shell between Snakemake and the job"
        assert "code=code_digest(" in rule or rule.startswith("fetch:")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("studies.mnist.models.cnn.training", {"epocs": 3}, ["studies.mnist.models.cnn.training", "'epocs'"]),
        ("studies.mnist.split", 3, ["studies.mnist.split", "3 is not of type 'object'"]),
        ("studies.mnist.methods.igc", {"points": "16"}, ["studies.mnist.methods.igc.points", "not of type 'number'"]),
        ("studies.mnist.methods.igc", {"models": ["vgg"]}, ["studies.mnist.methods.igc.models", "vgg"]),
        ("seeed", 3, ["the whole file", "'seeed'"]),
    ],
)
def test_a_wrong_configuration_is_refused_before_any_job(
    tmp_path: Path, path: str, value: object, words: list[str]
) -> None:
    config = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    *parents, last = path.split(".")
    block = config
    for key in parents:
        block = block[key]
    block[last] = value
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    told = snakemake("--dry-run", "--directory", tmp_path, "--configfile", file, ok=False)
    line = next(line for line in told.splitlines() if line.startswith("configuration, "))
    assert all(word in line for word in words)
    assert not (tmp_path / "results").exists()


def sources_of_steps() -> dict[str, list[str]]:
    """Return the table of sources in common.smk."""
    text = (ROOT / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    table = text[text.index("VERBS = ") : text.index("def code_digest")]
    names: dict[str, Any] = {"ROOT": ROOT}
    exec(table, names)
    sources: dict[str, list[str]] = names["SOURCES"]
    return sources


@pytest.mark.parametrize("step", sorted(sources_of_steps()))
def test_a_digest_covers_all_that_its_step_imports(step: str) -> None:
    covered = [*sources_of_steps()[step], f"steps/{step}.py"]
    imported = grimp.build_graph("igc").find_upstream_modules(f"igc.steps.{step}")
    files = [module.removeprefix("igc.").replace(".", "/") for module in imported if module != "igc"]
    for file in files:
        known = any(file == name.removesuffix(".py") or file.split("/")[0] == name for name in covered)
        assert known or file == "steps", f"{step} imports {file}, which its digest leaves out"


def test_each_verb_of_the_rules_exists() -> None:
    from igc.cli import app

    text = "".join(file.read_text(encoding="utf-8") for file in RULES)
    for verb in set(re.findall(r"python -m igc ([a-z-]+)", text)):
        assert CliRunner().invoke(app, [verb, "--help"]).exit_code == 0


def test_profiles_hold_only_options_that_snakemake_knows() -> None:
    from snakemake.cli import get_argument_parser

    known = {option.lstrip("-") for action in get_argument_parser()._actions for option in action.option_strings}
    for profile in ("default", "slurm"):
        file = ROOT / "workflow" / "profiles" / profile / "config.yaml"
        assert set(yaml.safe_load(file.read_text(encoding="utf-8"))) <= known


def test_the_default_profile_is_found_at_the_root(tmp_path: Path) -> None:
    default = ROOT / "config" / "config.yaml"
    assert "profiles/default" in snakemake("--dry-run", "--directory", tmp_path, "--configfile", default)
