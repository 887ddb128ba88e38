"""The Natural Scenes Dataset as samples: responses to image statistics (decoding), or images to responses (encoding).

The image is the group: its repeats are never divided, so no trial of a held-out image is used for training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.config_nsd import NsdData
from igc.data.nsd.betas import BetaFiles, open_betas
from igc.data.nsd.convert import Responses, signal_to_noise_of, spooled
from igc.data.nsd.design import Design, Trials, check_behaviour, read_behaviour, read_design
from igc.data.nsd.layout import Layout
from igc.data.nsd.meshes import read_meshes
from igc.data.nsd.rois import read_roi, right_hemisphere
from igc.data.nsd.statistics import image_statistics, luminance
from igc.data.nsd.stimuli import Stimuli, area_weights, open_stimuli
from igc.data.nsd.truth import FIELD_OF_VIEW, planted_fields
from igc.data.source import FloatArray, IntArray, Source, Variable, codes_of
from igc.data.volumes import load_image, read_volumes
from igc.errors import DataError, explain
from igc.seeding import generator
from igc.stats.noise_ceiling import effective_repeats, noise_ceiling, repeated_trials

__all__ = ["ORIGIN", "held_out", "open_nsd"]

ORIGIN = {
    "name": "Natural Scenes Dataset, or files of its formats",
    "licence": "terms of use at naturalscenesdataset.org",
    "citation": "Allen, St-Yves, Wu, Breedlove, Prince et al. (2022), Nature Neuroscience 25:116",
}
_IMAGE_BATCH = 64
BoolArray = npt.NDArray[np.bool_]
Reader = Callable[[IntArray], FloatArray]


def held_out(data: NsdData, layout: Layout, design: Design, images: IntArray, seed: int) -> BoolArray | None:
    """Tell which images are held out.

    Parameters
    ----------
    data : NsdData
        ``test`` decides.
    layout : Layout
        Where to count the sessions of other subjects, for a dataset that is not the public one.
    design : Design
        Who saw what.
    images : array of int (image,)
        Images in question, each once, ascending.
    seed : int
        Of the random share.

    Returns
    -------
    array of bool (image,) or None
        None where none are.
    """
    if data.test == "none":
        return None
    if data.test == "random":
        chosen = max(1, round(data.test_share * len(images)))
        mask = np.zeros(len(images), dtype=bool)
        mask[generator(seed, "nsd test").permutation(len(images))[:chosen]] = True
        return mask
    if data.test == "shared1000":
        return np.isin(images, design.shared)
    others = [Layout(layout.root, subject, layout.space, layout.version) for subject in layout.subjects()]
    present = {other.subject: len(other.sessions()) for other in others if other.betas.is_dir()}
    return np.isin(images, design.seen_by_all(design.sessions_of_all(present)))


@dataclass(frozen=True)
class _Plan:
    """Which trials make each sample: ``trials`` (sample, at most 3), -1 where there are fewer; ``image`` (sample,)."""

    trials: IntArray
    image: IntArray

    @classmethod
    def of(cls, trials: Trials, average: bool) -> _Plan:
        rows = np.arange(len(trials.image))
        if not average:
            return cls(rows[:, np.newaxis], trials.image)
        images, inverse = np.unique(trials.image, return_inverse=True)
        table = np.full((len(images), int(trials.repeat.max()) + 1), -1, dtype=np.int64)
        table[inverse, trials.repeat] = rows
        return cls(table, images)

    def count(self) -> IntArray:
        """Return how many trials make each sample."""
        return np.asarray((self.trials >= 0).sum(axis=1), dtype=np.int64)

    def repeats(self) -> float:
        """Return the number of trials that an average stands for."""
        counts = np.unique(self.count(), return_counts=True)
        return effective_repeats(dict(zip(*(values.tolist() for values in counts), strict=True)))


def _response_reader(responses: Responses, plan: _Plan) -> Reader:
    complete = np.flatnonzero(responses.complete)

    def read(positions: IntArray) -> FloatArray:
        rows = plan.trials[positions]
        total = np.zeros((len(rows), len(complete)))
        for column in rows.T:
            there = column >= 0
            total[there] += responses.values[column[there]][:, complete]
        return np.asarray(total / (rows >= 0).sum(axis=1, keepdims=True), dtype=np.float32)

    return read


def _image_reader(data: NsdData, stimuli: Stimuli, plan: _Plan) -> Reader:
    """Read images (image, channel, row, column) in their smaller size: luminance, or colours from 0 to 1."""
    size = min(data.image_size, *stimuli.shape[1:3])
    rows, columns = (area_weights(n, size) for n in stimuli.shape[1:3])

    def read(positions: IntArray) -> FloatArray:
        result = np.empty((len(positions), 1 if data.channels == "luminance" else 3, size, size), dtype=np.float32)
        for start in range(0, len(positions), _IMAGE_BATCH):
            chunk = stimuli.read(plan.image[positions[start : start + _IMAGE_BATCH]])
            if data.channels == "luminance":
                planes = luminance(chunk, data.transfer, data.log_luminance)[:, np.newaxis]
            else:
                planes = np.moveaxis(chunk / 255.0, 3, 1)
            result[start : start + len(chunk)] = rows @ planes @ columns.T
        return result

    return read


def _statistics_reader(data: NsdData, stimuli: Stimuli, plan: _Plan) -> Reader:
    images, inverse = np.unique(plan.image, return_inverse=True)
    parts = [
        image_statistics(stimuli.read(images[i : i + _IMAGE_BATCH]), data.statistics, data.transfer, data.log_luminance)
        for i in range(0, len(images), _IMAGE_BATCH)
    ]
    values = np.concatenate(parts).astype(np.float32)[inverse]
    return lambda positions: np.asarray(values[positions])


def _atlases(data: NsdData, files: BetaFiles, used: BoolArray) -> dict[str, Variable]:
    """Read ROI sets at the components in use; regions that are not among them are left out."""
    atlases = {}
    for name, roi in data.atlases.items():
        labels = read_roi(files.layout, files.grid, roi)
        if data.divide_hemispheres:
            labels = labels.by_hemisphere(right_hemisphere(files.layout, files.grid))
        inside = labels.labels[used]
        if not inside.any():
            seen = f"no label of {roi} inside the mask"
            raise DataError(explain(f"data.atlases.{name}", seen, "at least one", "name another ROI set or mask"))
        regions = {str(code): {"name": labels.names[int(code)], "color": None} for code in np.unique(inside) if code}
        atlases[f"atlas_{name}"] = Variable(("voxel",), inside, {"regions": regions})
    return atlases


def _background(files: BetaFiles) -> tuple[npt.NDArray[np.float32], list[list[float]]]:
    """Return the anatomy in the space of the responses, and its affine."""
    layout = files.layout
    for path in layout.backgrounds:
        if path.is_file():
            image = load_image(path, 3)
            if tuple(image.shape) == files.grid.shape:
                values = np.nan_to_num(read_volumes(path, image).astype(np.float32))
                return values, np.asarray(image.affine, dtype=float).tolist()
    seen = "neither an anatomy nor a mean image of the shape of the responses"
    raise DataError(explain(layout.volumes, seen, f"T1_to_{layout.space}.nii.gz or mean.nii.gz", "fetch one of them"))


def _geometry(files: BetaFiles, used: BoolArray, of: str = "") -> tuple[dict[str, Variable], dict[str, Any]]:
    """Return where components are; names begin with ``of``, and the axis of the components is that of the index."""
    positions, axis = files.grid.index(used).astype(np.int32), "target" if of else "voxel"
    if files.layout.is_surface:
        variables = {f"{of}vertex_index": Variable((axis, "axis"), positions), **read_meshes(files.layout, files.grid)}
        return variables, {f"{of}hemisphere_vertices": _counts(files)}
    background, affine = _background(files)
    variables = {
        f"{of}voxel_index": Variable((axis, "axis"), positions),
        f"{of}background": Variable(("x", "y", "z"), background),
    }
    return variables, {f"{of}affine": affine, f"{of}volume_shape": list(files.grid.shape)}


def _counts(files: BetaFiles) -> list[int]:
    return [files.grid.n_left, files.grid.shape[0] - files.grid.n_left]


def _target_variables(
    data: NsdData, files: BetaFiles, used: BoolArray, responses: Responses, trials: Trials, plan: _Plan
) -> dict[str, Variable]:
    """Return what belongs to each predicted component: its position, noise ceiling and regions."""
    # with few sessions no image has come back often enough, and the ceiling is unknown
    ncsnr = np.full(np.count_nonzero(used), np.nan)
    if len(repeated_trials(trials.place)):
        ncsnr = signal_to_noise_of(responses, trials.session, trials.place)[responses.complete]
    ceiling = noise_ceiling(ncsnr, plan.repeats())
    variables = {
        "target_ncsnr": Variable(("target",), ncsnr.astype(np.float32), {"ceiling_floor": data.ceiling_floor}),
        "target_ceiling": Variable(("target",), ceiling.astype(np.float32), {"unit": "percent of the variance"}),
    }
    for name, atlas in _atlases(data, files, used).items():
        variables[f"target_{name}"] = Variable(("target",), atlas.values, atlas.attributes)
    return variables | planted_fields(files.layout, files.grid.index(used))


def _trials(data: NsdData, layout: Layout, design: Design, n_sessions: int) -> Trials:
    trials = design.trials(data.subject, n_sessions)
    # the table is not needed, but where it is there it tells files of different subjects apart
    if layout.behaviour.is_file():
        check_behaviour(layout.behaviour, read_behaviour(layout.behaviour), trials)
    return trials


def _cache(data: NsdData, layout: Layout) -> Path | None:
    if data.cache is None:
        return None
    return Path(data.cache) / f"{layout.name}_{layout.space}_{layout.version}_{data.mask}.zarr"


@contextmanager
def open_nsd(data: NsdData, seed: int) -> Iterator[Source]:
    """Open the responses of one subject with the images.

    Parameters
    ----------
    data : NsdData
        The settings.
    seed : int
        Of a random test set.

    Yields
    ------
    Source
        Responses in z-scores (sample, voxel) with statistics of the images (sample, statistic); or images (sample,
        channel, row, column) with responses (sample, voxel), and ``target_ceiling``, the noise ceiling of each. Each
        image is a group. Components without a response in any session are left out, and counted in the origin.

    Raises
    ------
    IgcError
        If a file is missing, or files contradict each other or the settings.
    """
    layout = Layout(Path(data.folder), data.subject, data.space, data.version)
    files, design, stimuli = open_betas(layout), read_design(layout.design), open_stimuli(layout.stimuli)
    n_sessions = min(data.sessions or len(files.sessions), len(files.sessions))
    trials = _trials(data, layout, design, n_sessions)
    mask = np.asarray(read_roi(layout, files.grid, data.mask).labels > 0)
    if not mask.any():
        raise DataError(explain(f"data.mask {data.mask}", "an empty mask", "one component or more", "name another set"))
    images = np.unique(trials.image)
    test = held_out(data, layout, design, images, seed)
    reference = ~np.isin(trials.image, images[test]) if test is not None and data.standardize == "train" else None
    standardize = data.standardize != "none"
    with spooled(files, mask, n_sessions, standardize, reference, _cache(data, layout)) as responses:
        plan = _Plan.of(trials, data.average == "image")
        used = mask.copy()
        used[mask] = responses.complete
        measured, groups = _response_reader(responses, plan), codes_of(plan.image)
        common = {
            "target_type": "values",
            "groups": groups[0],
            "group_names": [f"image {name}" for name in groups[1]],
            "sample_ids": plan.image if data.average == "image" else np.arange(len(plan.image)),
            "origin": _origin(files, n_sessions, mask, used),
            "test": None if test is None else np.isin(plan.image, images[test]),
        }
        if data.predict == "statistics":
            yield _decoding(data, files, used, measured, _statistics_reader(data, stimuli, plan), common)
        else:
            variables = _target_variables(data, files, used, responses, trials, plan)
            common["trials"] = plan.count()
            yield _encoding(files, used, _image_reader(data, stimuli, plan), measured, variables, common)


def _origin(files: BetaFiles, n_sessions: int, mask: BoolArray, used: BoolArray) -> dict[str, Any]:
    return {
        **ORIGIN,
        "files": [str(files.layout.betas)],
        "form": files.form,
        "sessions": n_sessions,
        "components_left_out": int(np.count_nonzero(mask & ~used)),
    }


def _decoding(
    data: NsdData, files: BetaFiles, used: BoolArray, inputs: Reader, responses: Reader, common: dict[str, Any]
) -> Source:
    variables, attributes = _geometry(files, used)
    return Source(
        shape=(int(np.count_nonzero(used)),),
        kind="vector" if files.layout.is_surface else "volume",
        target_names=list(data.statistics),
        read=lambda positions: (inputs(positions), responses(positions)),
        variables={**variables, **_atlases(data, files, used)},
        attributes=attributes,
        **common,
    )


def _encoding(
    files: BetaFiles,
    used: BoolArray,
    inputs: Reader,
    responses: Reader,
    variables: dict[str, Variable],
    common: dict[str, Any],
) -> Source:
    shape = inputs(np.array([0])).shape[1:]
    axes = "hemisphere-vertex" if files.layout.is_surface else "voxel"
    names = [f"{axes} " + "-".join(map(str, row)) for row in files.grid.index(used).tolist()]
    places, attributes = _geometry(files, used, "target_")
    return Source(
        shape=shape,
        kind="image",
        target_names=names,
        read=lambda positions: (inputs(positions), responses(positions)),
        variables=variables | places,
        attributes={"field_of_view": FIELD_OF_VIEW, **attributes},
        **common,
    )
