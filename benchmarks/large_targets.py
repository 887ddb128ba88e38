"""Peak memory and time of every verb for a study with 100,000 targets, which must stay below 4 GiB.

Synthetic voxels answer to small images through planted receptive fields. All verbs run as a user calls them.

    python benchmarks/large_targets.py [targets]
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import zarr

IMAGES, SIZE, LIMIT = 400, 16, 4.0
CONFIG = """
seed: 0
studies:
  large:
    data: {kind: arrays, inputs: images.npy, responses: responses.zarr, test: test.npy}
    models:
      ridge: {kind: linear, alphas: [1.0, 10000.0, 5]}
      encoder: {kind: network, architecture: factorised_encoder, training: {epochs: 3}}
    methods:
      linear_igc: {models: [ridge]}
      igc: {points: 4, models: [encoder]}
    rois: {quadrants: {kind: quadrants}}
"""


def make(folder: Path, targets: int) -> None:
    """Write images and responses, some thousand voxels at a time."""
    random = np.random.default_rng(0)
    images = random.normal(size=(IMAGES, 1, SIZE, SIZE)).astype(np.float32)
    np.save(folder / "images.npy", images)
    np.save(folder / "test.npy", (np.arange(IMAGES) < IMAGES // 4).astype(np.int64))
    stored = zarr.create_array(
        folder / "responses.zarr", shape=(IMAGES, targets), dtype=np.float32, chunks=(IMAGES, 2000)
    )
    grid = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij"), axis=-1).reshape(-1, 2)
    for start in range(0, targets, 2000):
        centre = random.uniform(2, SIZE - 3, (min(2000, targets - start), 1, 2))
        fields = np.exp(-((grid - centre) ** 2).sum(axis=2) / 8)
        fields /= np.linalg.norm(fields, axis=1, keepdims=True)
        signal = images.reshape(IMAGES, -1) @ fields.T
        stored[:, start : start + len(centre)] = (signal + random.normal(size=signal.shape)).astype(np.float32)


def verbs(folder: Path) -> dict[str, list[str]]:
    """Return the arguments of every call, by a name for the table."""
    study = ["--config", str(folder / "study.yaml"), "--study", "large"]
    samples, rois = folder / "samples.zarr", folder / "rois.zarr"
    given = ["--samples", str(samples), "--rois", str(rois)]
    calls = {
        "preprocess": ["preprocess", *study, "--output", str(samples)],
        "rois": ["rois", *study, "--samples", str(samples), "--output", str(rois)],
    }
    for name, method in (("ridge", "linear_igc"), ("encoder", "igc")):
        model, maps = folder / f"models/{name}-seed0", folder / f"attributions/{name}-seed0/{method}.zarr"
        train = ["train", *study, "--model", name, "--samples", str(samples), "--output", str(model)]
        attribute = ["attribute", *study, "--method", method, "--model", str(model), "--output", str(maps), *given]
        output = str(folder / "rois" / name)
        calls[f"train ({name})"] = train
        calls[f"attribute ({method})"] = attribute
        calls[f"aggregate ({method})"] = ["aggregate", str(maps), "--rois", str(rois), "--output", output]
    return calls


def measured(arguments: list[str], folder: Path) -> tuple[int, float, float]:
    """Run one verb; return its status, CPU seconds and peak memory in GiB."""
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "igc", *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 2, str(folder / "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)],
    )
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / (1 << 20)


def main() -> int:
    """Print a table; return 1 if a verb failed or needed more than the limit."""
    targets = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, targets)
        (folder / "study.yaml").write_text(CONFIG, encoding="utf-8")
        os.chdir(folder)
        print(f"{targets:,} targets, {IMAGES} images of {SIZE} x {SIZE} pixels\n")
        print("| verb | CPU seconds | peak memory (GiB) |\n|---|---|---|")
        for label, arguments in verbs(folder).items():
            status, seconds, peak = measured(arguments, folder)
            failed |= status != 0 or peak > LIMIT
            print(f"| {label} | {seconds:.1f} | {peak:.2f} |", flush=True)
            if status:
                print((folder / "log").read_text(encoding="utf-8"))
                break
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
