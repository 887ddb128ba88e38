"""What the profile for SLURM plans, without a cluster: how jobs ask for GPUs, how a map is split, and the totals."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.workflow.snakes import ROOT, TINY, snakemake

pytestmark = pytest.mark.workflow

PROFILE = ("--workflow-profile", ROOT / "workflow" / "profiles" / "slurm")


def plan(folder: Path, *arguments: str | Path) -> str:
    return snakemake("--dry-run", "--directory", folder, *PROFILE, *arguments)


def changed(folder: Path, **methods: dict[str, object]) -> Path:
    """Write the tiny study with other methods."""
    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    config["studies"]["tiny"]["methods"] = methods
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


def totals(text: str) -> dict[str, list[float]]:
    """Return jobs, CPU hours, GPU hours and gigabytes by rule, as a plan prints them."""
    table = text[text.index("\nAsked for") :]
    return {name: [float(n) for n in rest.split()] for name, rest in re.findall(r"^(\w+) +([\d. ]+)$", table, re.M)}


def gpu_resources(request: str) -> dict[str, object]:
    """Return what a rule that wants a GPU asks for where a site has its own way, from the rules' own source."""
    text = (ROOT / "workflow" / "rules" / "resources.smk").read_text(encoding="utf-8")
    names: dict[str, Any] = {"config": {"gpu_request": request}}
    exec(text[text.index("# --- GPUs") : text.index("# --- bytes")], names)
    return {name: names[name](names["one_gpu"])(None) for name in ("gpu", "gpu_model", "gres")}


def test_the_totals_are_those_of_the_planned_jobs(tmp_path: Path) -> None:
    file = tmp_path / "results/tiny/benchmarks/attribute/truth-seed0/igc.tsv"
    file.parent.mkdir(parents=True)
    file.write_text("s\th:m:s\tmax_rss\n1800.0\t0:30:00\t100\n", encoding="utf-8")
    text = plan(tmp_path, "--configfile", TINY)
    assert "Expected: 2.00 CPU hours for 1 of 15 jobs" in text
    rows = totals(text)
    table = text.split("Job stats:")[-1].split("total")[0]
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M) if name != "default"}
    assert {name: row[0] for name, row in rows.items() if name != "total"} == jobs
    # limits of the rules times the threads of the profile: four maps of two hours by four threads and a GPU each ...
    assert rows["attribute"][1:3] == [4 * 2 * 4, 4 * 2]
    # ... and three models, of which only the network asks for a GPU
    assert rows["train"][1:3] == [3 * 2 * 4, 1 * 2]
    assert rows["preprocess"][1:3] == [1, 0]
    np.testing.assert_allclose(
        rows["total"], np.sum([row for name, row in rows.items() if name != "total"], axis=0), atol=0.1
    )
    # 192 images of 16 x 16 numbers of four bytes
    assert 192 * 16 * 16 * 4 / 1e9 < rows["preprocess"][3] < 0.01


def test_data_that_are_not_there_yet_have_a_plan_with_totals(tmp_path: Path) -> None:
    config = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    study = config["studies"].pop("tiny")
    kept = {"split": {"folds": "given"}, "models": {"ridge": {"kind": "linear"}}, "methods": {"igc": {"points": 1}}}
    config["studies"] = {
        "brain": study | kept | {"data": {"kind": "nsd", "folder": "nowhere"}, "rois": {}},
        "digits": study | kept | {"data": {"kind": "mnist", "source": "download"}, "rois": {}},
    }
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    profile = ("--profile", ROOT / "workflow" / "profiles" / "slurm")
    rows = totals(snakemake("-n", *profile, "--directory", tmp_path, "--configfile", file))
    # 40 sessions of 750 trials, three of an image, 15,000 voxels; 70,000 digits of 784 pixels; four bytes a number
    numbers = 40 * 750 / 3 * 15000 + 70000 * 784
    np.testing.assert_allclose(rows["preprocess"][3], 4e-9 * numbers, rtol=0.05)
    assert rows["fetch"][0] == 1
    assert 0.01 < rows["fetch"][3] < 0.1
    assert rows["total"][2] == 2 * 2 + 2 * 2


def test_a_plan_without_data_counts_hours_and_bytes_of_every_rule_of_the_default_studies(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(ROOT / "config")
    rows = totals(plan(tmp_path))
    assert rows.keys() >= {"make_nsd", "preprocess", "fit_sampler", "attribute", "fields", "group", "bids", "explore"}
    assert all(jobs >= 1 and hours > 0 and size > 0 for jobs, hours, _, size in rows.values())
    # made files are small, whatever those of the dataset are: most are the images of simulated studies
    assert rows["preprocess"][3] < 0.5
    alone = [row for name, row in rows.items() if name != "total"]
    np.testing.assert_allclose(rows["total"], np.sum(alone, axis=0), atol=0.1)
    assert {name for name, row in rows.items() if row[2]} == {"train", "fit_sampler", "attribute", "yardsticks", "total"}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("count", {"gpu": 1, "gpu_model": "", "gres": ""}),
        ("count:a100", {"gpu": 1, "gpu_model": "a100", "gres": ""}),
        ("gres", {"gpu": 0, "gpu_model": "", "gres": "gpu:1"}),
        ("gres:v100", {"gpu": 0, "gpu_model": "", "gres": "gpu:v100:1"}),
        ("none", {"gpu": 0, "gpu_model": "", "gres": ""}),
    ],
)
def test_one_key_says_how_a_site_asks_for_gpus(request_: str, expected: dict[str, object]) -> None:
    assert gpu_resources(request_) == expected


def test_generic_resources_reach_the_jobs_and_the_totals(tmp_path: Path) -> None:
    text = plan(tmp_path, "--configfile", TINY, "--config", "gpu_request=gres:v100")
    assert totals(text)["attribute"][2] == 4 * 2


def test_a_way_to_ask_for_gpus_that_is_none_is_refused(tmp_path: Path) -> None:
    site = ("--config", "gpu_request=--gres=gpu;id")
    told = snakemake("--dry-run", "--directory", tmp_path, "--configfile", TINY, *site, ok=False)
    assert "configuration, gpu_request: " in told


def test_a_map_is_split_into_as_many_jobs_as_asked_for(tmp_path: Path) -> None:
    maps = tmp_path / "maps.npy"
    np.save(maps, np.zeros(3))
    file = changed(
        tmp_path,
        igc={"points": 1, "models": ["truth", "network"], "shards": 3},
        naive_correlation={"models": ["truth"]},
        mine={"method": "given", "file": str(maps), "models": ["truth"], "shards": 3},
    )
    text = plan(tmp_path, "--configfile", file, "--printshellcmds")
    shares = re.findall(r"igc attribute --settings (.*?) --samples.*--share (\d)/3", text)
    assert sorted(number for _, number in shares) == ["1", "1", "2", "2", "3", "3"]
    # a share's states are found by the map's job only if both are given the same settings
    whole = re.findall(r"igc attribute --settings (\S.*?) --samples", text)
    assert {settings for settings, _ in shares} <= set(whole)
    assert not any("shards" in settings for settings in whole)
    assert len(whole) == 4 + 6
