"""The Taylor framework: attributions predicted from terms, cost of the parts, and their sums on every study.

Run after the default studies:

``python benchmarks/taylor.py reformulate results/mnist`` trains a second-order polynomial, a sigmoid multilayer
perceptron and a sigmoid convolutional network on digits, predicts their attributions from Taylor terms and holds them
beside the real ones. ``python benchmarks/taylor.py cost results/mnist cnn-seed0`` measures the decomposition of 20
regions against IGC's sums over the same regions, at equal relative error. ``python benchmarks/taylor.py sums results``
compares the sum of the parts with IGC of other draws, region by region, on every study that has both.
``python benchmarks/taylor.py principles results`` puts yardsticks beside the number of principles that methods keep.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from captum.attr import IntegratedGradients, ShapleyValues, ShapleyValueSampling
from torch import nn

import igc
from igc.attribution.gradients import Outputs
from igc.attribution.standard.deeplift import DeepLift
from igc.attribution.standard.integrated_gradients import GradientTimesInput
from igc.attribution.standard.lrp import EpsilonLrp
from igc.attribution.standard.occlusion import Occlusion, label_patches
from igc.attribution.taylor import agreement, reformulate
from igc.attribution.taylor.weights import WEIGHTINGS
from igc.report.taylor import judged_methods
from igc.store.arrays import read_values

SHOWN, CLASS = 12, 3


class Square(nn.Module):
    """The square of each feature."""

    def forward(self, x):
        return x * x


class Polynomial(nn.Module):
    """b + w.x + squares of linear features."""

    def __init__(self, n_features=16):
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.features = nn.Sequential(nn.Linear(784, n_features, bias=False), Square(), nn.Linear(n_features, 10))

    def forward(self, x):
        flat = x.flatten(1)
        return self.linear(flat) + 0.1 * self.features(flat)


def perceptron():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.Sigmoid(), nn.Linear(64, 32), nn.Sigmoid(), nn.Linear(32, 10)
    )


def convolutional():
    layers = [nn.Conv2d(1, 8, 5, stride=2), nn.Sigmoid(), nn.Conv2d(8, 16, 5, stride=2), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256, 10))


def trained(model, inputs, labels, epochs):
    """Train on digits; weight decay keeps the polynomial tame."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-5)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[rows]), labels[rows]).backward()
            optimizer.step()
    return model.double().eval().requires_grad_(False)


