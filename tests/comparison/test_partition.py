import numpy as np
import pandas as pd
import pytest

from igc.comparison import partition
from igc.comparison.linear import COLUMNS as LINEAR_COLUMNS
from igc.comparison.partition import COLUMNS, READINGS, beside_partition, reading_of
from igc.models.partition import COLUMNS as WRITTEN

REGIONS = ((1, "front"), (2, "back"), (0, "rest"))


def deep(
    model: str = "mlp-seed0", linear_model: str = "banded-seed0", sets: tuple[str, ...] = ("a", "b")
) -> pd.DataFrame:
    rows = [
        {"set": name, "index": index, "roi": roi, "target": target, "network": 10 * index + t}
        for name in sets
        for index, roi in REGIONS
        for t, target in enumerate(("1", "2"))
    ]
    labels = {"model": model, "method": "igc", "linear_model": linear_model, "linear_method": "linear_igc"}
    return pd.DataFrame(rows).reindex(columns=list(LINEAR_COLUMNS)).assign(**labels)


def written(offset: float = 0.0) -> pd.DataFrame:
    rows = [
        {"set": "a", "index": index, "roi": roi, "target": target, "unique": offset + index + 100 * t}
        for t, target in enumerate((1, 2))
        for index, roi in REGIONS[:2]
    ]
    return pd.DataFrame(rows).reindex(columns=list(WRITTEN))


def test_the_columns_are_those_that_training_writes() -> None:
    assert partition.PARTITION_COLUMNS == WRITTEN


def test_rows_are_matched_by_model_set_region_and_target() -> None:
    both = pd.concat([deep(), deep(linear_model="other-seed0")])
    table = beside_partition(both, {"banded-seed0": written(), "other-seed0": written(1000.0)})
    assert tuple(table.columns) == COLUMNS
    assert set(table["set"]) == {"a"}
    assert len(table) == 2 * 2 * 2
    target = table["target"].astype(int) - 1
    offset = np.where(table["linear_model"] == "other-seed0", 1000, 0)
    np.testing.assert_array_equal(table["unique"], table["index"] + 100 * target + offset)
    np.testing.assert_array_equal(table["network"], 10 * table["index"] + target)


@pytest.mark.parametrize("parts", [{}, {"nobody-seed0": written()}])
def test_without_a_partner_there_is_no_row(parts: dict[str, pd.DataFrame]) -> None:
    table = beside_partition(deep(), parts)
    assert table.empty
    assert tuple(table.columns) == COLUMNS
    assert beside_partition(deep().iloc[:0], {"banded-seed0": written()}).empty
    assert np.isnan(beside_partition(deep(), {"banded-seed0": written()})["alone"]).all()


PLANTED = {
    # alone, unique, network, network minus linear, q
    "unique": (0.11, 0.35, 0.43, 0.05, 0.001, "own"),
    "copies": (0.37, 0.00, 0.26, 0.26, 0.001, "redundant"),
    "suppressors": (0.00, 0.24, 0.02, 0.00, 0.9, "suppressor"),
    "partner": (0.00, 0.00, 0.51, 0.51, 0.001, "nonlinear"),
    "misread": (0.00, 0.00, -0.09, -0.09, 0.001, "harmful"),
    "noise": (0.00, 0.00, 0.01, 0.01, 0.4, "nothing"),
    "uncertain": (0.015, 0.00, 0.0, 0.0, 0.9, "nothing"),
    "unknown": (np.nan, np.nan, 0.5, 0.5, 0.001, ""),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_region_is_read_as_what_was_planted_in_it(name: str) -> None:
    alone, unique, network, difference, q, expected = PLANTED[name]
    shares = {"alone": alone, "unique": unique, "network": network, "difference": difference, "q": q}
    row = {**shares, "alone_se": 0.01, "unique_se": 0.01, "network_se": 0.01}
    assert reading_of(row) == expected
    assert expected in {*READINGS, ""}


def test_the_reading_stands_in_the_table() -> None:
    known = written().assign(alone=0.3, alone_se=0.01, unique_se=0.01)
    table = beside_partition(deep(), {"banded-seed0": known})
    assert set(table["reading"]) == {"own"}
