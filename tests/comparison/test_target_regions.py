import numpy as np
import pandas as pd
import xarray as xr

from igc.comparison.target_regions import TARGET_REGION_COLUMNS, by_region, regions_of_targets, target_region_table

NAMES = np.array(["v0", "v1", "v2", "v3", "v4", "v5"], dtype=object)
REGIONS = {"1": {"name": "V1", "color": None}, "2": {"name": "V2", "color": None}}
SAMPLES = xr.Dataset(
    {
        "target_atlas_areas": ("target", np.array([1, 1, 1, 2, 2, 0]), {"regions": REGIONS}),
        "target_atlas_sides": ("target", np.array([1, 1, 1, 1, 1, 1]), {"regions": {"1": {"name": "left"}}}),
        "target_ncsnr": ("target", np.ones(6)),
    },
    coords={"target": NAMES},
)
VALUES = np.array([0.1, 0.2, 0.6, 0.4, np.nan, -0.1])


def scores() -> pd.DataFrame:
    rows = [
        {"model": model, "fold": fold, "target": name, "metric": "correlation", "value": factor * value, "n": 9}
        for model, factor in (("mlp-seed0", 1.0), ("ridge-seed0", 0.5))
        for fold in ("0", "mean")
        for name, value in zip(NAMES, VALUES, strict=True)
    ]
    return pd.DataFrame(rows)


def test_targets_outside_all_regions_are_the_rest() -> None:
    assert regions_of_targets(SAMPLES)["areas"].tolist() == ["V1", "V1", "V1", "V2", "V2", "rest"]
    assert regions_of_targets(SAMPLES.drop_vars(["target_atlas_areas", "target_atlas_sides"])) == {}


def test_table_holds_medians_and_quartiles_of_what_has_a_value() -> None:
    table = target_region_table(scores(), SAMPLES)
    assert tuple(table.columns) == TARGET_REGION_COLUMNS
    assert len(table) == 2 * (3 + 1)
    rows = table[table["model"] == "ridge-seed0"].set_index(["set", "region"])
    assert rows.loc[("areas", "V1"), ["n", "median", "lower_quartile", "upper_quartile"]].tolist() == [
        3,
        *np.quantile(0.5 * VALUES[:3], [0.5, 0.25, 0.75]),
    ]
    assert rows.loc[("areas", "V2"), ["n", "median"]].tolist() == [1, 0.2]
    assert rows.loc[("sides", "left"), "n"] == 5
    assert target_region_table(scores(), xr.Dataset(coords={"target": NAMES})).empty


def test_regions_take_the_place_of_targets_in_the_set_that_has_most() -> None:
    found = by_region({"mlp": scores().query("model == 'mlp-seed0'")}, SAMPLES)["mlp"]
    mean = found[found["fold"] == "mean"].set_index("target")["value"]
    assert mean.index.tolist() == ["V1 (3)", "V2 (2)", "rest (1)"]
    np.testing.assert_allclose(mean, [0.2, 0.4, -0.1])
    plain = {"mlp": scores()}
    assert by_region(plain, SAMPLES.drop_vars(["target_atlas_areas", "target_atlas_sides"])) == plain
