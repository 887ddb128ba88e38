"""Error against gradient points and time: pairs of samples, Expected Gradients, grids of shared baselines, the mean.

Run after the default studies: ``python benchmarks/estimators.py results/mnist cnn-seed0``. With ``--time`` it measures
instead how long all held-out samples take to reach the error that a grid of 32 shared baselines with 32 points each
has; the grid's time follows from its rate on a subset, its error from that subset too.

Every estimator aims at the same map, IGC with the whole dataset as baseline. The reference is the pairs estimator with
many points and another seed; its own error is printed. All estimators use the same model, samples and code for
gradients; only which points they spend, and how they combine them, differs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import igc
from igc.attribution.gradients import Outputs, flatten, shift, vector_jacobian
from igc.store.arrays import read_values


def correlation_map(maps_sum, responses, predictions):
    """Turn per-sample maps, streamed as (map, centred response) products, into IGC."""
    return maps_sum / len(responses) / (responses.std(axis=0) * predictions.std(axis=0))[:, None]


def gradient_maps(outputs, start, stop, t, n_targets):
    """Return (x - x0) times the gradient at the point t, (sample, target, component), all targets."""
    points = shift((start,), (stop,), t)
    values = outputs(points)
    ones = torch.ones(len(stop))
    columns = [vector_jacobian(values[:, k], ones, points, keep=k < n_targets - 1) for k in range(n_targets)]
    return torch.stack(columns, dim=1) * (flatten((stop,)) - flatten((start,)))[:, None]


def streamed(outputs, inputs, responses, draw, batch=250):
    """Sum map times centred response over batches; ``draw`` gives the maps of a batch."""
    centred = torch.as_tensor(responses - responses.mean(axis=0))
    total = 0.0
    for a in range(0, len(inputs), batch):
        rows = slice(a, a + batch)
        maps = draw(np.arange(len(inputs))[rows])
        total = total + torch.einsum("nkc,nk->kc", maps.double(), centred[rows])
    return total.numpy()


class Peers:
    """The other estimators, on one model and dataset."""

    def __init__(self, model, inputs, responses):
        self.model, self.inputs, self.responses = model, torch.as_tensor(inputs), responses.astype(np.float64)
        self.outputs = Outputs(model)
        self.n_targets = responses.shape[1]
        with torch.no_grad():
            self.predictions = torch.cat([model(part) for part in self.inputs.split(500)]).double().numpy()

    def finish(self, total):
        return correlation_map(total, self.responses, self.predictions)

    def expected_gradients(self, draws, seed):
        """Draw a baseline and a point for every sample."""
        random = np.random.default_rng(seed)

        def maps(rows):
            total = 0.0
            for _ in range(draws):
                start = self.inputs[random.integers(0, len(self.inputs), len(rows))]
                t = torch.as_tensor(random.random(len(rows)), dtype=torch.float32)
                total = total + gradient_maps(self.outputs, start, self.inputs[rows], t, self.n_targets)
            return total / draws

        return self.finish(streamed(self.outputs, self.inputs, self.responses, maps))

    def grid(self, baselines, nodes, seed):
        """Share so many drawn baselines, with a trapezoid rule on each path."""
        random = np.random.default_rng(seed)
        chosen = self.inputs[random.choice(len(self.inputs), baselines, replace=False)]
        return self._shared(chosen, np.linspace(0, 1, nodes), trapezoid(nodes))

    def mean_baseline(self):
        """Take the mean input as baseline and one node in the middle."""
        return self._shared(self.inputs.mean(dim=0, keepdim=True), np.array([0.5]), np.array([1.0]))

    def _shared(self, chosen, nodes, weights):
        def maps(rows):
            total = 0.0
            for baseline in chosen:
                start = baseline.expand(len(rows), *baseline.shape)
                for node, weight in zip(nodes, weights, strict=True):
                    t = torch.full((len(rows),), float(node))
                    total = total + weight * gradient_maps(self.outputs, start, self.inputs[rows], t, self.n_targets)
            return total / len(chosen)

        return self.finish(streamed(self.outputs, self.inputs, self.responses, maps))


def trapezoid(nodes):
    """Return the weights of the trapezoid rule on [0, 1]."""
    weights = np.full(nodes, 1 / (nodes - 1))
    weights[[0, -1]] /= 2
    return weights


def relative(first, second):
    """Return the relative L2 difference over all targets and components."""
    return float(np.linalg.norm(first - second) / np.linalg.norm(second))


def load(study, model, n_samples):
    """Return the model and the first held-out samples of a study's fold 0."""
    samples = igc.open_samples(Path(study) / "samples.zarr")
    rows = np.flatnonzero(samples["fold"].values == 0)[:n_samples]
    inputs = read_values(samples["inputs"], rows)
    return igc.load_model(Path(study) / "models" / model), inputs, read_values(samples["responses"], rows)


