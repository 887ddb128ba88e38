"""ROI tables of several studies become tables and figures of a group."""

from pathlib import Path

import pandas as pd
import pytest

from igc.errors import ConfigError, DataError, MissingFileError
from igc.steps.group import group
from igc.store.atomic import write_table
from tests.roi.test_groups import REGIONS, roi_table


def study(folder: Path, number: int, regions: list[str] = REGIONS, models: tuple[str, ...] = ("net-seed0",)) -> Path:
    for k, model in enumerate(models):
        write_table(folder / f"s{number}" / "rois" / model / "igc.tsv", roi_table(10 * number + k, regions))
    return folder / f"s{number}" / "rois"


def test_models_that_all_studies_have_are_put_together_over_seeds(tmp_path: Path) -> None:
    studies = [
        study(tmp_path, 1, models=("net-seed0", "net-seed1", "ridge-seed0")),
        study(tmp_path, 2, models=("net-seed0", "net-seed1")),
    ]
    group(studies, tmp_path / "groups" / "both", title="Both")
    out = tmp_path / "groups" / "both"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == [
        "figures/net/igc.png",
        "rois/net/igc-subjects.tsv",
        "rois/net/igc.tsv",
    ]
    table = pd.read_csv(out / "rois" / "net" / "igc.tsv", sep="\t", na_values=["n/a"])
    every = pd.concat([roi_table(seed) for seed in (10, 11, 20, 21)])
    expected = every.groupby(["target", "roi"])["attribution"].mean()
    for _, row in table.iterrows():
        assert row["attribution"] == pytest.approx(expected[row["target"], row["roi"]])
        assert row["subjects"] == 2
    subjects = pd.read_csv(out / "rois" / "net" / "igc-subjects.tsv", sep="\t")
    assert sorted(set(subjects["subject"])) == ["s1", "s2"]


def test_too_few_subjects_are_said_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    group([study(tmp_path, 1), study(tmp_path, 2)], tmp_path / "both")
    assert [record.message for record in caplog.records] == [
        "2 subjects are too few for a test: the smallest p of a sign-flip test is 0.5 (6 subjects are needed)."
    ]


def test_differing_regions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    studies = [study(tmp_path, 1), study(tmp_path, 2, ["V1", "rest"])]
    with pytest.raises(DataError, match="missing_regions"):
        group(studies, tmp_path / "both")
    assert not (tmp_path / "both").exists()
    group(studies, tmp_path / "both", missing_regions=True)


def test_what_is_no_group_is_refused(tmp_path: Path) -> None:
    one, other = study(tmp_path, 1), study(tmp_path, 2, models=("ridge-seed0",))
    with pytest.raises(ConfigError, match="two or more"):
        group([one, one], tmp_path / "both")
    with pytest.raises(ConfigError, match="no model and method"):
        group([one, other], tmp_path / "both")
    with pytest.raises(MissingFileError, match="igc aggregate"):
        group([one, tmp_path / "s3" / "rois"], tmp_path / "both")
