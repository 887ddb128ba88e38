"""What an attribution costs, from few numbers that are measured, and what it would cost on many workers.

Run after the default studies: ``python benchmarks/scaling.py results/mnist cnn-seed0``. The model of the cost:

    seconds(workers) = start + ceil(tasks / workers) x (samples x score + points x point) / tasks + tasks x merge

``score`` is the pass over a sample that scores it, ``point`` a gradient point, ``merge`` taking up the state of one
task. The first three are fitted to runs of several sizes in this process (CPU time of one thread), and checked on a
run that was left out of the fit; ``merge`` is measured on a state. ``--workers`` also times one and two worker
processes against the model (wall time: nothing else may run).
"""

from __future__ import annotations

import argparse
import math
import pickle
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.numpy import load_file

import igc
from igc.attribution.correlation.pair_state import PairState
from igc.store.arrays import read_values
from igc.streaming.tree import RADIX

SIZES = [(512, 1), (512, 8), (1024, 2), (1024, 8), (2048, 1), (2048, 4)]
LEFT_OUT = (2048, 8)
WORKERS = [1, 2, 8, 32, 128, 512, 1000]
BANDWIDTH = 1e9  # bytes a second into the one process that merges: ten gigabit Ethernet
# name, samples, gradient points a sample, targets, components, and whether states hold sums by group of samples
CASES = [
    ("60,000 digits, 10 classes", 60_000, 8, 10, 784, True),
    ("a million digits, 10 classes", 1_000_000, 4, 10, 784, True),
    ("60,000 volumes of 15,000 voxels, 100 targets", 60_000, 8, 100, 15_000, False),
]


def run(module, data, n_samples, points, client, folder):
    """Attribute, and return CPU seconds, wall seconds and gradient points."""
    inputs, responses = (array[:n_samples] for array in data)
    cpu, wall = time.process_time(), time.perf_counter()
    options = {"points": points, "client": client, "checkpoint": folder, "progress": False, "permutations": 0}
    result = igc.attribute(module, (inputs, responses), side="outputs", **options)
    return time.process_time() - cpu, time.perf_counter() - wall, float(result.attrs["evaluations"])


def fitted(module, data):
    """Fit the seconds of start, sample and point, and compare a run with what they predict."""
    rows, seconds = [], []
    for n_samples, points in [SIZES[0], *SIZES]:  # the first one warms up
        cpu, _, evaluations = run(module, data, n_samples, points, 1, None)
        rows.append([1.0, n_samples, evaluations])
        seconds.append(cpu)
    costs, *_ = np.linalg.lstsq(np.array(rows[1:]), np.array(seconds[1:]), rcond=None)
    cpu, _, evaluations = run(module, data, *LEFT_OUT, 1, None)
    predicted = costs @ [1.0, LEFT_OUT[0], evaluations]
    print(f"start {costs[0]:.2f} s, score {1e3 * costs[1]:.3f} ms a sample, point {1e3 * costs[2]:.3f} ms")
    print(f"{LEFT_OUT[0]} samples, {LEFT_OUT[1]} points each, left out of the fit: {cpu:.2f} s,", end=" ")
    print(f"predicted {predicted:.2f} s ({predicted / cpu - 1:+.0%})")
    return costs


def merging(module, data, by_group):
    """Return the bytes of a state for each number in the map, and the seconds a byte to take it up."""
    with tempfile.TemporaryDirectory() as folder, mock.patch("igc.steps.solving.RESOLVED_BYTES", 2**31 * by_group):
        run(module, data, 2048, 8, 1, folder)
        kept = [(load_file(file), file.stat().st_size) for file in Path(folder).rglob("units-*.safetensors")]
        # beside them lie the states of the pass that scores the samples, which are smaller
        pairs = [(PairState.from_arrays(arrays), size) for arrays, size in kept if "finished" in arrays]
        states, size = [state for state, _ in pairs], max(size for _, size in pairs)
    sent, times = [pickle.dumps(state, protocol=5) for state in states], []
    for _ in range(20):
        started = time.process_time()
        merged = pickle.loads(sent[0])
        for state in sent[1:]:
            merged = merged.merge(pickle.loads(state))
        times.append((time.process_time() - started) / len(sent))
    cells = data[1].shape[1] * math.prod(data[0].shape[1:])
    kind = "with" if by_group else "without"
    print(f"a state {kind} sums by group: {size:,} bytes, {size / cells:.0f} a number of the map;", end=" ")
    print(f"taken up in {1e3 * min(times):.2f} ms")
    return size / cells, min(times) / size


def scaled(costs, module, data):
    """Time one and two worker processes that run already, and compare with the model."""
    from distributed import Client, LocalCluster

    found = {}
    for count in (1, 2):
        with (
            LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            run(module, data, 512, 1, client, None)
            _, found[count], evaluations = run(module, data, *LEFT_OUT, client, None)
    work = costs[1] * LEFT_OUT[0] + costs[2] * evaluations
    for count, seconds in found.items():
        print(f"{count} workers: {seconds:.2f} s, predicted {costs[0] + work / count:.2f} s")
    print(f"2 workers against 1: {found[1] / found[2]:.2f} times as fast")


def tasks_of(n_units):
    """Return how many tasks a piece of work is cut into: between 64 and 512 where there are units enough."""
    level = int(math.log(max(1, n_units // 64), RADIX) + 1e-9)
    return math.ceil(n_units / RADIX**level)


def on_paper(costs, states):
    """Print what the model says of larger work; a point costs there what it costs in the network measured."""
    for name, n_samples, points, targets, components, by_group in CASES:
        bytes_a_number, seconds_a_byte = states[by_group]
        evaluations = n_samples * points
        n_units = math.ceil(n_samples / 1024) * max(1, points)
        tasks, size = tasks_of(n_units), bytes_a_number * targets * components
        work = costs[1] * n_samples + costs[2] * evaluations
        merge = max(size * seconds_a_byte, size / BANDWIDTH)
        depth = math.ceil(math.log(max(2, n_units), RADIX))
        print(f"\n{name}: {n_units:,} units in {tasks} tasks, a tree of depth {depth} with {n_units - 1:,} merges,")
        print(f"{size / 1e6:,.1f} MB a state, {tasks * size / 1e9:,.2f} GB to where they are merged")
        print("| workers | seconds | times as fast | share of it that is merging |\n|---|---|---|---|")
        alone = costs[0] + work
        for count in WORKERS:
            busy = math.ceil(tasks / count) * work / tasks if count > 1 else work
            total = costs[0] + busy + (tasks * merge if count > 1 else 0.0)
            share = tasks * merge / total if count > 1 else 0.0
            print(f"| {count:,} | {total:,.0f} | {alone / total:,.1f} | {share:.0%} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("model")
    parser.add_argument("--workers", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    samples = igc.open_samples(options.study / "samples.zarr")
    rows = np.flatnonzero(samples["fold"].values == 0)[: LEFT_OUT[0]]
    data = (read_values(samples["inputs"], rows), read_values(samples["responses"], rows))
    module = igc.load_model(options.study / "models" / options.model)
    costs = fitted(module, data)
    if options.workers:
        scaled(costs, module, data)
    on_paper(costs, {by_group: merging(module, data, by_group) for by_group in (True, False)})


if __name__ == "__main__":
    main()
