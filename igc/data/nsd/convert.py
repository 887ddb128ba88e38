"""One pass over the sessions: responses within a mask, trial after trial, as samples are read later."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.data.nsd.betas import BetaFiles
from igc.data.nsd.layout import TRIALS
from igc.errors import DataError, MissingFileError, StoreError, explain
from igc.stats.noise_ceiling import signal_to_noise, zscored
from igc.store.arrays import create_store, open_store, read_values

__all__ = ["Responses", "convert_betas", "open_converted", "signal_to_noise_of", "spooled"]

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
_VOXEL_BLOCK = 2048


@dataclass(frozen=True)
class Responses:
    """Responses of one subject within a mask.

    Attributes
    ----------
    values : array of float32 (trial, component)
        Mapped from a file that vanishes when this is closed.
    missing : array of bool (session, component)
        Components without a response in a session.
    """

    values: FloatArray
    missing: BoolArray

    @property
    def complete(self) -> BoolArray:
        """Components (component,) that have a response in every trial."""
        return np.asarray(~self.missing.any(axis=0))


def _description(files: BetaFiles, mask: BoolArray, n_sessions: int) -> dict[str, Any]:
    layout = files.layout
    newest = max(path.stat().st_mtime_ns for path in layout.betas.glob("*betas_session*"))
    return {
        "subject": layout.subject,
        "space": layout.space,
        "version": layout.version,
        "sessions": n_sessions,
        "grid": list(files.grid.shape),
        "mask": hashlib.sha256(np.packbits(mask).tobytes()).hexdigest(),
        "newest": newest,
    }


def convert_betas(files: BetaFiles, mask: BoolArray, output: Path, n_sessions: int | None = None) -> None:
    """Write the responses within a mask as a zarr folder whose chunks hold whole trials.

    Parameters
    ----------
    files : BetaFiles
        The sessions.
    mask : array of bool, of the grid's shape
        Components to keep.
    output : Path
        The folder; appears when it is complete. Variables ``betas`` (trial, voxel) in percent with NaN where missing,
        ``session`` (trial), ``missing`` (session, voxel), ``voxel_index`` (voxel, axis).
    n_sessions : int, optional
        Only the first so many.

    Raises
    ------
    IgcError
        If a session cannot be read. Memory holds one session.
    """
    sessions = files.sessions[:n_sessions]
    index = files.grid.index(mask)
    missing = np.zeros((len(sessions), len(index)), dtype=bool)
    with create_store(output) as store:
        store.add("betas", ("trial", "voxel"), (len(sessions) * TRIALS, len(index)), np.float32)
        step = store.chunk_rows("betas")
        # a chunk may reach from one session into the next
        rest, start = np.empty((0, len(index)), dtype=np.float32), 0
        for number, session in enumerate(sessions):
            values = files.read(session, mask)
            missing[number] = np.isnan(values).any(axis=0)
            block = np.concatenate([rest, values])
            last = number == len(sessions) - 1
            whole = len(block) if last else len(block) // step * step
            store.write("betas", start, block[:whole])
            rest, start = block[whole:], start + whole
        store.put("session", ("trial",), np.repeat(np.array(sessions, dtype=np.int64), TRIALS))
        store.put("missing", ("session", "voxel"), missing)
        store.put("voxel_index", ("voxel", "axis"), index)
        store.set_attributes({"nsd": _description(files, mask, len(sessions))})


def open_converted(files: BetaFiles, mask: BoolArray, folder: Path, n_sessions: int) -> Any:
    """Open converted responses, converting first unless the same ones are there.

    Parameters
    ----------
    files, mask, n_sessions
        As for :func:`convert_betas`.
    folder : Path
        The zarr folder.

    Returns
    -------
    xarray.Dataset
    """
    wanted = _description(files, mask, n_sessions)
    try:
        dataset = open_store(folder)
        if dataset.attrs.get("nsd") == wanted:
            return dataset
    except (MissingFileError, StoreError):
        pass
    convert_betas(files, mask, folder, n_sessions)
    return open_store(folder)


def _sessions(files: BetaFiles, mask: BoolArray, n_sessions: int, cache: Path | None) -> Iterator[FloatArray]:
    """Yield the responses (trial, component) of each session."""
    if cache is None:
        for session in files.sessions[:n_sessions]:
            yield files.read(session, mask)
        return
    stored = open_converted(files, mask, cache, n_sessions)["betas"]
    for start in range(0, n_sessions * TRIALS, TRIALS):
        yield read_values(stored, slice(start, start + TRIALS))


@contextmanager
def spooled(
    files: BetaFiles,
    mask: BoolArray,
    n_sessions: int,
    standardize: bool,
    reference: BoolArray | None = None,
    cache: Path | None = None,
) -> Iterator[Responses]:
    """Put responses into a file in which single trials are found at once.

    Parameters
    ----------
    files, mask
        As for :func:`convert_betas`.
    n_sessions : int
        The first so many sessions are read.
    standardize : bool
        Z-score each component within each session.
    reference : array of bool (trial,), optional
        Trials whose mean and standard deviation are used; default: all.
    cache : Path, optional
        Zarr folder with converted responses, made if it is not there; default: read the dataset's own files.

    Yields
    ------
    Responses

    Raises
    ------
    DataError
        If a component that is there has no variance among the reference.
    """
    n_trials, n_voxels = n_sessions * TRIALS, int(np.count_nonzero(mask))
    missing = np.zeros((n_sessions, n_voxels), dtype=bool)
    # written rather than mapped, because a full disk ends writing with an error, but a map with the whole process
    with tempfile.TemporaryFile() as spool:
        for number, values in enumerate(_sessions(files, mask, n_sessions, cache)):
            if standardize:
                rows = slice(number * TRIALS, (number + 1) * TRIALS)
                chosen = None if reference is None else reference[rows]
                block = zscored(values, np.zeros(TRIALS, dtype=np.int64), chosen).astype(np.float32)
            else:
                block = values
            missing[number] = np.isnan(block).any(axis=0)
            spool.write(np.ascontiguousarray(block).tobytes())
        spool.flush()
        if missing.any(axis=0).all():
            seen = "no component with responses in all sessions"
            raise DataError(explain(files.layout.betas, seen, "at least one", "name another mask or fewer sessions"))
        yield Responses(np.memmap(spool, dtype=np.float32, mode="r", shape=(n_trials, n_voxels)), missing)


def signal_to_noise_of(
    responses: Responses, sessions: npt.NDArray[np.int64], images: npt.NDArray[np.int64], half: int | None = None
) -> npt.NDArray[np.float64]:
    """Estimate ``ncsnr`` of all components, some of them at a time.

    Parameters
    ----------
    responses : Responses
        On any scale that is constant within a session.
    sessions, images : array of int (trial,)
        Session and image of each trial.
    half : {1, 2}, optional
        As for :func:`igc.stats.noise_ceiling.signal_to_noise`.

    Returns
    -------
    array of float64 (component,)
    """
    parts = []
    for start in range(0, responses.values.shape[1], _VOXEL_BLOCK):
        block = responses.values[:, start : start + _VOXEL_BLOCK]
        parts.append(signal_to_noise(zscored(block, sessions), images, half))
    return np.concatenate(parts)
