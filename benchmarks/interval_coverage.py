"""How often intervals made of the reported errors hold the truth: one table, for both errors.

Run ``python benchmarks/interval_coverage.py`` (two minutes with one thread; ``--seeds 60`` is a quick look). With
``--alone`` each target is explained by itself, where pairs are drawn by the difference of their responses.

One network has three targets: a strong one, a weak one, and one whose response has nothing to do with the inputs
(shuffled). Intervals with t quantiles are counted over seeds, pooled over all components and targets with a non-zero
gradient:

- ``estimator_error``: seeds of the estimator on one dataset; the truth is the map of all pairs of that dataset, each
  path by a Gauss-Legendre rule.
- ``standard_error``: fresh datasets of one population, with and without groups of samples that share half of the
  variance of inputs and noise; the truth is the map of the population. A map misses it by both errors, so the width is
  the root of the sum of their squares. The interval of the score stands beside it.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy import stats

import igc
from igc.roi.aggregate import score_interval
from igc.testing.closed_forms import data_baseline_igc
from igc.testing.probes import smooth_network

LEVELS = (0.68, 0.95)
TARGETS = ("strong", "weak", "shuffled")
NOISE = np.array([0.5, 5.0, 0.0])
"""Standard deviation of the noise over that of the rule; the third response is the rule on other samples."""
N_COMPONENTS, IGNORED, GROUP_SIZE = 7, 3, 5


class Population:
    """Samples of a rule, drawn afresh with every seed.

    The noise has one size for all datasets: were it scaled to the spread of each, scores would vary less over datasets
    than samples of a population let them.

    Parameters
    ----------
    grouped : bool
        Whether samples come in groups of five that share half of the variance of inputs and noise.
    """

    def __init__(self, grouped: bool = False) -> None:
        self.grouped = grouped
        self.model = smooth_network(N_COMPONENTS, len(TARGETS), seed=2, ignored=IGNORED)
        mixing = np.random.default_rng(6).normal(size=(N_COMPONENTS, N_COMPONENTS)) / np.sqrt(N_COMPONENTS)
        self.mixing = mixing + np.eye(N_COMPONENTS)
        self.spread = self._rule(self._inputs(np.random.default_rng(0), 20_000)).std(axis=0)

    def draw(self, n, seed):
        """Return inputs, responses and the group of each sample (None where each is its own)."""
        random = np.random.default_rng([seed, 7])
        inputs = self._inputs(random, n)
        clean = self._rule(inputs)
        clean[:, 2] = self._rule(self._inputs(random, n))[:, 2]
        responses = clean + NOISE * self.spread * self._shared(random, n, len(TARGETS))
        return inputs, responses, np.arange(n) // GROUP_SIZE if self.grouped else None

    def explain(self, samples, groups, points, seed, targets):
        """Return the result of some targets."""
        options = {"targets": targets, "points": points, "seed": seed, "permutations": 0, "progress": False}
        return igc.attribute(self.model, samples, groups=groups, **options)

    def truth(self, n):
        """Return map and score of the population: noise changes no covariance, only the scale."""
        inputs = self._inputs(np.random.default_rng(10**6), n)
        result = igc.attribute(self.model, (inputs, self._rule(inputs)), points=16, progress=False)
        scale = np.array([*(1 / np.sqrt(1 + NOISE[:2] ** 2)), 0.0])
        return result["attribution"].values * scale[:, None], result["score"].values * scale

    def _rule(self, inputs):
        with torch.no_grad():
            return self.model(torch.as_tensor(inputs)).numpy()

    def _shared(self, random, n, columns):
        own = random.normal(size=(n, columns))
        if not self.grouped:
            return own
        return np.sqrt(0.5) * (random.normal(size=(-(-n // GROUP_SIZE), columns))[np.arange(n) // GROUP_SIZE] + own)

    def _inputs(self, random, n):
        skewed = 0.3 * random.exponential(size=(n, 1))
        return (self._shared(random, n, N_COMPONENTS) + skewed) @ self.mixing


@dataclass
class Counts:
    """What is counted of one case: errors and claims (seed, target, component), and of the scores (seed, target)."""

    misses: np.ndarray
    claims: np.ndarray
    degrees: float
    score: np.ndarray | None = None

    def coverage(self, level, targets=slice(None)):
        """Return the share of intervals that hold the truth, and its standard error over seeds."""
        used = self.claims.max(axis=(0, 1)) > 0
        width = stats.t(self.degrees).ppf(0.5 + level / 2) * self.claims[:, targets]
        inside = (np.abs(self.misses[:, targets]) <= width)[..., used].mean(axis=(1, 2))
        return inside.mean(), inside.std(ddof=1) / np.sqrt(len(inside))


def estimator_case(population, n, points, seeds, targets):
    """Count seeds of the estimator on one dataset."""
    inputs, responses, groups = population.draw(n, 0)
    truth = data_baseline_igc(population.model, inputs, responses, nodes=10)[targets]
    misses, claims = [], []
    for seed in range(seeds):
        result = population.explain((inputs, responses), groups, points, seed, targets)
        misses.append(result["attribution"].values - truth)
        claims.append(result["estimator_error"].values)
    return Counts(np.stack(misses), np.stack(claims), result.attrs["estimator_degrees_of_freedom"])


def sampling_case(population, n, points, seeds, targets, size=20_000):
    """Count fresh datasets of the population."""
    truth, true_score = (values[targets] for values in population.truth(size))
    misses, claims, scores = [], [], []
    for seed in range(seeds):
        inputs, responses, groups = population.draw(n, seed + 1)
        result = population.explain((inputs, responses), groups, points, seed, targets)
        misses.append(result["attribution"].values - truth)
        claims.append(np.hypot(result["standard_error"].values, result["estimator_error"].values))
        intervals = [score_interval(result, level) for level in LEVELS]
        scores.append([(low <= true_score) & (true_score <= high) for low, high in intervals])
    return Counts(np.stack(misses), np.stack(claims), result.attrs["degrees_of_freedom"], np.stack(scores))


def show(name, counts, targets):
    """Print the rows of one case: percent inside, with the standard error of that."""
    rows = {TARGETS[target]: slice(k, k + 1) for k, target in enumerate(targets)}
    if len(targets) > 1:
        rows = {"all targets": slice(None), **rows}
    for row, some in rows.items():
        cells = [
            f"{100 * share:6.1f} ±{100 * error:4.1f}" for share, error in (counts.coverage(p, some) for p in LEVELS)
        ]
        print(f"{name:<46}{row:<14}{cells[0]:>14}{cells[1]:>14}", flush=True)
    if counts.score is not None:
        for k, target in enumerate(targets):
            cells = [f"{100 * counts.score[:, i, k].mean():6.1f}" for i in range(len(LEVELS))]
            print(f"{name:<46}{'score, ' + TARGETS[target]:<16}{cells[0]:>6}{cells[1]:>14}", flush=True)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--points", type=float, default=4)
    parser.add_argument("--alone", action="store_true", help="explain each target by itself")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    n, points, seeds = arguments.samples, arguments.points, arguments.seeds
    print(f"{seeds} seeds, {n} samples, {points:g} points a sample; percent of intervals that hold the truth")
    print(f"{'error':<46}{'targets':<14}{'68 %':>11}{'95 %':>14}")
    for grouped in (False, True):
        population = Population(grouped)
        kind = "groups of 5" if grouped else "single samples"
        for targets in [[0], [1], [2]] if arguments.alone else [[0, 1, 2]]:
            show(f"estimator_error, {kind}", estimator_case(population, n, points, seeds, targets), targets)
            show(f"standard_error, {kind}", sampling_case(population, n, points, seeds, targets), targets)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
