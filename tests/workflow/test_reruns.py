from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.workflow.snakes import planned, snakemake

# one worker runs all of these, because the run they start from takes longer than they do
pytestmark = pytest.mark.workflow

AFTER_ATTRIBUTE = {"attribute", "aggregate", "yardsticks", "compare", "summarize", "report", "explore"}
AFTER_TRAIN = {"train", *AFTER_ATTRIBUTE}
EVERYTHING = {"preprocess", "rois", *AFTER_TRAIN}


@contextmanager
def edited(file: Path, old: str = "", new: str = "\n# edited\n") -> Iterator[None]:
    """Change a file and change it back; without ``old``, something is appended."""
    before = file.read_text(encoding="utf-8")
    after = before.replace(old, new, 1) if old else before + new
    assert after != before
    file.write_text(after, encoding="utf-8")
    yield
    file.write_text(before, encoding="utf-8")


def test_a_second_run_does_nothing(finished: Path) -> None:
    assert "Nothing to be done" in snakemake(folder=finished)
    assert planned("-s", "workflow/Snakefile", folder=finished) == {}


@pytest.mark.parametrize(
    ("sources", "rules"),
    [
        (["igc/stats/moments.py"], EVERYTHING),
        (["igc/data/idx.py"], EVERYTHING),
        (["igc/models/layers.py"], AFTER_TRAIN),
        (["igc/steps/train.py"], AFTER_TRAIN),
        (["igc/roi/parcellation.py"], {"rois", *AFTER_ATTRIBUTE}),
        (["igc/attribution/paths.py"], AFTER_ATTRIBUTE),
        (["igc/streaming/tree.py"], AFTER_ATTRIBUTE),
        (["igc/comparison/agreement.py"], {"yardsticks", "compare", "summarize", "report", "explore"}),
        (["igc/steps/aggregate.py", "igc/report/style.py"], {"aggregate", "summarize", "report", "explore"}),
        (["igc/steps/yardsticks.py"], {"yardsticks", "compare", "summarize", "report", "explore"}),
        (["igc/cli.py", "igc/steps/fetch.py", "workflow/report/scores.rst"], set()),
    ],
)
def test_an_edit_reruns_what_is_above_it_and_nothing_else(finished: Path, sources: list[str], rules: set[str]) -> None:
    with ExitStack() as edits:
        for source in sources:
            edits.enter_context(edited(finished / source))
        assert set(planned(folder=finished)) == rules


@pytest.mark.parametrize(
    ("old", "new", "jobs"),
    [
        (
            "points: 1,",
            "points: 2,",
            {"attribute": 2, "aggregate": 1, "yardsticks": 1, "compare": 1, "summarize": 1, "report": 1, "explore": 1},
        ),
        (
            "naive_correlation: {",
            "gradient_x_input: {}\n      naive_correlation: {",
            {"attribute": 3, "aggregate": 1, "yardsticks": 1, "compare": 1, "summarize": 1, "report": 1, "explore": 1},
        ),
        (
            "inner_folds: 2}",
            "inner_folds: 3}",
            {
                "train": 1,
                "attribute": 1,
                "aggregate": 1,
                "yardsticks": 1,
                "compare": 1,
                "summarize": 1,
                "report": 1,
                "explore": 1,
            },
        ),
        (
            "inner_folds: 2}",
            "inner_folds: 2, seeds: [0, 1]}",
            {
                "train": 1,
                "attribute": 1,
                "aggregate": 1,
                "yardsticks": 1,
                "compare": 1,
                "summarize": 1,
                "report": 1,
                "explore": 1,
            },
        ),
        (
            "quadrants: {kind: quadrants}",
            "halves: {kind: quadrants}",
            {
                "rois": 1,
                "attribute": 4,
                "aggregate": 1,
                "yardsticks": 1,
                "compare": 1,
                "summarize": 1,
                "report": 1,
                "explore": 1,
            },
        ),
        ("steps: 3,", "steps: 4,", {"yardsticks": 1, "compare": 1, "summarize": 1, "report": 1, "explore": 1}),
        ("inner_folds: 2}", "inner_folds: 2, fit: ridge}", {}),
    ],
    ids=["points", "a method", "a model", "a seed", "a region", "a yardstick", "a default written out"],
)
def test_a_change_of_the_configuration_reruns_only_its_jobs(
    finished: Path, old: str, new: str, jobs: dict[str, int]
) -> None:
    with edited(finished / "config" / "config.yaml", old, new):
        assert planned(folder=finished) == jobs


def test_the_report_gathers_captions_figures_and_tables(finished: Path) -> None:
    snakemake("--cores", "1", "--report", "results/report.html", folder=finished)
    page = (finished / "results" / "report.html").read_text(encoding="utf-8")
    assert all(words in page for words in ("maps_igc.png", "scores.tsv", "linear_igc.tsv", "agreement.tsv"))
    assert "<strong>tiny</strong>" in page
    assert "snakemake.wildcards" not in page
