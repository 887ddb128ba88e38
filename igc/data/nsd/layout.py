"""Where the files of the Natural Scenes Dataset are, below the folder that mirrors its bucket.

Source: the NSD data manual, and Allen et al. (2022), Nature Neuroscience 25:116.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from igc.errors import DataError, MissingFileError, explain

__all__ = [
    "BETAS",
    "HEMISPHERES",
    "SESSIONS",
    "SPACES",
    "TRIALS",
    "Layout",
    "Space",
    "Version",
]

Space = Literal["func1pt8mm", "func1mm", "nativesurface", "fsaverage"]
Version = Literal["b1", "b2", "b3"]

SPACES: dict[str, float | None] = {"func1pt8mm": 1.8, "func1mm": 1.0, "nativesurface": None, "fsaverage": None}
"""Size of a voxel in millimetres for volumes, None for surfaces."""

BETAS = {"b1": "betas_assumehrf", "b2": "betas_fithrf", "b3": "betas_fithrf_GLMdenoise_RR"}
"""Folder of each version of the single-trial responses."""

HEMISPHERES = ("lh", "rh")
"""In the order in which vertices are put one after the other."""

TRIALS = 750
"""Trials of a session, always."""

SESSIONS = {1: 40, 2: 40, 3: 32, 4: 30, 5: 40, 6: 32, 7: 40, 8: 30}
"""Sessions of each subject in the public release."""


@dataclass(frozen=True)
class Layout:
    """Paths of one subject's files.

    Attributes
    ----------
    root : Path
        Folder that holds ``nsddata``, ``nsddata_betas`` and ``nsddata_stimuli``.
    subject : int
        From 1.
    space : str
        One of :data:`SPACES`.
    version : str
        One of :data:`BETAS`.
    """

    root: Path
    subject: int
    space: Space = "func1pt8mm"
    version: Version = "b3"

    @property
    def name(self) -> str:
        """Name of the subject in paths: ``subj01``."""
        return f"subj{self.subject:02d}"

    @property
    def is_surface(self) -> bool:
        """Whether the space has vertices."""
        return SPACES[self.space] is None

    @property
    def betas(self) -> Path:
        """Folder of the single-trial responses."""
        return self.root / "nsddata_betas" / "ppdata" / self.name / self.space / BETAS[self.version]

    @property
    def volumes(self) -> Path:
        """Folder of the volumes that belong to the space: ``valid_sessionNN``, ``T1_to_...``, ``roi/``."""
        return self.root / "nsddata" / "ppdata" / self.name / self.space

    @property
    def backgrounds(self) -> tuple[Path, ...]:
        """Volumes that show the anatomy in the space of the responses, the best first."""
        return tuple(self.volumes / f"{name}.nii.gz" for name in (f"T1_to_{self.space}", "mean", "brainmask"))

    @property
    def labels(self) -> Path:
        """Folder of the surface's labels."""
        return self._freesurfer("fsaverage" if self.space == "fsaverage" else self.name) / "label"

    @property
    def meshes(self) -> tuple[Path, ...]:
        """Inflated surface and folds of each hemisphere of the subject, left first."""
        folder = self._freesurfer(self.name) / "surf"
        return tuple(folder / f"{side}.{name}" for side in HEMISPHERES for name in ("inflated", "sulc"))

    def _freesurfer(self, name: str) -> Path:
        return self.root / "nsddata" / "freesurfer" / name

    @property
    def behaviour(self) -> Path:
        """Table of the subject's button presses."""
        return self.root / "nsddata" / "ppdata" / self.name / "behav" / "responses.tsv"

    @property
    def design(self) -> Path:
        """Order of the trials, and who saw what."""
        return self.root / "nsddata" / "experiments" / "nsd" / "nsd_expdesign.mat"

    @property
    def information(self) -> Path:
        """Table of all images."""
        return self.root / "nsddata" / "experiments" / "nsd" / "nsd_stim_info_merged.csv"

    @property
    def stimuli(self) -> Path:
        """The images themselves."""
        return self.root / "nsddata_stimuli" / "stimuli" / "nsd" / "nsd_stimuli.hdf5"

    def color_table(self, roi: str) -> Path | None:
        """Find the table that names the labels of a ROI set; those of prf-* and floc-* lie with each subject only."""
        return next((path for path in self.color_tables(roi) if path.is_file()), None)

    def color_tables(self, roi: str) -> tuple[Path, ...]:
        """Return where the table that names the labels of a ROI set may be, in the order in which it is looked for."""
        return tuple(self._freesurfer(name) / "label" / f"{roi}.mgz.ctab" for name in (self.name, "fsaverage"))

    def sessions(self) -> list[int]:
        """Return the numbers of the sessions whose responses are there, from 1.

        Raises
        ------
        MissingFileError
            If there is none.
        DataError
            If one is missing between others.
        """
        pattern = re.compile(r"(?:lh\.)?betas_session(\d\d)\.(?:hdf5|nii\.gz|mgh)")
        names = [item.name for item in self.betas.iterdir()] if self.betas.is_dir() else []
        found = sorted({int(match[1]) for name in names if (match := pattern.fullmatch(name))})
        if not found:
            remedy = "check the folder, subject, space and version: not every space exists in every version"
            raise MissingFileError(explain(self.betas, "no betas_session files", "at least one session", remedy))
        if found != list(range(1, len(found) + 1)):
            missing = next(i for i in range(1, found[-1]) if i not in found)
            allowed = "sessions without a gap"
            raise DataError(explain(self.betas, f"no session {missing}", allowed, "download it, or limit the sessions"))
        return found

    def subjects(self) -> list[int]:
        """Return the subjects that have any responses below the root."""
        folder = self.root / "nsddata_betas" / "ppdata"
        names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
        return sorted(int(name[4:]) for name in names if re.fullmatch(r"subj\d\d", name))
