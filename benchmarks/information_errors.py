"""How often the errors of information maps hold: against many more draws, on MNIST and on made-up predictions.

Run after the default studies: ``python benchmarks/information_errors.py results/mnist cnn-seed0 patches``.

A number counts as met where it is within one reported error, and within the 95 % quantile of a t distribution with 7
degrees of freedom, of what 4,096 draws a patch give (20,000 of the made-up predictions). Numbers with an error of 0
that are off count as missed; those that are 0 with an error of 0 are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy import stats

import igc
from igc.attribution.information.files import load_sampler
from igc.attribution.information.predictive import Categories
from igc.store.arrays import read_values

MADE_UP = ((1, 1), (4, 2), (8, 2))
REPLICATES = 8


def met(off, error):
    """Return how often numbers are within one error and within the quantile."""
    known = (off != 0) | (error > 0)
    z = np.divide(abs(off), error, out=np.full_like(off, np.inf), where=error > 0)[known]
    return float((z < 1).mean()), float((z < stats.t(REPLICATES - 1).ppf(0.975)).mean())


def made_up(scale, shift, draws, pairs=200, repeats=4, classes=10):
    """PMI of normal logits, three tenths of whose fills are shifted by other ones."""
    random, predictive, found = torch.Generator().manual_seed(0), Categories(), []
    for _ in range(repeats):
        original = torch.randn(pairs, classes, generator=random) * scale

        def fills(n, original=original):
            hit = torch.rand(pairs, n, 1, generator=random) < 0.3
            return original[:, None] + hit * torch.randn(pairs, n, classes, generator=random) * shift

        many = torch.softmax(fills(20000), dim=2).mean(dim=1, dtype=torch.float64)
        truth = torch.log_softmax(original.double(), dim=1) - many.log()
        raw = fills(draws).double().flatten(0, 1)
        found_in = predictive.statistics(raw, original.double().repeat_interleave(draws, dim=0))
        replicates = found_in.reshape(pairs, -1, REPLICATES, predictive.n_statistics, classes).mean(dim=1)
        number = torch.full((pairs,), float(draws))
        loss = predictive.pmi(original.double(), truth, replicates.mean(dim=1), replicates, number)
        found.append(((loss.value - truth).numpy(), loss.variance().sqrt().numpy()))
    return met(*(np.concatenate(column) for column in zip(*found, strict=True)))


def on_images(study, model, sampler, method, draws, seeds, first, n=8, stride=4):
    """A map of a few digits, from a number on, whose patches do not overlap."""
    samples = igc.open_samples(study / "samples.zarr")
    rows = np.flatnonzero(samples["fold"].values == 0)[first : first + n]
    data = read_values(samples["inputs"], rows), read_values(samples["responses"], rows)
    common = {"sampler": sampler, "stride": stride, "summary": "mean", "predictive": "categories", "progress": False}
    truth = igc.attribute(model, data, method, draws=4096, max_draws=4096, seed=99, **common)
    off, error = [], []
    for seed in range(seeds):
        found = igc.attribute(model, data, method, draws=draws, seed=seed, **common)
        chosen = slice(0, 1 if method == "information_gain" else None), 0, slice(None, None, 4), slice(None, None, 4)
        off.append((found["attribution"].values - truth["attribution"].values)[chosen])
        error.append(np.hypot(found["estimator_error"].values, truth["estimator_error"].values)[chosen])
    return met(np.array(off), np.array(error))


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("model")
    parser.add_argument("sampler", help="name under samplers/")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first of the eight digits")
    arguments = parser.parse_args()
    for scale, shift in MADE_UP:
        for draws in (16, 64, 320):
            one, quantile = made_up(scale, shift, draws)
            print(f"made up, logits {scale}, shift {shift}, {draws} draws: {one:.2f} {quantile:.2f}")
    model = igc.load_model(arguments.study / "models" / arguments.model)
    sampler = load_sampler(arguments.study / "samplers" / arguments.sampler)
    for method in ("information_gain", "pmi"):
        for draws in (16, 64):
            place = arguments.seeds, arguments.first
            one, quantile = on_images(arguments.study, model, sampler, method, draws, *place)
            print(f"{method}, {draws} draws: {one:.2f} {quantile:.2f}")


if __name__ == "__main__":
    main()
