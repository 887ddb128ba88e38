"""Attribute data that do not fit into the memory this process may take, and print how much it took.

Usage: python larger_than_memory.py <zarr array> <zarr responses> <dask or dataset> <output .npy>
"""

import re
import resource
import sys
from pathlib import Path

import dask.array
import numpy as np
import torch
import xarray as xr

import igc
from igc.testing.probes import linear_model

ROOM = 220 << 20


def used(name: str) -> int:
    """Return a number of bytes of this process's status."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) << 10 if found else 0


def main(inputs: str, responses: str, how: str, output: str) -> None:
    torch.set_num_threads(1)
    x, y = dask.array.from_zarr(inputs), np.load(responses)
    samples = (x, y)
    if how == "dataset":
        lazy = xr.open_zarr(Path(inputs).parent, chunks=None, consolidated=False)["inputs"]
        samples = xr.Dataset({"inputs": lazy, "responses": (("sample", "target"), y)})
    model = linear_model(np.linspace(-1, 1, 2 * x.shape[1]).reshape(2, -1))
    small = (np.asarray(x[:64]), y[:64])
    igc.attribute(model, small, progress=False, permutations=0)  # libraries loaded on the way
    before = used("VmRSS")
    limit = used("VmData") + ROOM
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        np.ones(x.shape, x.dtype)
    except MemoryError:
        sys.stdout.write("refused ")
    options = {"progress": False, "permutations": 0, "batch_size": 128, "groups": np.arange(len(y)) // 64 % 8}
    result = igc.attribute(model, samples, points=1 / 16, client=1, **options)
    np.save(output, result["attribution"].values)
    # the peak of this image: that of getrusage begins with what the process held before it became this one
    sys.stdout.write(f"{used('VmHWM') - before}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
