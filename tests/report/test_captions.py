"""The captions of the report say what the planted roles look like, in the method that should see them."""

from pathlib import Path

import pytest

CAPTIONS = Path(__file__).parents[2] / "workflow" / "report"


@pytest.mark.parametrize("word", ["redundancy", "suppression", "interaction"])
@pytest.mark.parametrize("name", ["comparison", "linear_partition"])
def test_each_planted_role_is_explained(name: str, word: str) -> None:
    assert word in (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").lower()


def test_each_figure_of_the_report_has_a_caption() -> None:
    rules = "".join(file.read_text(encoding="utf-8") for file in (CAPTIONS.parent / "rules").glob("*.smk"))
    named = {line.split('"')[1].rsplit("/", 1)[1] for line in rules.splitlines() if "caption=" in line}
    assert named <= {file.name for file in CAPTIONS.glob("*.rst")}
    assert {"deep_linear.rst", "examples.rst", "verdict.rst", "linear_partition.rst"} <= named
