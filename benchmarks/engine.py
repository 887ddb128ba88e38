"""The engine against its own parts: rate, workers, memory and the side of latents.

Run after the default studies: ``python benchmarks/engine.py rate results/mnist cnn-seed0`` (or ``workers``,
``memory``, ``latents``, ``regions``). Ratios are of runs side by side in one process, or one after the other on the
same machine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

import igc
from igc.attribution.cells import Cells
from igc.attribution.correlation.design import PairDesign
from igc.attribution.correlation.pairs import pair_unit
from igc.attribution.correlation.sides import SIDES
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.models.registry import build_architecture
from igc.steps.memory import use_one_heap
from igc.steps.read_ahead import ReadAhead
from igc.steps.sources import ArraySource
from igc.store.arrays import create_store, read_values

REPEATS = 7


def best(run, *arguments):
    """Return the shortest CPU time of several runs."""
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        run(*arguments)
        times.append(time.process_time() - started)
    return min(times)


def problem_of(study, model, n_samples):
    """Return the problem of the first held-out samples of fold 0, in memory."""
    samples = igc.open_samples(Path(study) / "samples.zarr")
    rows = np.flatnonzero(samples["fold"].values == 0)[:n_samples]
    source = ArraySource(
        (read_values(samples["inputs"], rows),), read_values(samples["responses"], rows), np.arange(len(rows))
    )
    module = igc.load_model(Path(study) / "models" / model)
    return Problem(Outputs(module), source, group_blocks(None, len(rows)))


def rate(study, model):
    """Compare gradient points a second with the bare autograd loop, two products a point, side by side."""
    torch.set_num_threads(1)
    use_one_heap()
    problem = problem_of(study, model, 2048)
    n_targets = problem.source.responses.shape[1]
    design = PairDesign(tuple(problem.block_bounds()), 0, 0, 64)
    pilot = np.zeros((n_targets, problem.n_components))
    inputs = problem.load(np.arange(problem.batch_size))[0]
    ones = torch.ones(problem.batch_size)

    def bare():
        for _ in range(4):
            points = tuple(x.clone().requires_grad_() for x in inputs)
            outputs = problem.outputs(points)
            torch.autograd.grad(outputs[:, 0], points, ones, retain_graph=True)
            torch.autograd.grad(outputs[:, 1], points, ones)
        return 4 * problem.batch_size

    def unit(keep, index, states):
        added = pair_unit(problem, design, pilot, keep, index)
        states[keep] = states[keep].merge(added) if keep in states else added
        members = design.unit(index)  # pairs of one class that fill up a micro-batch are no points
        classes = problem.source.read_responses(np.stack([members.left, members.right]).ravel()).argmax(axis=1)
        return int((classes.reshape(2, -1)[0] != classes.reshape(2, -1)[1]).sum())

    states, ratios, loops = {}, {"all": [], "none": []}, []
    for index in range(2 * REPEATS):
        for keep, found in ratios.items():
            before, here, after = seconds(bare), seconds(unit, keep, index, states), seconds(bare)
            if index > 2:
                found.append((before + after) / 2 / here)
                loops.append((before + after) / 2)
    for keep, name in (("all", "with sums by group"), ("none", "without")):
        low, middle, high = np.percentile(ratios[keep], [25, 50, 75])
        print(f"pairs, {name:<20}{middle:.3f} of the bare loop (quartiles {low:.3f} to {high:.3f})")
    print(f"bare loop: {1 / np.median(loops):.0f} points a second of CPU time, {len(loops)} pairs of runs")


def seconds(run, *arguments):
    """Return the CPU time of a run over the points it returns."""
    started = time.process_time()
    points = run(*arguments)
    return (time.process_time() - started) / points


def workers(study, model):
    """Time one attribution with one and with two worker processes of one thread each."""
    samples = igc.open_samples(Path(study) / "samples.zarr")
    rows = np.flatnonzero(samples["fold"].values == 0)[:4096]
    data = (read_values(samples["inputs"], rows), read_values(samples["responses"], rows))
    module = igc.load_model(Path(study) / "models" / model)
    for points in (8, 32, 64):
        seconds = {count: workers_seconds(module, data, points, count) for count in (1, 2)}
        ratio = seconds[1] / seconds[2]
        print(f"1 worker {seconds[1]:.1f} s, 2 workers {seconds[2]:.1f} s: {ratio:.2f} times as fast", flush=True)


def workers_seconds(module, data, points, count):
    """Time one attribution on so many workers, which have computed before."""
    import dask
    from distributed import Client, LocalCluster

    from igc.steps.cluster import CLUSTER_SETTINGS

    with (
        dask.config.set(CLUSTER_SETTINGS),
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        options = {"client": client, "progress": False, "permutations": 0}
        igc.attribute(module, data, points=0.25, **options)
        started = time.perf_counter()
        igc.attribute(module, data, points=points, **options)
        return time.perf_counter() - started


def memory(_study, _model):
    """Measure the peak memory of one attribution from disk, for 1,000 and for 60,000 samples."""
    peaks = {}
    for count in (1000, 60000):
        with tempfile.TemporaryDirectory() as folder:
            # each in a process of its own: writing the samples takes memory that attributing them does not
            outputs = [
                subprocess.run(
                    [sys.executable, __file__, command, folder, str(count)], check=True, capture_output=True, text=True
                ).stdout
                for command in ("memory-write", "memory-of")
            ]
            peaks[count] = float(outputs[1])
    growth = peaks[60000] / peaks[1000] - 1
    print(f"1,000 samples {peaks[1000]:.0f} MB, 60,000 samples {peaks[60000]:.0f} MB: {growth:+.1%}")


def memory_write(folder, count):
    """Write so many random digits and a network with random weights."""
    from igc.models.files import save_model

    n, shape, path = int(count), (1, 28, 28), Path(folder)
    random = np.random.default_rng(0)
    with create_store(path / "s.zarr") as store:
        store.add("inputs", ("sample", "channel", "row", "column"), (n, *shape), "float32")
        step = store.chunk_rows("inputs")
        for a in range(0, n, step):
            store.write("inputs", a, random.random((min(step, n - a), *shape), dtype=np.float32))
        labels = random.integers(0, 10, n)
        store.put("responses", ("sample", "target"), np.eye(10, dtype=np.float32)[labels])
        for name in ("fold", "group", "sample_id"):
            store.put(name, ("sample",), np.arange(n) if name != "fold" else np.zeros(n, np.int64))
        store.set_attributes({"target_names": list("0123456789"), "target_type": "categories", "folds": 1})
    module = build_architecture("convolutional_classifier", shape, 10)
    description = {
        "architecture": "convolutional_classifier",
        "arguments": {},
        "input_shape": list(shape),
        "n_targets": 10,
        "target_names": list("0123456789"),
        "target_type": "categories",
        "folds": 1,
        "seed": 0,
        "kind": "network",
        "samples": "",
        "residual_variance": [[1.0] * 10],
        "training": [{}],
    }
    save_model(path / "model", [module], description)


def memory_of(folder, _count):
    """Attribute one gradient point a sample, and print the peak of this process in megabytes."""
    from igc.config import MethodSettings
    from igc.steps.attribute import attribute_files

    use_one_heap()  # as the command line does
    path = Path(folder)
    settings = MethodSettings(method="igc", points=1, options={"permutations": 0})
    attribute_files(path / "s.zarr", path / "model", settings, None, path / "r.zarr", workers=1, progress=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def latents(_study, _model):
    """Compare the side of latents with its own arithmetic: products of latents and one matrix product."""
    torch.set_num_threads(1)
    n, shape, n_latents, n_targets = 64, (1, 28, 28), 128, 10000
    arguments = {"hidden": n_latents}
    module = build_architecture("convolutional_classifier", shape, n_targets, arguments).eval().requires_grad_(False)
    random = np.random.default_rng(0)
    inputs = random.random((n, *shape), dtype=np.float32)
    source = ArraySource((inputs,), random.normal(size=(n, n_targets)).astype(np.float32), np.arange(n))
    problem = Problem(Outputs(module), source, group_blocks(None, n))
    design = PairDesign(tuple(problem.block_bounds()), 0, 0, 4)
    pilot = np.zeros((n_latents, problem.n_components))
    points = problem.load(np.arange(n))[0]
    ones = torch.ones(n)

    def products():
        leaf = tuple(x.clone().requires_grad_() for x in points)
        outputs = module(*leaf)[:, :n_latents]
        for k in range(n_latents):
            torch.autograd.grad(outputs[:, k], leaf, ones, retain_graph=k < n_latents - 1)

    left, right = torch.rand(n_targets, n * n_latents), torch.rand(n * n_latents, problem.n_components)
    floor = best(products) + best(torch.matmul, left, right)
    ours = best(partial(pair_unit, problem, design, pilot, "none", 0, side=SIDES["latents"]))
    ratio = f"{ours:.2f} s, its arithmetic {floor:.2f} s: {ours / floor:.2f}"
    print(f"{n_targets} targets, {n_latents} latents, {n} points: {ratio}")


@dataclass(frozen=True)
class SlowDisk(ArraySource):
    """Samples in memory that take as long to read as from a disk of a given rate, in megabytes a second."""

    rate: float = np.inf

    def read(self, rows):
        found = super().read(rows)
        time.sleep(sum(x.nbytes for x in found[0]) / (1e6 * self.rate))
        return found


def ahead(study, model):
    """Compare units whose samples were read while the unit before was computed with those read when needed."""
    torch.set_num_threads(1)
    use_one_heap()
    problem = problem_of(study, model, 2048)
    design = PairDesign(tuple(problem.block_bounds()), 0, 0, 64)
    pilot = np.zeros((problem.source.responses.shape[1], problem.n_components))
    held = problem.source
    for megabytes in (10, 25, 50, 200, np.inf):
        disk = SlowDisk(held.inputs, held.responses, held.order, megabytes)
        times = {False: [], True: []}
        for repeat in range(3):
            for reading in times:
                other = replace(problem, source=ReadAhead(disk) if reading else disk)
                pair_unit(other, design, pilot, "none", 8 * repeat)
                started = time.perf_counter()
                for index in range(3):
                    pair_unit(other, design, pilot, "none", 8 * repeat + 1 + index)
                times[reading].append((time.perf_counter() - started) / 3)
        plain, early = min(times[False]), min(times[True])
        print(f"disk of {megabytes} MB/s: {plain:.3f} s a unit, read ahead {early:.3f} s: {plain / early:.2f} times")


def regions(_study, _model):
    """Compare sums over 20 regions alone with full maps, for 10,000 targets, with and without a linear readout."""
    torch.set_num_threads(1)
    n, shape, n_targets = 64, (1, 28, 28), 10000
    labels = np.arange(784) * 20 // 784
    random = np.random.default_rng(0)
    inputs = random.random((n, *shape), dtype=np.float32)
    for readout in (True, False):
        arguments = {"hidden": 128}
        module = build_architecture("convolutional_classifier", shape, n_targets, arguments)
        module = (module if readout else torch.nn.Sequential(module, torch.nn.Tanh())).eval().requires_grad_(False)
        responses = random.normal(size=(n, n_targets)).astype(np.float32)
        source = ArraySource((inputs,), responses, np.arange(n))
        whole = Problem(Outputs(module), source, group_blocks(None, n))
        alone = replace(whole, pooling=Cells.of(784, [(labels, 20)], (labels, 0)))
        design = PairDesign(tuple(whole.block_bounds()), 0, 0, 4)
        pilot = np.zeros((128 if readout else n_targets, 784))
        forward = SIDES["cells of latents" if readout else "cells"]
        ours = best(partial(pair_unit, alone, design, pilot, "none", 0, side=forward))
        if readout:
            full = best(partial(pair_unit, whole, design, pilot, "none", 0, side=SIDES["latents"]))
        else:  # a product a target: the time of a hundredth of them, a hundred times
            few = replace(whole, outputs=Outputs(module, targets=tuple(range(100))), source=first_targets(source, 100))
            full = 100 * best(partial(pair_unit, few, design, pilot[:100], "none", 0))
        name = "with a linear readout" if readout else "without"
        print(f"sums over 20 regions, {name}: {ours:.2f} s, full maps {full:.2f} s: 1/{full / ours:.1f}")


def first_targets(source, count):
    """Return the samples with their first responses."""
    return ArraySource(source.inputs, source.responses[:, :count], source.order)


COMMANDS = {
    "rate": rate,
    "ahead": ahead,
    "regions": regions,
    "workers": workers,
    "memory": memory,
    "memory-write": memory_write,
    "memory-of": memory_of,
    "latents": latents,
}


def main():
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("study", nargs="?", default="")
    parser.add_argument("model", nargs="?", default="")
    arguments = parser.parse_args()
    COMMANDS[arguments.command](arguments.study, arguments.model)


if __name__ == "__main__":
    main()
