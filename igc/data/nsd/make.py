"""Small files in the exact formats of the Natural Scenes Dataset, with responses that are known.

What is planted is written beside them: ``planted/subjXX_<space>.tsv`` has a row for each component that is measured,
and ``planted/recipe.json`` says what was made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.data.nsd.betas import Grid
from igc.data.nsd.design import Design, Trials
from igc.data.nsd.layout import BETAS, HEMISPHERES, SPACES, TRIALS, Layout, Space, Version
from igc.data.nsd.planted import (
    Cells,
    cells,
    draw_images,
    drives,
    layout_of_average,
    layout_of_surface,
    layout_of_volume,
)
from igc.data.nsd.rois import NAMES
from igc.data.nsd.writing import (
    to_integers,
    write_behaviour,
    write_color_table,
    write_design,
    write_hdf5,
    write_information,
    write_mesh,
    write_mgh,
    write_nifti,
    write_stimuli,
)
from igc.errors import ConfigError, explain
from igc.seeding import generator
from igc.stats.noise_ceiling import noise_ceiling, signal_to_noise, zscored
from igc.store.atomic import replacing

__all__ = ["SHAPES", "Recipe", "make_nsd", "plan_design"]

SHAPES = ((9, 11, 10), (10, 9, 11), (11, 10, 9), (8, 12, 10))
"""Grids (x, y, z) of the 1.8 mm volumes; subjects take turns."""

_N_SUBJECTS, _ONCE = 8, 150
FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Recipe:
    """What is made.

    Attributes
    ----------
    sessions : tuple of int
        Sessions of each subject.
    image_size : int
        Height and width of the images in pixels.
    shared : int
        Images that all subjects see.
    vertices : int
        Vertices of a hemisphere in fsaverage, where they lie as those of the real one if it has a version of so many
        (642, 2562 or 10242); native surfaces have a few more, not the same number on both sides.
    spaces : tuple of str
        Of :data:`SPACES`.
    versions : tuple of str
        Of :data:`BETAS`; ``b1`` has 0.7 and ``b2`` 0.85 times the signal of ``b3``.
    seed : int
        Of everything.
    """

    sessions: tuple[int, ...] = (3, 2)
    image_size: int = 32
    shared: int = 100
    vertices: int = 320
    spaces: tuple[Space, ...] = ("func1pt8mm", "func1mm", "nativesurface", "fsaverage")
    versions: tuple[Version, ...] = ("b3",)
    seed: int = 0

    def check(self) -> None:
        """Refuse what cannot be made."""
        counts = {
            "sessions": 1 <= len(self.sessions) <= _N_SUBJECTS and min(self.sessions, default=0) >= 1,
            "image_size": 16 <= self.image_size <= 425,
            "shared": 2 <= self.shared <= 250 * max(self.sessions, default=1),
            "vertices": self.vertices >= 100,
            "spaces": len(self.spaces) > 0 and set(self.spaces) <= set(SPACES),
            "versions": len(self.versions) > 0 and set(self.versions) <= set(BETAS),
        }
        for name, right in counts.items():
            if not right:
                allowed = (
                    "1 to 8 subjects of 1 session or more, images of 16 to 425 pixels, 2 or more shared images, "
                    "100 vertices or more, known spaces and versions"
                )
                raise ConfigError(explain(f"make-nsd {name}", getattr(self, name), allowed, "change the option"))


def plan_design(recipe: Recipe) -> Design:
    """Draw the order of trials and the images of each subject.

    Parameters
    ----------
    recipe : Recipe
        Its sessions, shared images and seed are used.

    Returns
    -------
    Design
        250 images a session, each three times. Within the sessions that all subjects come to, most images are shown
        three times, and up to 150 once, whose repeats follow later. Subjects beyond those that are made see the images
        of these.
    """
    few, many = min(recipe.sessions) * TRIALS, max(recipe.sessions) * TRIALS
    once = min(_ONCE, (many - few) // 6 * 3)
    thrice = (few - once) // 3
    random = generator(recipe.seed, "nsd order")
    places = random.permutation(many // 3)
    early, split, late = np.split(places, [thrice, thrice + once])
    first = random.permutation(np.concatenate([np.repeat(early, 3), split]))
    second = random.permutation(np.concatenate([np.repeat(late, 3), np.repeat(split, 2)]))
    own = many // 3 - recipe.shared
    n_images = recipe.shared + own * len(recipe.sessions)
    numbers = random.permutation(n_images)
    shared, rest = numbers[: recipe.shared], numbers[recipe.shared :].reshape(len(recipe.sessions), own)
    lists = [np.concatenate([shared, rest[i % len(rest)]]) for i in range(_N_SUBJECTS)]
    return Design(Path(), np.concatenate([first, second]), np.stack(lists), np.sort(shared))


class _Writer:
    """Writes the files of one subject in one space."""

    def __init__(self, recipe: Recipe, root: Path, design: Design, subject: int, space: Space) -> None:
        self.recipe, self.space_number = recipe, list(SPACES).index(space)
        self.layout = Layout(root, subject, space)
        self.trials: Trials = design.trials(subject, recipe.sessions[subject - 1])
        # fsaverage is one mesh with one set of labels for all
        missing = ("hV4", "OFA") if subject % 2 == 0 and space != "fsaverage" else ()
        self.grid, anatomy = self._anatomy(subject, space)
        self.position: DoubleArray = anatomy[0]
        self.cells: Cells = cells(
            anatomy, recipe.seed, 0 if space == "fsaverage" else subject, self.space_number, missing
        )
        self.absent = self._absent()

    def _anatomy(self, subject: int, space: Space) -> tuple[Grid, Any]:
        shape = SHAPES[(subject - 1) % len(SHAPES)]
        size = SPACES[space]
        if size is not None:
            # as in the original, the two grids do not cover the same box
            scaled = shape if size > 1 else tuple(n + 2 for n in shape)
            return Grid(scaled), layout_of_volume(scaled)
        if space == "fsaverage":
            return Grid((2 * self.recipe.vertices,), self.recipe.vertices), layout_of_average(self.recipe.vertices)
        left, right = self.recipe.vertices + 10 * subject + 3, self.recipe.vertices + 10 * subject
        (first, _), (second, _) = layout_of_surface(left), layout_of_surface(right)
        sides = np.arange(left + right) >= left
        return Grid((left + right,), left), (np.concatenate([first[:left], second[right:]]), sides)

    def _absent(self) -> dict[int, int]:
        """Choose the component that is missing in one session, by session: part of nsdgeneral, without a signal."""
        quiet = np.flatnonzero((self.cells.labels["nsdgeneral"] > 0) & (self.cells.code == ""))
        return {min(2, self.recipe.sessions[self.layout.subject - 1]): int(quiet[0])}

    # --- responses ---

    def responses(self, drive: DoubleArray, version: str) -> DoubleArray:
        """Simulate all trials (trial, component) in percent, NaN where missing."""
        inside = self.cells.brain
        signal = {"b1": 0.7, "b2": 0.85, "b3": 1.0}[version] * self.cells.ncsnr[inside]
        shown = drive[self.trials.place][:, inside]
        deviation = shown.std(axis=0)
        shown = (shown - shown.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        subject, number = self.layout.subject, list(BETAS).index(version)
        random = generator(self.recipe.seed, "nsd scale", subject, self.space_number)
        level, scale = random.normal(0, 0.5, shown.shape[1]), random.uniform(0.6, 1.8, shown.shape[1])
        values = np.empty(shown.shape)
        for session in np.unique(self.trials.session):
            rows = self.trials.session == session
            key = (subject, self.space_number, number, int(session))
            draw = generator(self.recipe.seed, "nsd noise", *key)
            noise = draw.standard_normal((TRIALS, shown.shape[1]))
            # drift and gain of the day, which standardising within sessions takes away
            gain, drift = draw.uniform(0.7, 1.3), draw.normal(0, 0.3, shown.shape[1])
            values[rows] = level + drift + gain * scale * (signal * shown[rows] + noise)
        everywhere = np.full((len(values), len(inside)), np.nan)
        everywhere[:, inside] = values
        for session, component in self.absent.items():
            everywhere[self.trials.session == session, component] = np.nan
        return everywhere

    def write_betas(self, drive: DoubleArray) -> None:
        """Write the sessions, and the signal-to-noise ratio that the dataset's own procedure finds in them."""
        for version in self.recipe.versions:
            layout = replace(self.layout, version=version)
            percent = self.responses(drive, version)
            stored = percent.astype(np.float32) if layout.space == "fsaverage" else to_integers(percent)
            for session in np.unique(self.trials.session):
                self._write_session(layout, int(session), stored[self.trials.session == session])
            numbers = stored.astype(np.float64)
            zscores = zscored(numbers, self.trials.session)
            for name, half in (("ncsnr", None), ("ncsnr_split1", 1), ("ncsnr_split2", 2)):
                self._write_map(layout.betas, name, signal_to_noise(zscores, self.trials.place, half), "mgh")

    def _write_session(self, layout: Layout, session: int, stored: npt.NDArray[Any]) -> None:
        name = f"betas_session{session:02d}"
        if not layout.is_surface:
            series = np.ascontiguousarray(stored.T).reshape(*self.grid.shape, TRIALS)
            voxel = SPACES[layout.space] or 1.0
            write_hdf5(layout.betas / f"{name}.hdf5", series)
            write_nifti(layout.betas / f"{name}.nii.gz", series, voxel, 4 / 3 if voxel > 1 else 1.0)
            valid = np.any(series != 0, axis=3).astype(np.int16)
            write_nifti(layout.volumes / f"valid_session{session:02d}.nii.gz", valid, voxel)
            return
        for side, part in zip(HEMISPHERES, np.split(stored.T, [self.grid.n_left]), strict=True):
            if layout.space == "fsaverage":
                write_mgh(layout.betas / f"{side}.{name}.mgh", part)
            else:
                write_hdf5(layout.betas / f"{side}.{name}.hdf5", part)

    def _write_map(self, folder: Path, name: str, values: npt.NDArray[Any], ending: str) -> None:
        """Write one value a component."""
        if not self.layout.is_surface:
            voxel = SPACES[self.layout.space] or 1.0
            shaped = values.reshape(self.grid.shape).astype(np.float32)
            write_nifti(folder / f"{name}.nii.gz", shaped, voxel)
            return
        for side, part in zip(HEMISPHERES, np.split(values, [self.grid.n_left]), strict=True):
            write_mgh(folder / f"{side}.{name}.{ending}", part)

    # --- anatomy ---

    def write_labels(self) -> None:
        """Write ROI sets, their names and the volumes that lie with them."""
        planted, layout = self.cells, self.layout
        if layout.is_surface:
            self._write_surface_labels()
            return
        outside = ~planted.cortex
        for name, labels in planted.labels.items():
            folder = layout.volumes / "roi"
            self._write_map(folder, name, np.where(outside, -1, labels), "")
            for side, elsewhere in zip(HEMISPHERES, (planted.right, ~planted.right), strict=True):
                self._write_map(folder, f"{side}.{name}", np.where(outside | elsewhere, -1, labels), "")
        anatomy = 1000.0 * planted.brain + 300.0 * planted.cortex
        for name, values in (("brainmask", planted.brain), ("mean", anatomy), (f"T1_to_{layout.space}", anatomy + 50)):
            self._write_map(layout.volumes, name, np.asarray(values, dtype=float), "")
        self._write_names(layout, list(planted.labels))

    def _write_surface_labels(self) -> None:
        labels = dict(self.cells.labels)
        if self.layout.space == "fsaverage":
            # areas drawn in single subjects are not part of the average
            labels["Kastner2015"] = labels.pop("prf-visualrois")
            labels = {name: values for name, values in labels.items() if not name.startswith("floc-")}
        else:
            sides = np.split(self.position, [self.grid.n_left])
            for side, directions in zip(HEMISPHERES, sides, strict=True):
                write_mesh(self.layout.meshes[0].parent, side, directions)
        for name, values in labels.items():
            self._write_map(self.layout.labels, name, values, "mgz")
        self._write_names(self.layout, list(labels))

    def _write_names(self, layout: Layout, names: Sequence[str]) -> None:
        home = replace(layout, space="nativesurface") if layout.space != "fsaverage" else layout
        for name in names:
            write_color_table(home.labels / f"{name}.mgz.ctab", NAMES[name])

    def write_planted(self) -> None:
        """Write what is measured where, with the ceiling of an average over three trials."""
        planted = self.cells
        rows = np.flatnonzero(planted.code != "")
        index = self.grid.index(np.ones(self.grid.shape, dtype=bool))[rows]
        axes = ("x", "y", "z") if not self.layout.is_surface else ("hemisphere", "vertex")
        columns: dict[str, Any] = {axis: index[:, i] for i, axis in enumerate(axes)}
        visual = planted.labels["prf-visualrois"][rows]
        columns |= {"region": [NAMES["prf-visualrois"][code - 1] for code in visual], "code": planted.code[rows]}
        columns |= {f"field_{name}": planted.field[rows, i] for i, name in enumerate(("x", "y", "sd"))}
        columns |= {"ncsnr": planted.ncsnr[rows], "ceiling": noise_ceiling(planted.ncsnr[rows])}
        file = self.layout.root / "planted" / f"{self.layout.name}_{self.layout.space}.tsv"
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).to_csv(file, sep="\t", index=False)


