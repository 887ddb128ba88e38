import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
WORKFLOW = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["workflow"]]
DEVELOPMENT = [Requirement(line) for line in PROJECT["dependency-groups"]["dev"]]

# what conda calls a package of another name on the package index
CONDA_NAMES = {"torch": "pytorch"}
# what a package is imported as, where its name does not say so
IMPORT_NAMES = {"google-crc32c": "google_crc32c", "pyyaml": "yaml", "scikit-learn": "sklearn"}


def pins() -> dict[str, Version]:
    lines = (ROOT / "envs" / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    return {canonicalize_name(line.split("==")[0]): Version(line.split("==")[1]) for line in lines}


def conda_bounds() -> dict[str, SpecifierSet]:
    entries = yaml.safe_load((ROOT / "envs" / "igc.yaml").read_text(encoding="utf-8"))["dependencies"]
    parts = [entry.partition(" ") for entry in entries]
    return {name: SpecifierSet(bounds) for name, _, bounds in parts}


def imported_packages() -> set[str]:
    """Return the third-party packages that the package imports anywhere, also inside functions."""
    found = set()
    for file in (ROOT / "igc").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"igc"}


@pytest.mark.parametrize("requirement", [*RUNTIME, *WORKFLOW, *DEVELOPMENT], ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_within_its_bounds(requirement: Requirement) -> None:
    pin = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pin, prereleases=True), f"{requirement} against {pin}"


def test_the_conda_environment_has_the_same_names_and_bounds() -> None:
    expected = {CONDA_NAMES.get(need.name, need.name): need.specifier for need in [*RUNTIME, *WORKFLOW]}
    expected["python"] = SpecifierSet(PROJECT["project"]["requires-python"])
    assert conda_bounds() == expected


def test_the_conda_environment_takes_packages_from_free_channels_only() -> None:
    channels = yaml.safe_load((ROOT / "envs" / "igc.yaml").read_text(encoding="utf-8"))["channels"]
    assert channels == ["conda-forge", "bioconda", "nodefaults"]


def test_the_container_installs_the_pinned_project_on_an_allowed_python() -> None:
    text = (ROOT / "envs" / "Containerfile").read_text(encoding="utf-8")
    base = re.search(r"^FROM docker\.io/library/python:(\d+\.\d+)-slim$", text, re.MULTILINE)
    assert base
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(base[1])
    installs = re.findall(r"^RUN pip install .*$", text, re.MULTILINE)
    assert len(installs) == 1
    assert installs[0].endswith("--constraint envs/constraints.txt --editable '.[workflow]'")


def test_make_installs_the_same_extras_by_the_same_pins() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "PINS := envs/constraints.txt" in text
    assert "--constraint $(PINS)" in text
    assert text.count("--editable '.[workflow]'") == 2


def test_everything_imported_is_declared_and_everything_declared_is_imported() -> None:
    declared = {IMPORT_NAMES.get(need.name, need.name) for need in RUNTIME}
    assert imported_packages() == declared


def test_the_continuous_integration_runs_the_tests_of_the_readme() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