def compare_times(study, model_name, reference_points, baselines=32, nodes=32, subset=300):
    """Print how long a grid of shared baselines takes for all samples, and pairs to the same error of the map."""
    model, inputs, responses = load(study, model_name, None)
    few = inputs[:subset], responses[:subset]
    peers = Peers(model, *few)
    reference = igc.attribute(model, few, points=64, seed=1000, progress=False)["attribution"].values
    random = np.random.default_rng(0)
    drawn = torch.as_tensor(inputs[np.sort(random.choice(len(inputs), baselines, replace=False))])
    where, weights = np.polynomial.legendre.leggauss(3)  # stands for the 32 points: the baselines make the error
    started = time.process_time()
    found = peers._shared(drawn, (where + 1) / 2, weights / 2)
    each = (time.process_time() - started) / (subset * baselines * 3)
    error = relative(found, reference.reshape(peers.n_targets, -1))
    grid = each * len(inputs) * baselines * nodes
    print(f"{len(inputs)} samples; CPU seconds of one thread, wall seconds in brackets")
    rate = f"{1e3 * each:.3f} ms a point, {grid:.0f} s"
    print(f"grid of {baselines} x {nodes}: error {error:.3f} on {subset} samples, {rate}", flush=True)
    whole = igc.attribute(model, (inputs, responses), points=reference_points, seed=1000, progress=False)
    for points in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1):
        started = time.process_time(), time.perf_counter()
        result = igc.attribute(model, (inputs, responses), points=points, progress=False)
        seconds = time.process_time() - started[0]
        wall = time.perf_counter() - started[1]
        reached = relative(result["attribution"].values, whole["attribution"].values)
        print(
            f"pairs, {points:g} points a sample: error {reached:.3f}, {seconds:.1f} s ({wall:.1f} s), "
            f"{result.attrs['evaluations']} points, 1/{grid / seconds:.0f} of the grid's time",
            flush=True,
        )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("model")
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--reference", type=float, default=128, help="points of the reference")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time", action="store_true", help="time to the error of a grid, on all samples")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.time:
        compare_times(arguments.study, arguments.model, min(arguments.reference, 8))
        return
    model, inputs, responses = load(arguments.study, arguments.model, arguments.samples)
    peers = Peers(model, inputs, responses)

    def pairs(points, seed):
        result = igc.attribute(model, (inputs, responses), points=points, seed=seed, progress=False)
        return result["attribution"].values.reshape(peers.n_targets, -1), result

    reference, whole = pairs(arguments.reference, 1000)
    own = float(np.linalg.norm(whole["estimator_error"]) / np.linalg.norm(reference))
    reached = f"{arguments.reference:g} points, its error {own:.4f}"
    print(f"{len(inputs)} samples, {peers.n_targets} targets; reference: {reached}")
    print(f"{'estimator':<44}{'points a sample':>16}{'error':>9}{'seconds':>9}")
    cases = [(f"pairs (igc), {p:g}", p, lambda s, p=p: pairs(p, s)[0]) for p in (0.25, 1, 4, 16)]
    cases += [(f"Expected Gradients, {d} draw(s)", d, lambda s, d=d: peers.expected_gradients(d, s)) for d in (1, 4)]
    cases += [(f"{b} shared baselines x 8 nodes", b * 8, lambda s, b=b: peers.grid(b, 8, s)) for b in (4,)]
    cases += [("mean baseline, one node", 1, lambda s: peers.mean_baseline())]
    for name, points, run in cases:
        started = time.perf_counter()
        errors = [relative(run(seed), reference) for seed in range(arguments.seeds)]
        seconds = (time.perf_counter() - started) / arguments.seeds
        print(f"{name:<44}{points:>16g}{np.sqrt(np.mean(np.square(errors))):>9.4f}{seconds:>9.1f}", flush=True)


if __name__ == "__main__":
    main()
