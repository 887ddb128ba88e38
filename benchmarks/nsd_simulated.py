"""What studies on made files of the Natural Scenes Dataset must reach: ``python benchmarks/nsd_simulated.py results``.

With ``--run FOLDER`` the studies are run first, from nothing, in a new folder, and the time is taken.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

import igc
from igc.roi.fields import fit_fields

ROOT = Path(__file__).parents[1]
STUDIES = ("nsd_simulated", "nsd_simulated_two", "nsd_simulated_encoding")
CARRIERS = {"contrast": ("V1v", "V1d"), "luminance": ("V2v", "V2d", "hV4"), "slope": ("V3v", "V3d")}
"""The areas into which each statistic was planted."""

Row = tuple[str, float, str]


def run(folder: Path) -> float:
    """Run the three studies with two cores, from raw files to figures, and return the seconds."""
    content = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    studies = {name: study for name, study in content["studies"].items() if name in STUDIES}
    groups = {name: one for name, one in content.get("groups", {}).items() if set(one["studies"]) <= set(STUDIES)}
    folder.mkdir(parents=True)
    text = yaml.safe_dump({"seed": content["seed"], "studies": studies, "groups": groups})
    (folder / "studies.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    started = time.perf_counter()
    subprocess.run([*command, "--configfile", "studies.yaml", "--cores", "2", "--quiet"], cwd=folder, check=True)
    return time.perf_counter() - started


def decoding(results: Path, study: str) -> Iterator[Row]:
    """Share of the score that the planted areas carry."""
    for file in sorted((results / study / "rois").glob("*/*igc.tsv")):
        table = pd.read_csv(file, sep="\t", na_values="n/a").query("set == 'areas'")
        for target, areas in CARRIERS.items():
            rows = table[table["target"] == target].set_index("roi")["attribution"]
            there = [area for area in areas if area in rows.index]
            share = rows[there].sum() / rows.sum()
            yield f"{study} {file.parent.name}: share of {target} in {', '.join(there)}", share, ">= 0.9"


def ceilings(results: Path, study: str) -> Iterator[Row]:
    """How far estimated noise ceilings are from those that were planted."""
    samples = igc.open_samples(results / study / "samples.zarr")
    data = samples.attrs["source"]["settings"]
    root = results.parent / data["folder"] / "planted"
    planted = pd.read_csv(root / f"subj{data['subject']:02d}_{data['space']}.tsv", sep="\t").set_index(["x", "y", "z"])
    places = [tuple(place) for place in samples["target_voxel_index"].values.tolist()]
    known = np.array([place in planted.index for place in places])
    true = planted.loc[[place for place in places if place in planted.index], "ceiling"].to_numpy() / 100
    found = samples["target_ceiling"].values[known] / 100
    repeats = samples["trials"].values
    yield f"{study}: images seen three times", float((repeats == 3).sum()), ">= 400"
    yield f"{study}: median difference of noise ceiling and truth", float(np.median(np.abs(found - true))), "<= 0.02"


def encoding(results: Path, study: str) -> Iterator[Row]:
    """Normalised scores by area, and where receptive fields are found."""
    table = pd.read_csv(results / study / "comparison" / "target_regions.tsv", sep="\t", na_values="n/a")
    table = table[table["metric"] == "normalized_correlation"]
    for model, region, median in table[["model", "region", "median"]].itertuples(index=False):
        yield f"{study} {model}: normalised correlation in {region}, median", median, ""
    samples = igc.open_samples(results / study / "samples.zarr")
    planted, size = samples["target_field"].values, samples.sizes["row"]
    cell = samples.attrs["field_of_view"] / size
    areas = samples["target_atlas_areas"]
    names = np.array([areas.attrs["regions"][str(code)]["name"] for code in areas.values.tolist()])
    maps = (results / study / "attributions").glob
    for file in (*maps("*/igc.zarr"), *maps("*/linear_igc.zarr")):
        fields = fit_fields(igc.open_result(file)["attribution"].values.sum(axis=1))
        away = np.hypot(fields.right - planted[:, 0] / cell, fields.up - planted[:, 1] / cell)
        for statistic in ("luminance", "contrast"):
            chosen = np.isin(names, CARRIERS[statistic])
            # a linear model does not see contrast, so that its maps have no place there
            bound = "" if statistic == "contrast" and file.parent.name.startswith("ridge") else "<= 1"
            text = f"{study} {file.parent.name}: centres of {statistic} fields, cells away, median"
            yield text, float(np.nanmedian(away[chosen])), bound


def main() -> None:
    """Print each number beside its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument("--run", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    rows: list[Row] = []
    if given.run is not None:
        rows.append(("raw files to figures on 2 cores, seconds", run(given.run), "< 300"))
        given.results = given.run / "results"
    for study in STUDIES[:2]:
        rows += decoding(given.results, study)
    rows += ceilings(given.results, STUDIES[2])
    rows += encoding(given.results, STUDIES[2])
    for name, value, bound in rows:
        print(f"{name:<84}{value:>9.3g}  {bound}")


if __name__ == "__main__":
    main()
