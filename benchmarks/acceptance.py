"""The numbers the default studies must reach, read from their results: ``python benchmarks/acceptance.py results``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

BOUNDS = (
    ("mnist", "cnn-seed0", "accuracy", 0.975),
    ("haxby", "logistic-seed0", "accuracy", 0.60),
    ("haxby", "mlp-seed0", "accuracy", 0.60),
)


def mean_score(results: Path, study: str, model: str, metric: str) -> float:
    """Return the N-weighted mean over folds."""
    table = pd.read_csv(results / study / "models" / model / "scores.tsv", sep="\t")
    chosen = table[(table["fold"] == "mean") & (table["metric"] == metric) & (table["target"] == "all")]
    return float(chosen["value"].iloc[0])


def main() -> None:
    """Print each number beside its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    rows = [
        (f"{study} {model} {metric}", mean_score(results, study, model, metric), f">= {bound}")
        for study, model, metric, bound in BOUNDS
    ]
    deep, linear = (mean_score(results, "haxby", model, "accuracy") for model in ("mlp-seed0", "logistic-seed0"))
    rows.append(("haxby deep minus linear accuracy", deep - linear, ">= 0"))
    for file in sorted(results.glob("*/comparison/closure.tsv")):
        table = pd.read_csv(file, sep="\t", na_values="n/a")
        complete = table[table["gap"].notna()]
        rows.append((f"{file.parts[-3]}: maps whose gap before closure is allowed", complete["passed"].mean(), "= 1"))
        rows.append((f"{file.parts[-3]}: largest gap after closure", complete["closed_gap"].abs().max(), "<= 1e-6"))
    for name, value, bound in rows:
        print(f"{name:<60}{value:>12.4g}  {bound}")


if __name__ == "__main__":
    main()