def _write_all(recipe: Recipe, root: Path) -> None:
    design = plan_design(recipe)
    layout = Layout(root, 1)
    n_images = int(design.images.max()) + 1
    images = draw_images(recipe.seed, np.arange(n_images), recipe.image_size)
    write_design(layout.design, design)
    write_information(layout.information, design, n_images)
    write_stimuli(layout.stimuli, images)
    for subject in range(1, len(recipe.sessions) + 1):
        trials = design.trials(subject, recipe.sessions[subject - 1])
        write_behaviour(Layout(root, subject).behaviour, subject, trials, recipe.seed)
        seen = images[design.images[subject - 1]]
        for space in recipe.spaces:
            writer = _Writer(recipe, root, design, subject, space)
            writer.write_betas(drives(writer.cells, seen))
            writer.write_labels()
            writer.write_planted()
    _mark(root).write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")


def _mark(root: Path) -> Path:
    """Return the file that tells a made dataset from a real one."""
    return root / "planted" / "recipe.json"


def make_nsd(output: Path, recipe: Recipe | None = None, again: bool = False) -> None:
    """Make a small dataset of the same folders and formats as the Natural Scenes Dataset.

    Parameters
    ----------
    output : Path
        The folder to make; appears when it is complete.
    recipe : Recipe, optional
        What is made; default: two subjects with three and two sessions, all four spaces.
    again : bool
        Replace what was made there before; never anything else.

    Raises
    ------
    ConfigError
        If the recipe cannot be followed.
    StoreError
        If the folder holds something else.
    """
    chosen = recipe or Recipe()
    chosen.check()
    if again and _mark(output).is_file():
        shutil.rmtree(output)
    with replacing(output) as temporary:
        temporary.mkdir(parents=True, exist_ok=True)
        _write_all(chosen, temporary)
