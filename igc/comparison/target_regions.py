"""Scores of many targets that lie somewhere (voxels of an encoding study), summarised by the regions they lie in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

__all__ = ["TARGET_REGION_COLUMNS", "by_region", "regions_of_targets", "target_region_table"]

TARGET_REGION_COLUMNS = ("model", "set", "region", "metric", "n", "median", "lower_quartile", "upper_quartile")
"""Columns of the table of scores by region."""

_PREFIX = "target_atlas_"
_REST = "rest"


def regions_of_targets(samples: xr.Dataset) -> dict[str, npt.NDArray[np.object_]]:
    """Return the name of the region of each target (target,), by ROI set.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples; ``target_atlas_<set>`` (target) holds codes, its attribute ``regions`` their names.

    Returns
    -------
    dict of str to array of str (target,)
        ``rest`` where a target lies in no region; empty where targets lie nowhere.
    """
    found = {}
    for variable in samples.data_vars:
        if str(variable).startswith(_PREFIX) and "regions" in samples[variable].attrs:
            names = {int(code): region["name"] for code, region in samples[variable].attrs["regions"].items()}
            codes = samples[variable].values.tolist()
            named = [names.get(code, _REST) for code in codes]
            found[str(variable).removeprefix(_PREFIX)] = np.array(named, dtype=object)
    return found


def _with_regions(
    scores: pd.DataFrame, regions: npt.NDArray[np.object_], targets: npt.NDArray[np.object_]
) -> pd.Series:
    place = dict(zip(targets.astype(str).tolist(), regions.tolist(), strict=True))
    return scores["target"].astype(str).map(place)


def by_region(scores: Mapping[str, pd.DataFrame], samples: xr.Dataset) -> dict[str, pd.DataFrame]:
    """Take the median over the targets of each region, for the ROI set with the most regions.

    Parameters
    ----------
    scores : mapping of str to pandas.DataFrame
        By model: columns fold, target, metric, value.
    samples : xarray.Dataset
        The samples.

    Returns
    -------
    dict of str to pandas.DataFrame
        The same columns; a target is a region with the number of its targets. The scores as they are where targets lie
        in no region.
    """
    sets = regions_of_targets(samples)
    if not sets:
        return dict(scores)
    regions = max(sets.values(), key=lambda names: len(set(names)))
    sizes = pd.Series(regions).value_counts()
    order = [name for name in dict.fromkeys(sorted(set(regions) - {_REST})) if name] + [_REST] * (_REST in set(regions))
    labels = {name: f"{name} ({sizes[name]})" for name in order}
    found = {}
    for model, table in scores.items():
        named = table.assign(target=_with_regions(table, regions, samples["target"].values))
        middle = pd.DataFrame(named.groupby(["fold", "metric", "target"])["value"].median().reset_index())
        middle["target"] = pd.Categorical(middle["target"], order, ordered=True)
        middle = middle.sort_values("target", kind="stable")
        found[model] = middle.assign(target=middle["target"].astype(str).map(labels)).reset_index(drop=True)
    return found


def target_region_table(scores: pd.DataFrame, samples: xr.Dataset) -> pd.DataFrame:
    """Summarise scores by the regions of their targets.

    Parameters
    ----------
    scores : pandas.DataFrame
        Of all models: columns model, fold, target, metric, value.
    samples : xarray.Dataset
        The samples.

    Returns
    -------
    pandas.DataFrame
        :data:`TARGET_REGION_COLUMNS`, from the means over folds: the median and the quartiles over the ``n`` targets of
        a region that have a value.
    """
    own = scores[scores["fold"].astype(str) == "mean"]
    tables = []
    for name, regions in regions_of_targets(samples).items():
        named = own.assign(region=_with_regions(own, regions, samples["target"].values))
        values = named.groupby(["model", "region", "metric"], sort=False)["value"]
        table = values.agg(
            n="count",
            median="median",
            lower_quartile=lambda found: found.quantile(0.25),
            upper_quartile=lambda found: found.quantile(0.75),
        ).reset_index()
        tables.append(table.assign(set=name))
    columns = list(TARGET_REGION_COLUMNS)
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
