"""Names, titles and paths of a user reach the commands of the workflow as they are, whatever a shell makes of them."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.workflow.conftest import copy_checkout
from tests.workflow.snakes import ROOT, TINY, snakemake

RULES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
HOSTILE = """it's; a "tést" $(touch owned) `touch owned` & > owned | \\ *"""
TITLE = f"{HOSTILE} {{seed}} {{input}}"  # in a path Snakemake takes such words for wildcards, and says so

# paths that the workflow makes of names that the schema allows, and numbers
SAFE = re.compile(
    r"(?:input|output|threads|log"
    r"|wildcards\.(?:study|model|method|sampler|group|seed|share|shards)"
    r"|params\.(?:seed|checkpoint|scratch|map))(?:\.\w+)?"
)
# texts of options, made of paths of the workflow, of numbers and of words of the rules
MADE_OF_SAFE = {f"params.{name}" for name in ("models", "scores", "rois", "recipe", "missing", "fields")}


def shells() -> Iterator[tuple[str, str, str]]:
    """Yield the text of each rule, its name and what it gives to a shell."""
    for file in RULES:
        for part in re.split(r"^rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            found = re.search(r"^    shell:\n((?:        \".*\n)+)", part, re.MULTILINE)
            if found:
                yield part, part.split(":")[0], found[1]


def test_every_text_of_a_user_is_quoted_in_the_shell_of_a_rule() -> None:
    names = []
    for rule, name, shell in shells():
        names.append(name)
        for place in re.findall(r"(?<!\{)\{([^{}]+)\}", shell):
            value, _, how = place.partition(":")
            if how == "q" or value in MADE_OF_SAFE:
                continue
            assert SAFE.fullmatch(value), f"{name}: {{{place}}} is not quoted"
            # a rule whose files lie where the user says must quote those too
            if value.split(".")[0] in ("input", "output", "log"):
                assert re.search(r'"(?:\{made\}|\{folder\})', rule) is None, f"{name}: {{{place}}} is not quoted"
    assert {"fetch", "preprocess", "train", "attribute", "compare", "report"} <= set(names)


@pytest.mark.workflow
@pytest.mark.slow
@pytest.mark.xdist_group("hostile")
def test_a_run_in_a_folder_of_a_hostile_name_with_hostile_title_and_paths_runs_nothing_of_them(tmp_path: Path) -> None:
    place = tmp_path / HOSTILE
    place.mkdir()
    folder = copy_checkout(place)
    stub = (ROOT / "tests" / "workflow" / "stub.py").read_text(encoding="utf-8")
    noted = "import json\nwith open('argv.jsonl', 'a') as log:\n    log.write(json.dumps(sys.argv[1:]) + chr(10))\n"
    (folder / "igc" / "__main__.py").write_text(stub + noted, encoding="utf-8")
    (folder / HOSTILE).mkdir()
    data = {"kind": "arrays"}
    for name in ("inputs", "responses"):
        file = folder / HOSTILE / f"{name} {HOSTILE}.npy"
        np.save(file, np.zeros((4, 2)))
        data[name] = str(file.relative_to(folder))
    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    mask = f"{HOSTILE}/mask.npy"
    shutil.copy(file, folder / mask)
    rois = {"parts": {"kind": "masks", "masks": {"first": mask}}}
    study = {"title": TITLE, "data": data, "models": {"ridge": {"kind": "linear"}}, "rois": rois}
    study["methods"] = {"igc": {}}
    config["studies"] = {"tiny": study}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    snakemake("--cores", "2", folder=folder)
    calls = [json.loads(line) for line in (folder / "argv.jsonl").read_text(encoding="utf-8").splitlines()]
    by_verb = {call[0]: call for call in calls}
    assert {"preprocess", "rois", "train", "attribute", "compare", "report", "explore"} <= set(by_verb)
    given = by_verb["preprocess"]
    assert f"--title={TITLE}" in given
    settings = json.loads(given[given.index("--settings") + 1])
    assert {name: settings[name] for name in ("inputs", "responses")} == {n: data[n] for n in ("inputs", "responses")}
    sets = json.loads(by_verb["rois"][by_verb["rois"].index("--settings") + 1])
    assert sets["parts"]["masks"] == {"first": mask}
    assert not [path for path in place.parent.rglob("owned*") if path.name == "owned"]
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    "name", ["it's", "a b", "tést", "a;b", "$(touch owned)", "../up", "-rf", "A", "", "a/b", "a\n"]
)
@pytest.mark.parametrize("where", ["studies", "models", "methods", "rois", "samplers"])
def test_names_that_become_folders_are_refused_unless_they_are_plain(name: str, where: str) -> None:
    from igc.config import Config
    from igc.errors import ConfigError
    from igc.parsing import parse

    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    block = {"tiny": config["studies"]["tiny"]}
    if where == "studies":
        block = {name: block["tiny"]}
    else:
        entries = {"models": {"kind": "linear"}, "methods": {"method": "igc"}, "samplers": {"kind": "gaussian"}}
        block["tiny"][where] = {name: entries.get(where, {"kind": "quadrants"})}
    with pytest.raises(ConfigError) as caught:
        parse(Config, {"seed": 0, "studies": block}, "config")
    assert "\n" not in str(caught.value)


def test_words_survive_the_quoting_that_snakemake_does() -> None:
    """The rules rely on ``:q``, which is that of the standard library."""
    from snakemake.utils import format as filled

    settings = json.dumps({"title": TITLE})
    words = filled("igc --settings {text:q}", text=settings)
    assert shlex.split(words) == ["igc", "--settings", settings]
    assert os.name == "posix"
