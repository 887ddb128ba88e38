"""Bottlenecks: samples together against one by one, and what priors, steps and noise buy for their time.

Run after the default studies: ``python benchmarks/bottleneck_methods.py results/mnist cnn-seed0``; ``--slow`` shows the
paper's generator and critic beside two of the others. Time is CPU time of one thread (``--threads`` for more: then wall
time) spent on explaining samples, without starting up. Quality is the area under the insertion curve (from a blurred
image, more is better) and under the deletion curve (to black, less is better), mean over samples with its standard
error.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.attribution.protocols import Options
from igc.attribution.registry import build
from igc.attribution.scores import score_unit
from igc.comparison.judged import Judged, blurred_reference, constant_reference, random_maps, ranks, unit_maps
from igc.comparison.perturbation import area, kept_fractions, perturbation_curves
from igc.models import load_model
from igc.steps.sources import store_source

STEPS = 28
VARIANTS = {
    "feature_iba": ("feature_iba", {}),
    "feature_iba, layer body.2": ("feature_iba", {"layer": "body.2"}),
    "input_iba, prior none": ("input_iba", {"prior": "none"}),
    "input_iba, prior none, 4 noise samples": ("input_iba", {"prior": "none", "noise_samples": 4}),
    "input_iba, prior none, 4 noise samples, 20 steps": (
        "input_iba",
        {"prior": "none", "noise_samples": 4, "steps": 20},
    ),
    "input_iba, prior none, 4 noise samples, no smoothing": (
        "input_iba",
        {"prior": "none", "noise_samples": 4, "sigma": 0},
    ),
    "input_iba, prior upsampled, 4 noise samples": ("input_iba", {"prior": "upsampled", "noise_samples": 4}),
    "input_iba, prior moment, 4 noise samples": ("input_iba", {"prior": "moment", "noise_samples": 4}),
    "input_iba, prior none, 4 noise samples, beta 20": (
        "input_iba",
        {"prior": "none", "noise_samples": 4, "beta": 20},
    ),
    "input_iba, prior upsampled, 4 noise samples, beta 20": (
        "input_iba",
        {"prior": "upsampled", "noise_samples": 4, "beta": 20},
    ),
    "input_iba, prior moment, 4 noise samples, beta 20": (
        "input_iba",
        {"prior": "moment", "noise_samples": 4, "beta": 20},
    ),
}
BESIDE = ("input_iba, prior none, 4 noise samples", "input_iba, prior upsampled, 4 noise samples")
SLOW = {
    **{label: VARIANTS[label] for label in BESIDE},
    "input_iba, prior wgan, 4 noise samples": ("input_iba", {"prior": "wgan", "noise_samples": 4}),
}


class Case:
    """Some samples of a study, and the yardstick."""

    def __init__(self, study, model, count):
        source = store_source(study / "samples.zarr", 0, count)
        self.module = load_model(study / "models" / model)
        blocks = group_blocks(None, source.n_samples)
        self.problem = Problem(Outputs(self.module), source, blocks)
        self.scores = score_unit(self.problem, True, False, 0)
        self.rows = np.arange(source.n_samples)
        self.inputs, self.responses = self.problem.load(self.rows)
        images = self.inputs[0].double().numpy()

        def predict(inputs, _origin):
            with torch.no_grad():
                return self.module(torch.as_tensor(inputs, dtype=torch.float32)).numpy()

        self.judged = Judged(images, self.responses.argmax(axis=1), predict, True, self.rows)

    def explain(self, name, extra, rows, together=True):
        """Return maps and seconds a sample."""
        method = build(name, self.problem, self.scores, Options(extra=extra)).method
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        started, parts = clock(), []
        for piece in [rows] if together else rows[:, None]:
            inputs = tuple(x[piece] for x in self.inputs)
            parts.append(method.attribute(self.problem.outputs, inputs, piece)[:, 0])
        seconds = (clock() - started) / len(rows)
        return torch.cat(parts).detach().double().numpy(), seconds

    def areas(self, maps):
        """Return insertion and deletion areas, (2, sample)."""
        fractions = kept_fractions(STEPS)
        units = unit_maps(maps.reshape(self.judged.inputs.shape), self.judged.shape)
        rank = ranks(units, self.rows, 0)
        ends = ((blurred_reference(5.0), True), (constant_reference(0.0), False))
        curves = [perturbation_curves(self.judged, rank, end, fractions, insertion) for end, insertion in ends]
        return np.stack([area(curve, fractions) for curve in curves])


def print_speed(case, count):
    """Print seconds a sample, together and one by one."""
    print("| method | together, ms a sample | one by one | ratio | largest difference over largest value |")
    print("|---|---|---|---|---|")
    for label in ("feature_iba", "input_iba, prior none", "input_iba, prior upsampled, 4 noise samples"):
        rows = case.rows[:count]
        case.explain(*VARIANTS[label], rows[:2])
        maps, together = case.explain(*VARIANTS[label], rows)
        single, alone = case.explain(*VARIANTS[label], rows, together=False)
        apart = np.abs(maps - single).max() / np.abs(maps).max()
        print(
            f"| {label} | {together * 1e3:.0f} | {alone * 1e3:.0f} | {alone / together:.2f} | {apart:.1e} |", flush=True
        )


def print_quality(case, variants):
    """Print areas under the curves, and seconds a sample."""
    print("| maps | insertion | deletion | ms a sample |")
    print("|---|---|---|---|")
    noise = random_maps(case.rows, case.judged.n_units, 0)
    shown = {"random": (noise, 0.0), "the image itself": (case.judged.inputs.reshape(len(case.rows), -1), 0.0)}
    for label in (*shown, *variants):
        maps, seconds = shown[label] if label in shown else case.explain(*variants[label], case.rows)
        areas = case.areas(maps)
        mean, error = areas.mean(axis=1), areas.std(axis=1, ddof=1) / np.sqrt(areas.shape[1])
        cells = " | ".join(f"{m:.3f} ± {e:.3f}" for m, e in zip(mean, error, strict=True))
        print(f"| {label} | {cells} | {seconds * 1e3:.0f} |", flush=True)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--alone", type=int, default=40, help="samples explained one by one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slow", action="store_true", help="the paper's prior, in place of most others")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    case = Case(options.study, options.model, options.samples)
    if options.alone:
        print_speed(case, options.alone)
    print_quality(case, SLOW if options.slow else VARIANTS)


if __name__ == "__main__":
    main()
