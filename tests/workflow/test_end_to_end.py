import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.workflow.conftest import copy_checkout
from tests.workflow.offline import block_network
from tests.workflow.snakes import snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the tiny study has run with the real package, on a machine without a network."""
    folder = copy_checkout(tmp_path_factory.mktemp("run"))
    block_network(folder)  # the rules put the checkout first on the path of their jobs
    snakemake("--cores", "2", folder=folder)
    return folder


def test_the_workflow_makes_every_result_and_leaves_nothing_half_written(run: Path) -> None:
    study = run / "results" / "tiny"
    for model in ("truth", "network", "ridge"):
        assert json.loads((study / "models" / f"{model}-seed0" / "model.json").read_text(encoding="utf-8"))
        assert (study / "models" / f"{model}-seed0" / "model.safetensors").stat().st_size
    tables = {path.relative_to(study / "rois").as_posix() for path in (study / "rois").rglob("*.tsv")}
    assert tables == {
        *("truth-seed0/igc.tsv", "truth-seed0/naive_correlation.tsv"),
        *("network-seed0/igc.tsv", "ridge-seed0/linear_igc.tsv"),
    }
    assert not [path for path in run.rglob("*.partial*") if ".snakemake" not in path.parts]


@pytest.mark.parametrize(
    ("model", "method"),
    [("truth", "igc"), ("network", "igc"), ("ridge", "linear_igc")],
    ids=["truth", "network", "ridge"],
)
def test_each_roi_set_sums_to_the_score_of_the_model(run: Path, model: str, method: str) -> None:
    study = run / "results" / "tiny"
    scores = pd.read_csv(study / "models" / f"{model}-seed0" / "scores.tsv", sep="\t")
    score = scores.query("metric == 'correlation' and fold == 'mean' and target != 'all'")["value"].item()
    sums = (
        pd.read_csv(study / "rois" / f"{model}-seed0" / f"{method}.tsv", sep="\t").groupby("set")["attribution"].sum()
    )
    assert set(sums.index) == {"truth", "quadrants"}
    np.testing.assert_allclose(sums, score, atol=1e-5)


def test_no_rule_but_fetch_needs_a_network(run: Path) -> None:
    assert (run / "attempts.txt").read_text() == ""
    assert (run / "results" / "explorer.html").is_file()


def test_a_second_run_does_nothing_and_the_report_opens_alone(run: Path) -> None:
    assert "Nothing to be done" in snakemake(folder=run)
    snakemake("--cores", "1", "--report", "results/report.html", folder=run)
    page = (run / "results" / "report.html").read_text(encoding="utf-8")
    assert "maps_igc.png" in page
    assert '<script src="http' not in page
