"""Do methods that keep more principles of the Taylor framework explain better?

``python benchmarks/principles.py results/mnist/samples.zarr results/mnist/models/cnn-seed0 [OUTPUT]`` explains the same
held-out samples by every method with known weights, and by those that follow from them; judges the maps by infidelity
and, where a truth was planted, by recovery; and puts both beside the number of principles that each method keeps on
these data. Standard errors are over samples; the claim is tested by the mean slope over samples of each yardstick on
the number of principles.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import igc
from igc.attribution.taylor.weights import Principles
from igc.comparison.additivity import infidelity
from igc.comparison.judged import constant_reference
from igc.comparison.recovery import recovery
from igc.config import MethodSettings, Yardsticks
from igc.report.taylor import judged_methods
from igc.steps.attribute import attribute_files
from igc.steps.judging import open_study, planted_parts

REGIONS = "taylor_igc"


def settings_of(samples, side):
    """Return how each method is run: single baselines are zero, draws are 64, regions are squares."""
    common = {"samples": samples, "examples": samples}
    zero, squares = common | {"baselines": "zero"}, {"features": side}
    return {
        "gradient_x_input": common,
        "occlusion": zero,
        "occlusion_patch": zero | {"options": {"patch": 4}},
        "lrp_epsilon": common,
        "deeplift": zero,
        "integrated_gradients": zero | {"points": 32},
        "segmented_taylor": zero,
        "baseline_shapley": common | {"points": 16, "options": {"features": 4}},
        "expected_gradients": common | {"points": 64},
        "unbiased_gradients": common | {"points": 64},
        "interaction_aware": common | {"points": 32, "options": squares | {"matrix": False}},
        REGIONS: common | {"points": 1, "options": squares | {"matrix": True}},
    }


def explain(samples, model, output, count, side, skipped):
    """Explain by every method; results that are there already are kept."""
    folder = output / model.name
    for name, options in settings_of(count, side).items():
        path = folder / f"{name}.zarr"
        if name not in skipped and not path.exists():
            started = time.process_time()
            settings = MethodSettings(method=name, **options)
            attribute_files(samples, model, settings, None, path, device="cpu", workers=1, progress=False)
            print(f"{name}: {time.process_time() - started:.0f} s", flush=True)
    return folder


def judged_by_principles(folder):
    """Return the principles of every method, those that follow from the framework included."""
    result = igc.open_result(folder / f"{REGIONS}.zarr")
    kept = {one.method: one for one in judged_methods(result)}
    interactive = float(result["effect_size"].sel(size="interactive").mean())
    kept["segmented_taylor"] = replace(kept["integrated_gradients"], method="segmented_taylor")
    kept["unbiased_gradients"] = replace(kept["expected_gradients"], method="unbiased_gradients")
    # what regions do together is left out on purpose, and stands in a table of its own
    kept["interaction_aware"] = Principles("interaction_aware", 0.0, 0.0, interactive, 0.0)
    return kept


def yardsticks_of(samples, model, folder, count, draws):
    """Return the values of each method on each sample, by yardstick."""
    paths = sorted(path for path in folder.glob("*.zarr") if path.stem != REGIONS)
    study = open_study(samples, model, paths, Yardsticks(samples=count), 0, "cpu")
    maps, _ = study.sample_maps()
    held = np.flatnonzero(study.fold >= 0)
    mean = study.inputs(study.spread_rows(held, 1000)).mean(axis=0)
    judged = study.judged(study.examples.rows, study.examples.targets)
    found = {}
    for name, reference in {"zero": constant_reference(0.0), "mean": constant_reference(mean)}.items():
        found[f"infidelity, {name}"] = infidelity(maps, judged, reference, draws, 0)
    if "truth" in study.samples:
        shown, inside = planted_parts(study, maps)
        found["recovery"] = {
            method: np.array([recovery(a, b.astype(float), False)["auc"] for a, b in zip(values, inside, strict=True)])
            for method, values in shown.items()
        }
    return found


def slope(values, counts):
    """Return the mean over samples of the slope of a yardstick on the number of principles, and its standard error."""
    methods = list(counts)
    x = np.array([counts[m] for m in methods], dtype=float)
    y = np.stack([values[m] for m in methods], axis=1)
    y = y[np.isfinite(y).all(axis=1)]
    slopes = (y - y.mean(axis=1, keepdims=True)) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    return slopes.mean(), slopes.std(ddof=1) / np.sqrt(len(slopes))


def show(kept, found):
    rows = []
    for method in next(iter(found.values())):
        row = {"kept": kept[method].summary, "method": f"`{method}`"}
        for name, values in found.items():
            known = values[method][np.isfinite(values[method])]
            row[name] = f"{known.mean():.3f} +- {known.std(ddof=1) / np.sqrt(len(known)):.3f}"
        rows.append(row)
    table = pd.DataFrame(rows).sort_values(["kept", "method"])
    print("| " + " | ".join(table.columns) + " |\n" + "|---" * len(table.columns) + "|")
    for row in table.itertuples(index=False):
        print("| " + " | ".join(row) + " |")
    sure = {m: one.met for m, one in kept.items() if None not in one.kept.values() and m in rows_of(found)}
    for name, values in found.items():
        print("{}: {:+.4f} +- {:.4f} a principle".format(name, *slope(values, sure)))
    for one in kept.values():
        numbers = one.approximation, one.independent, one.interactive, one.hidden
        print(one.method, one.summary, " ".join(f"{value:.3f}" for value in numbers))


def rows_of(found):
    return set(next(iter(found.values())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("output", type=Path, nargs="?", help="folder of the maps; default: a temporary one")
    parser.add_argument("--count", type=int, default=64, help="samples")
    parser.add_argument("--draws", type=int, default=200, help="parts that are taken away, a sample")
    parser.add_argument("--side", type=int, default=7, help="side of the squares that are regions")
    parser.add_argument("--skip", nargs="*", default=[], help="methods to leave out")
    chosen = parser.parse_args()
    with TemporaryDirectory() as temporary:
        output = chosen.output or Path(temporary)
        folder = explain(chosen.samples, chosen.model, output, chosen.count, chosen.side, chosen.skip)
        found = yardsticks_of(chosen.samples, chosen.model, folder, chosen.count, chosen.draws)
        show(judged_by_principles(folder), found)


if __name__ == "__main__":
    main()
