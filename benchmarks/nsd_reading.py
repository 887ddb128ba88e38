"""Time of reading responses stored as the Natural Scenes Dataset stores them: by trials, whole, and in a mask's box.

Each chunk of the HDF5 files holds all trials of one voxel, so a few trials cost as much as all of them.

    python benchmarks/nsd_reading.py
"""

import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from igc.data.nsd.betas import open_betas
from igc.data.nsd.layout import TRIALS, Layout
from igc.data.nsd.writing import write_hdf5

SHAPE, REPEATS = (40, 32, 20), 3


def seconds(read) -> float:
    """Return the fastest of a few repeats."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        read()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder), 1)
        path = layout.betas / "betas_session01.hdf5"
        write_hdf5(path, np.random.default_rng(0).integers(-900, 900, (*SHAPE, TRIALS)).astype(np.int16))
        files = open_betas(layout)
        mask = np.zeros(SHAPE, dtype=bool)
        mask[12:28, 2:14, 4:16] = np.random.default_rng(1).random((16, 12, 12)) < 0.7

        def trials(count):
            with h5py.File(path) as file:
                return file["betas"][:count]

        rows = {
            "10 trials, all voxels": seconds(lambda: trials(10)),
            "750 trials, all voxels": seconds(lambda: trials(TRIALS)),
            f"750 trials, {mask.sum()} voxels of a mask": seconds(lambda: files.read(1, mask)),
        }
    print(f"{np.prod(SHAPE)} voxels")
    for name, value in rows.items():
        print(f"{name:<40} {value:6.3f} s")


if __name__ == "__main__":
    main()
