"""Which image was shown in which trial, who saw what, and what the subject pressed.

Image numbers are positions among all images, from 0, as in the HDF5 file and the column ``nsdId``. The numbers in
``nsd_expdesign.mat``, ``responses.tsv`` and the columns ``subjectS_repR`` count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from igc.data.nsd.layout import SESSIONS, TRIALS
from igc.data.tables import MISSING
from igc.errors import DataError, MissingFileError, ShapeError, explain

__all__ = ["BEHAVIOUR", "Design", "Trials", "check_behaviour", "read_behaviour", "read_design", "read_information"]

BEHAVIOUR = (
    *("SUBJECT", "SESSION", "RUN", "TRIAL", "73KID", "10KID", "TIME", "ISOLD", "ISCORRECT", "RT", "CHANGEMIND"),
    *("MEMORYRECENT", "MEMORYFIRST", "ISOLDCURRENT", "ISCORRECTCURRENT", "TOTAL1", "TOTAL2", "BUTTON", "MISSINGDATA"),
)
"""Columns of ``responses.tsv``."""

_FULL_LENGTH = 30000
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trials:
    """Trials of one subject in the order of time.

    Attributes
    ----------
    image : array of int64 (trial,)
        Position among all images, from 0.
    place : array of int64 (trial,)
        Position in the subject's own list, from 0; shared images come first.
    session : array of int64 (trial,)
        From 1.
    repeat : array of int64 (trial,)
        How often the image had been shown before.
    """

    image: IntArray
    place: IntArray
    session: IntArray
    repeat: IntArray


@dataclass(frozen=True)
class Design:
    """The order of trials, which all subjects share, and the images of each.

    Attributes
    ----------
    path : Path
        The file.
    order : array of int64 (trial,)
        Position in the subject's list, from 0.
    images : array of int64 (subject, place)
        Image at each position of each subject's list, from 0.
    shared : array of int64 (image,)
        Images that every subject sees, from 0.
    """

    path: Path
    order: IntArray
    images: IntArray
    shared: IntArray

    def trials(self, subject: int, n_sessions: int) -> Trials:
        """Return the trials that took place.

        Parameters
        ----------
        subject : int
            From 1.
        n_sessions : int
            Sessions that the subject came to: the order goes on for subjects who left earlier.

        Returns
        -------
        Trials

        Raises
        ------
        DataError
            If there is no such subject or not so many sessions.
        """
        if not 1 <= subject <= len(self.images) or n_sessions * TRIALS > len(self.order):
            seen = f"subject {subject} with {n_sessions} sessions"
            allowed = f"subjects 1 to {len(self.images)} with up to {len(self.order) // TRIALS} sessions"
            raise DataError(explain(self.path, seen, allowed, "correct the subject or the sessions"))
        place = self.order[: n_sessions * TRIALS]
        repeat = np.asarray(pd.Series(place).groupby(place).cumcount(), dtype=np.int64)
        session = np.arange(len(place), dtype=np.int64) // TRIALS + 1
        return Trials(self.images[subject - 1][place], place, session, repeat.astype(np.int64))

    def sessions_of_all(self, present: Mapping[int, int]) -> dict[int, int]:
        """Return how many sessions each subject came to.

        Parameters
        ----------
        present : mapping of int to int
            Sessions found on disk, which counts only where the design is not that of the public dataset.

        Returns
        -------
        dict of int to int
        """
        return dict(SESSIONS) if len(self.order) == _FULL_LENGTH else dict(present)

    def seen_by_all(self, sessions: Mapping[int, int], repeats: int = 3) -> IntArray:
        """Return the shared images that every subject saw at least so often ("special515").

        Parameters
        ----------
        sessions : mapping of int to int
            Sessions of each subject, from :meth:`sessions_of_all`.
        repeats : int
            How often.

        Returns
        -------
        array of int64 (image,)
            Ascending.
        """
        kept = self.shared
        for subject, n_sessions in sessions.items():
            images, counts = np.unique(self.trials(subject, n_sessions).image, return_counts=True)
            kept = kept[np.isin(kept, images[counts >= repeats])]
        return np.sort(kept)


def read_design(path: Path) -> Design:
    """Read ``nsd_expdesign.mat``.

    Parameters
    ----------
    path : Path
        The file; its numbers count from 1.

    Returns
    -------
    Design
        Numbers count from 0.

    Raises
    ------
    MissingFileError, DataError
        If the file is not there, not a MATLAB file, or its variables do not fit each other.
    """
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "the experimental design", "fetch it"))
    names = ("masterordering", "subjectim", "sharedix")
    try:
        content = loadmat(path, variable_names=names)
        order, images, shared = (np.asarray(content[name], dtype=np.int64) - 1 for name in names)
    except (KeyError, ValueError, NotImplementedError, MatReadError) as error:
        remedy = "get the file again"
        raise DataError(explain(path, f"unreadable ({error})", f"variables {', '.join(names)}", remedy)) from error
    order, shared = order.ravel(), shared.ravel()
    wrong = images.ndim != 2 or len(order) % TRIALS or not np.isin(shared, images).all()
    if wrong or min(order.min(), images.min()) < 0 or order.max() >= images.shape[1]:
        seen = "an order, lists of images and shared images that do not fit each other"
        raise DataError(explain(path, seen, "numbers from 1 that do", "get the file again"))
    return Design(path, order, images, shared)


def read_information(path: Path) -> pd.DataFrame:
    """Read the table of all images.

    Parameters
    ----------
    path : Path
        ``nsd_stim_info_merged.csv``.

    Returns
    -------
    pandas.DataFrame
        One row an image, without the unnamed first column. ``nsdId`` counts from 0; ``subjectS_repR`` are trials from
        1, and 0 where there is none. For subjects who left early they name trials that never took place.

    Raises
    ------
    MissingFileError, DataError
        If the file is not there or does not count images from 0.
    """
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "the table of images", "fetch it"))
    table = pd.read_csv(path, index_col=0)
    if "nsdId" not in table or not np.array_equal(table["nsdId"], np.arange(len(table))):
        seen = "a column nsdId that does not count from 0"
        raise DataError(explain(path, seen, "one row an image, in order", "get the file again"))
    return table


def read_behaviour(path: Path) -> pd.DataFrame:
    """Read what a subject pressed.

    Parameters
    ----------
    path : Path
        ``responses.tsv``.

    Returns
    -------
    pandas.DataFrame
        One row a trial, in the order of time; float64, NaN where the file says so.

    Raises
    ------
    MissingFileError, DataError
        If the file is not there, or its columns are others than :data:`BEHAVIOUR`.
    """
    if not path.is_file():
        raise MissingFileError(explain(path, "no such file", "the table of responses", "fetch it"))
    try:
        table = pd.read_csv(path, sep="\t", na_values=list(MISSING), dtype=np.float64)
    except ValueError as error:
        raise DataError(explain(path, f"unreadable ({error})", "a table of numbers", "get the file again")) from error
    if tuple(table.columns) != BEHAVIOUR:
        seen = f"columns {', '.join(map(str, table.columns))}"
        raise DataError(explain(path, seen, ", ".join(BEHAVIOUR), "get the file again"))
    return table


def check_behaviour(path: Path, table: pd.DataFrame, trials: Trials) -> None:
    """Refuse a table of responses that speaks of other trials than the design.

    Parameters
    ----------
    path : Path
        Its file, for the message.
    table : pandas.DataFrame
        From :func:`read_behaviour`; its image numbers count from 1.
    trials : Trials
        From the design.

    Raises
    ------
    ShapeError, DataError
        If it has fewer rows, or an image differs.
    """
    n = len(trials.image)
    if len(table) < n:
        raise ShapeError(explain(path, f"{len(table)} rows", f"one for each of {n} trials", "get the file again"))
    both = (("73KID", trials.image), ("10KID", trials.place), ("SESSION", trials.session - 1))
    for name, numbers in both:
        different = np.flatnonzero(table[name].to_numpy()[:n] != numbers + 1)
        if len(different):
            seen = f"{name} {table[name].iloc[different[0]]:g} in trial {different[0] + 1}"
            allowed = f"{numbers[different[0]] + 1}, as the design says"
            raise DataError(explain(path, seen, allowed, "use files of the same subject"))
