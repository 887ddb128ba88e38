"""Data that are larger than the memory a process may take: the same map, from what is read piece by piece."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import zarr

from tests.faults.larger_than_memory import ROOM
from tests.faults.test_interruptions import ENVIRONMENT

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "larger_than_memory.py"
CHUNK, CHUNKS, WIDTH, VARYING = 128, 200, 5_000, 50


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, npt.NDArray[np.float64]]:
    """Write 512 MB of inputs of which few components vary, and return the map that a linear model must give."""
    folder = tmp_path_factory.mktemp("large")
    random = np.random.default_rng(0)
    some = random.standard_normal((CHUNK, VARYING)).astype(np.float32)
    y = np.tile(some[:, :2] + 0.5 * random.standard_normal((CHUNK, 2)), (CHUNKS, 1))
    block = np.ones((CHUNK, WIDTH), np.float32)
    block[:, :VARYING] = some
    shape = (CHUNK * CHUNKS, WIDTH)
    group = zarr.open_group(folder / "x.zarr", mode="w")
    array = group.create_array("inputs", shape=shape, dtype="f4", chunks=(64, WIDTH), dimension_names=("sample", "i"))
    for start in range(0, len(y), CHUNK):
        array[start : start + CHUNK] = block
    np.save(folder / "y.npy", y)
    weights = np.linspace(-1, 1, 2 * WIDTH).reshape(2, -1)
    centred = some.astype(np.float64) - some.mean(axis=0, dtype=np.float64)
    responses = y[:CHUNK] - y[:CHUNK].mean(axis=0)
    truth = np.zeros((2, WIDTH))
    truth[:, :VARYING] = weights[:, :VARYING] * (responses.T @ centred) / CHUNK
    predicted = (centred @ weights[:, :VARYING].T).std(axis=0)
    return folder, truth / (responses.std(axis=0) * predicted)[:, None]


@pytest.mark.parametrize("how", ["dask", "dataset"])
def test_inputs_larger_than_memory_give_the_map_of_the_closed_form(
    data: tuple[Path, npt.NDArray[np.float64]], tmp_path: Path, how: str
) -> None:
    folder, truth = data
    output = tmp_path / "map.npy"
    arguments = [folder / "x.zarr" / "inputs", folder / "y.npy", how, output]
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    refused, grown = ended.stdout.split()
    assert refused == "refused"
    assert int(grown) < ROOM < CHUNK * CHUNKS * WIDTH * 4 / 2
    np.testing.assert_allclose(np.load(output), truth, atol=1e-9)