def one_output(model, k):
    """Return the model of one class: its last linear layers keep a row."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.out_features == 10:
            module.weight = nn.Parameter(module.weight[k : k + 1].clone(), requires_grad=False)
            module.bias = nn.Parameter(module.bias[k : k + 1].clone(), requires_grad=False)
            module.out_features = 1
    return model


def real(method, model, x, baselines, patches):
    """Return the attributions of the methods themselves, (sample, region)."""
    outputs, rows, zero = Outputs(model), np.arange(len(x)), (baselines[:1],)
    if method in ("integrated_gradients", "expected_gradients"):
        chosen = baselines[:1] if method == "integrated_gradients" else baselines
        maps = [IntegratedGradients(model).attribute(x, b[None], target=0, n_steps=50).flatten(1) for b in chosen]
        return torch.stack(maps).mean(dim=0).detach().numpy()
    if method == "baseline_shapley":
        mask = torch.as_tensor(patches.reshape(1, 1, 28, 28))
        few = patches.max() < 8
        sampled = ShapleyValues(model) if few else ShapleyValueSampling(model)
        options = {"target": 0, "feature_mask": mask} | ({} if few else {"n_samples": 25})
        maps = [sampled.attribute(x, b[None], **options).flatten(1) for b in baselines[:2]]
        first = [int(np.flatnonzero(patches == p)[0]) for p in range(patches.max() + 1)]
        return torch.stack(maps).mean(dim=0).numpy()[:, first]
    explainers = {
        "gradient_x_input": GradientTimesInput(),
        "occlusion": Occlusion(zero, label_patches(None, [(1, 28, 28)]), 1024),
        "occlusion_patch": Occlusion(zero, label_patches(patches.reshape(1, 28, 28), [(1, 28, 28)]), 1024),
        "deeplift": DeepLift(zero),
        "lrp_epsilon": EpsilonLrp(),
    }
    maps = explainers[method].attribute(outputs, (x,), rows)[:, 0].detach().numpy()
    return maps @ (patches[:, None] == np.arange(49)) if method == "occlusion_patch" else maps


def reformulation_table(study, epochs):
    samples = igc.open_samples(study / "samples.zarr")
    inputs = torch.as_tensor(read_values(samples["inputs"])).float()
    labels = torch.as_tensor(read_values(samples["responses"])).argmax(dim=1)
    inputs = inputs / inputs.max()
    fold = samples["fold"].values
    train, test = np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)
    train = train if len(train) else test
    x = inputs[test[:SHOWN]].double()
    baselines = torch.cat([torch.zeros_like(x[:1]), inputs[test[-2:]].double()])
    patches = (np.arange(28)[:, None] // 4 * 7 + np.arange(28) // 4).ravel()
    parts = (np.arange(28)[:, None] // 14 * 3 + np.arange(28) // 10).ravel()
    print("| model | method | terms | mean absolute difference | of the mean absolute value | r |")
    print("|---|---|---|---|---|---|")
    for name, build in (("polynomial", Polynomial), ("sigmoid MLP", perceptron), ("sigmoid CNN", convolutional)):
        torch.manual_seed(0)
        model = trained(build(), inputs[train], labels[train], epochs)
        accuracy = float((model(inputs[test].double()).argmax(dim=1) == labels[test]).double().mean())
        model = one_output(model, CLASS)
        for method in WEIGHTINGS:
            if WEIGHTINGS[method].layered and name == "polynomial":
                continue  # its neurons are no layers that DeepLIFT or LRP know
            chosen = baselines if method == "expected_gradients" else baselines[:2]
            chosen = chosen if WEIGHTINGS[method].baseline == "data" else baselines[:1]
            for title, options in WAYS.get(method, {"second order": {}}).items():
                cut = parts if title == SIX else patches
                rois = cut.reshape(1, 28, 28) if method in ("occlusion_patch", "baseline_shapley") else None
                expected = real(method, model, x, chosen if method != "baseline_shapley" else baselines[:2], cut)
                found = reformulate(method, model, x, chosen, rois, **options).predicted[:, 0]
                difference, r = agreement(found, expected)
                share = difference / np.abs(expected).mean()
                numbers = f"{difference:.2g} | {share:.2g} | {r:.4f}"
                print(f"| {name}, {accuracy:.1%} | {method} | {title} | {numbers} |", flush=True)


HIGHER = {"second order": {}, "up to order 9": {"order": 9}}
CUT = {"second order": {}, "second order, 32 segments": {"segments": 32}}
EXACT = {"second order": {}, "exact effects": {"engine": "sets"}}
SIX = "exact effects of all sets of six regions"
WAYS = {
    **dict.fromkeys(("gradient_x_input", "integrated_gradients", "expected_gradients"), HIGHER),
    **dict.fromkeys(("deeplift", "lrp_epsilon"), CUT),
    "occlusion_patch": EXACT,
    "baseline_shapley": {**EXACT, SIX: {"engine": "sets"}},
}


def cost_table(study, model_name, points, draws, count, pairs):
    samples = igc.open_samples(study / "samples.zarr")
    test = np.flatnonzero(samples["fold"].values == 0)[:count]
    data = read_values(samples["inputs"])[test], read_values(samples["responses"])[test]
    model = igc.load_model(study / "models" / model_name)
    grid = (np.arange(28)[:, None] // 7 * 5 + np.minimum(np.arange(28) // 6, 4)).reshape(1, 28, 28)
    rows = []
    runs = {
        "sums of igc": {"method": "igc", "points": points, "rois": grid + 1, "permutations": 0},
        "parts": {"method": "taylor_igc", "points": draws, "features": grid, "matrix": False},
        "parts and pairs": {"method": "taylor_igc", "points": draws, "features": grid, "matrix": True},
    }
    if not pairs:
        del runs["parts and pairs"]
    few = tuple(part[:64] for part in data)
    for options in runs.values():  # the first call is slow
        igc.attribute(model, few, progress=False, **(options | {"points": 2}))
    for name, options in runs.items():
        started = time.process_time()
        result = igc.attribute(model, data, progress=False, **options)
        seconds = time.process_time() - started
        keys = ("roi_attribution", "roi_estimator_error")
        if name != "sums of igc":
            keys = ("part_attribution", "part_attribution_estimator_error")
        value, error = (result[key].values for key in keys)
        rows.append((name, seconds, np.sqrt(np.nansum(error**2)), np.sqrt(np.nansum(value**2))))
    _, first, least, whole = rows[0]
    print("| what | CPU seconds | error | norm | relative error | cost at equal relative error | at equal error |")
    print("|---|---|---|---|---|---|---|")
    for name, seconds, error, norm in rows:
        equal = seconds / first * (error / least) ** 2
        shown = f"{error:.4f} | {norm:.3f} | {error / norm:.4f} | {equal * (whole / norm) ** 2:.2f} | {equal:.2f}"
        print(f"| {name} | {seconds:.2f} | {shown} |")


def sums_table(results):
    print("| study | model | regions x targets | largest | root mean square, in joint standard errors | gap |")
    print("|---|---|---|---|---|---|")
    for path in sorted(results.glob("*/attributions/*/taylor_igc.zarr")):
        other = path.with_name("igc.zarr")
        if not other.exists():
            continue
        parts, whole = igc.open_result(path), igc.open_result(other)
        chosen = parts.attrs["settings"]["options"]["features"]
        inside = np.flatnonzero(whole["roi_set"].values == chosen)
        errors = [one[f"roi_{kind}"].values[:, inside] for one in (parts, whole) for kind in KINDS]
        joint = np.sqrt(np.nansum(np.square(errors), axis=0))
        difference = parts["roi_attribution"].values[:, inside] - whole["roi_attribution"].values[:, inside]
        z = difference[joint > 0] / joint[joint > 0]
        gap = np.abs(parts["completeness_error"] / parts["completeness_standard_error"]).max()
        numbers = f"{z.size} | {np.abs(z).max():.2f} | {np.sqrt((z**2).mean()):.2f} | {float(gap):.2f}"
        print(f"| {path.parts[-4]} | {path.parts[-2]} | {numbers} |")


KINDS = ("standard_error", "estimator_error")


def principles_table(results):
    for path in sorted(results.glob("*/comparison/yardsticks.tsv")):
        study = path.parts[-3]
        table = pd.read_csv(path, sep="\t")
        for parts in sorted((results / study).glob("attributions/*/taylor_igc.zarr")):
            model = parts.parts[-2]
            judged = {one.method: one for one in judged_methods(igc.open_result(parts))}
            rows = table[(table["model"] == model) & table["method"].isin(judged)].copy()
            rows["kept"] = [judged[method].summary for method in rows["method"]]
            shown = rows[["map", "yardstick", "reference", "better", "kept", "method", "value", "se"]]
            print(f"\n{study}, {model}")
            print(shown.sort_values(["map", "yardstick", "reference", "kept"]).to_string(index=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["reformulate", "cost", "sums", "principles"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", nargs="?", default="cnn-seed0")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--points", type=float, default=16)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--pairs", action="store_true", help="time the matrix of pairs of regions, too")
    arguments = parser.parse_args()
    if arguments.what == "reformulate":
        reformulation_table(arguments.folder, arguments.epochs)
    elif arguments.what == "cost":
        cost_table(
            arguments.folder, arguments.model, arguments.points, arguments.draws, arguments.samples, arguments.pairs
        )
    elif arguments.what == "sums":
        sums_table(arguments.folder)
    else:
        principles_table(arguments.folder)


if __name__ == "__main__":
    main()
