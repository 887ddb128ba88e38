import numpy as np
import pandas as pd
import pytest

from igc.comparison import partition
from igc.comparison.linear import COLUMNS as LINEAR_COLUMNS
from igc.comparison.partition import COLUMNS, beside_partition
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
