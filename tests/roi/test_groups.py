"""Tables of groups of subjects: means that keep the sum, the regions some lack, and refusals."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from igc.errors import DataError
from igc.roi.aggregate import COLUMNS
from igc.roi.groups import GROUP_COLUMNS, group_table, join_subjects, power_note

REGIONS = ["V1", "V2", "hV4", "rest"]


def roi_table(
    seed: int, regions: list[str] | None = None, targets: tuple[str, ...] = ("one", "two"), name: str = "areas"
):
    random = np.random.default_rng(seed)
    rows = [
        {"set": name, "index": (k + 1) % 4, "roi": roi, "target": target, "n_components": 10 + k, "se": 0.01 * (k + 1)}
        for target in targets
        for k, roi in enumerate(regions or REGIONS)
    ]
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    return table.assign(attribution=random.normal(0.2, 0.1, len(table)))


def joined(n: int, **more):
    return join_subjects({f"subject_{k}": [roi_table(k)] for k in range(n)}, **more)


def test_means_spreads_and_intervals_are_those_over_subjects() -> None:
    subjects = joined(7)
    table = group_table(subjects)
    assert list(table.columns) == list(GROUP_COLUMNS)
    assert table["roi"].tolist() == REGIONS * 2
    for _, row in table.iterrows():
        own = subjects[(subjects["roi"] == row["roi"]) & (subjects["target"] == row["target"])]["attribution"]
        assert row["attribution"] == pytest.approx(own.mean())
        assert row["sd"] == pytest.approx(own.std(ddof=1))
        interval = stats.t.interval(0.95, 6, own.mean(), stats.sem(own))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(interval)
        assert row["positive_subjects"] == (own > 0).sum()
    np.testing.assert_allclose(table["within_se"], np.tile(0.01 * np.arange(1, 5), 2) / np.sqrt(7))
    assert set(table["test"]) == {"sign-flip"}
    assert (table["p"] <= table["p_fwe"]).all()


def test_regions_and_rest_sum_to_the_mean_score_and_shares_to_one() -> None:
    subjects = joined(6)
    table = group_table(subjects)
    for target, rows in table.groupby("target"):
        scores = subjects[subjects["target"] == target].groupby("subject")["attribution"].sum()
        assert rows["attribution"].sum() == pytest.approx(scores.mean())
        assert rows["share"].sum() == pytest.approx(1)


def test_shares_are_blank_where_the_score_cannot_be_told_from_zero() -> None:
    tables = {f"s{k}": [roi_table(k)] for k in range(4)}
    for k, (own,) in enumerate(tables.values()):
        own.loc[own["target"] == "one", "attribution"] *= (-1) ** k
    table = group_table(join_subjects(tables))
    assert table.loc[table["target"] == "one", "share"].isna().all()
    assert table.loc[table["target"] == "two", "share"].notna().all()


def test_few_subjects_are_not_tested_and_one_line_says_so() -> None:
    table = group_table(joined(2))
    assert table[["p", "p_fwe"]].isna().all(axis=None)
    assert set(table["test"]) == {"too few subjects"}
    assert "0.5" in power_note(2)
    assert "6 subjects" in power_note(5)
    assert "\n" not in power_note(5)
    assert power_note(6) == ""


def test_seeds_of_a_model_are_averaged_before_subjects_are() -> None:
    seeds = [roi_table(1), roi_table(2)]
    table = join_subjects({"a": seeds, "b": [roi_table(3)]})
    own = table[table["subject"] == "a"]["attribution"].to_numpy()
    np.testing.assert_allclose(own, (seeds[0]["attribution"] + seeds[1]["attribution"]) / 2)


def test_a_region_that_a_subject_lacks_is_refused_or_averaged_over_the_others() -> None:
    tables = {"a": [roi_table(0)], "b": [roi_table(1, ["V1", "V2", "rest"])], "c": [roi_table(2)]}
    with pytest.raises(DataError, match=r"region 'areas/hV4'.*missing_regions"):
        join_subjects(tables)
    table = group_table(join_subjects(tables, missing_regions=True)).set_index(["target", "roi"])
    expected = [one["attribution"][one["roi"] == "hV4"].iloc[0] for one in (tables["a"][0], tables["c"][0])]
    assert table.loc[("one", "hV4"), "subjects"] == 2
    assert table.loc[("one", "hV4"), "attribution"] == pytest.approx(np.mean(expected))
    assert table.loc[("one", "V1"), "subjects"] == 3
    assert list(dict.fromkeys(table.index.get_level_values("roi"))) == REGIONS


def test_a_region_that_the_first_subject_lacks_comes_before_the_rest() -> None:
    tables = {"a": [roi_table(1, ["V1", "V2", "rest"])], "b": [roi_table(0)]}
    assert join_subjects(tables, True)["roi"].iloc[:4].tolist() == REGIONS


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (roi_table(1, targets=("one", "three")), "target 'three'|target 'two'"),
        (roi_table(1, name="streams"), "ROI set"),
    ],
)
def test_other_targets_and_sets_are_refused_in_one_line(other: pd.DataFrame, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        join_subjects({"a": [roi_table(0)], "b": [other]}, True)
    assert "\n" not in str(caught.value)
    assert "b" in str(caught.value)
