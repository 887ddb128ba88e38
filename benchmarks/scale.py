"""What the whole Natural Scenes Dataset costs: rates are measured here, and sizes and hours computed from them.

    python benchmarks/scale.py [--seconds 2]

Prints the tables of docs/scale.md: the measured rates of one core, and for eight subjects with 10,000 images each the
gradient points, bytes and core-hours of decoding and encoding.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from igc.attribution.correlation.design import PairDesign
from igc.attribution.correlation.pairs import pair_unit
from igc.attribution.correlation.sides import SIDES
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.data.nsd.layout import SESSIONS, TRIALS
from igc.models.registry import build_architecture
from igc.steps.memory import use_one_heap
from igc.steps.sources import ArraySource
from igc.store.arrays import create_store

SUBJECTS, IMAGES, POINTS, STATISTICS = 8, 10_000, 16, 3
PIXELS, LATENTS, SAMPLES = 32, 64, 64
WIDTH = 64
# components, and bytes of one session on disk: int16 of the whole grid, or float32 of both hemispheres
SPACES = {
    "nsdgeneral, 1.8 mm": (15_000, 81 * 104 * 83 * TRIALS * 2),
    "nsdgeneral, fsaverage": (37_984, 2 * 163_842 * TRIALS * 4),
    "all of fsaverage": (327_684, 2 * 163_842 * TRIALS * 4),
}
TARGET_COUNTS = (2_000, 8_000)


@dataclass
class Rates:
    """Seconds of one core for a point: of a decoder by components, and of an encoder with and beside its targets."""

    decoder: dict[int, float]
    latents: float
    target: float

    def encoder(self, targets: int) -> float:
        return self.latents + self.target * targets


def seconds(run, budget: float) -> float:
    """Return the shortest CPU time of as many runs as the budget allows, at least three."""
    times, started = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < budget:
        before = time.process_time()
        run()
        times.append(time.process_time() - before)
    return min(times)


def unit(architecture: str, shape: tuple[int, ...], targets: int, side: str, arguments: dict, samples: int):
    """Return what computes one unit of work, and its number of points."""
    random = np.random.default_rng(0)
    module = build_architecture(architecture, shape, targets, arguments).eval().requires_grad_(False)
    inputs = random.normal(size=(samples, *shape)).astype(np.float32)
    responses = random.normal(size=(samples, targets)).astype(np.float32)
    source = ArraySource((inputs,), responses, np.arange(samples))
    problem = Problem(Outputs(module), source, group_blocks(None, samples))
    design = PairDesign(tuple(problem.block_bounds()), 0, 0, 1)
    pilot = np.zeros((LATENTS if side == "latents" else targets, problem.n_components))
    run = partial(pair_unit, problem, design, pilot, "none", 0, side=SIDES[side])
    return run, len(design.unit(0).left)


def measure(budget: float) -> Rates:
    """Measure all rates on one core."""
    torch.set_num_threads(1)
    use_one_heap()
    decoder = {}
    for components, _ in SPACES.values():
        run, points = unit("residual_mlp", (components,), STATISTICS, "outputs", {"width": WIDTH}, SAMPLES)
        decoder[components] = seconds(run, budget) / points
    found = []
    for targets in TARGET_COUNTS:
        run, points = unit(
            "convolutional_encoder", (1, PIXELS, PIXELS), targets, "latents", {"latents": LATENTS}, SAMPLES
        )
        found.append(seconds(run, budget) / points)
    slope = (found[1] - found[0]) / (TARGET_COUNTS[1] - TARGET_COUNTS[0])
    return Rates(decoder, found[0] - slope * TARGET_COUNTS[0], slope)


def rows_of_a_chunk(components: int) -> int:
    """Return how many samples the store puts into a chunk."""
    with tempfile.TemporaryDirectory() as folder, create_store(Path(folder) / "a.zarr") as store:
        store.add("inputs", ("sample", "voxel"), (IMAGES, components), np.float32)
        rows = store.chunk_rows("inputs")
        store.put("sample_id", ("sample",), np.arange(IMAGES))
    return rows


def amount(size: float) -> str:
    """Return a size in the unit that suits it."""
    unit, name = next(pair for pair in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")) if size >= pair[0] or pair[0] == 1e6)
    return f"{size / unit:.1f} {name}"


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def bytes_table() -> str:
    """Sizes on disk."""
    sessions = sum(SESSIONS.values())
    rows = []
    for name, (components, session) in SPACES.items():
        rows.append(
            (
                name,
                f"{components:,}",
                amount(session * sessions),
                amount(sessions * TRIALS * components * 4),
                amount(SUBJECTS * IMAGES * components * 4),
                str(rows_of_a_chunk(components)),
                amount(SUBJECTS * STATISTICS * components * 8),
                amount(SUBJECTS * components * PIXELS**2 * 8),
            )
        )
    header = ("space", "components", "responses on disk", "converted", "samples", "samples a chunk")
    return table((*header, "maps, decoding", "maps, encoding"), rows)


def hours_table(rates: Rates) -> str:
    """Gradient points and core-hours."""
    points = SUBJECTS * IMAGES * POINTS
    rows = []
    for name, (components, _) in SPACES.items():
        for kind, cost in (("decoding", rates.decoder[components]), ("encoding", rates.encoder(components))):
            hours = points * cost / 3600
            per = (f"{1 / cost:,.0f}", f"{hours:,.1f}", f"{hours / 100 * 60:,.1f}", f"{points / 3600:,.0f} / R")
            rows.append((name, kind, f"{points / 1e6:.2f} million", *per))
    header = ("space", "direction", "gradient points", "points a second, one core", "core-hours")
    return table((*header, "minutes on 100 cores", "hours at R points a second"), rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each measurement")
    rates = measure(parser.parse_args().seconds)
    print(bytes_table())
    print(hours_table(rates))
    print(f"encoder: {rates.latents * 1e3:.2f} ms a point and {rates.target * 1e6:.2f} microseconds a point and target")


if __name__ == "__main__":
    main()
