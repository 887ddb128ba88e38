"""Compute dataset-wise attributions: the one place where streaming meets attribution."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from igc.attribution.embedding import EmbeddedModel, check_embedding, embed
from igc.attribution.gradients import Outputs
from igc.attribution.permuted import NullMap
from igc.attribution.problem import Problem, SampleSource, group_blocks
from igc.attribution.protocols import Method, Options, Outcome
from igc.attribution.registry import find_method
from igc.attribution.scores import Scores
from igc.config import MethodSettings
from igc.errors import MethodError, ShapeError, explain
from igc.roi.sets import RoiSet, open_rois, parse_rois
from igc.steps.assemble import FoldResult, assemble
from igc.steps.examples import Examples, explain_examples
from igc.steps.execution import open_execution
from igc.steps.matching import check_match
from igc.steps.nulls import BLOCK, NullSettings, plan_null
from igc.steps.pooling import Layout, Pool, make_layout, spread
from igc.steps.progress import Reporter
from igc.steps.read_ahead import ReadAhead
from igc.steps.request import remove_request, write_request
from igc.steps.sampling import check_sampler, usable_model, with_sampler
from igc.steps.solving import (
    Run,
    StoredModel,
    check_targets,
    choose_device,
    code_digest,
    digest,
    frozen,
    input_dtype,
    solve,
)
from igc.steps.sources import ArraySource, StoreSource, array_source, labels_of, store_source
from igc.steps.spaces import input_dims, refuse_tokens, spread_labels, with_features
from igc.store.arrays import store_digest
from igc.store.descriptions import read_description
from igc.store.outputs import check_store
from igc.store.results import save_result
from igc.store.samples import open_samples
from igc.streaming import Partials

__all__ = ["attribute", "attribute_files"]


def attribute(
    model: Any,
    samples: Any,
    method: str = "igc",
    baselines: Any = "data",
    points: float | None = None,
    tolerance: float | None = None,
    targets: Sequence[int] | None = None,
    output: str = "raw",
    groups: npt.ArrayLike | None = None,
    rois: Any = None,
    pool: Pool = None,
    embedding: str | Sequence[str | None] | None = None,
    device: str = "auto",
    seed: int = 0,
    client: Any = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Attribute a model's outputs to its inputs over a whole dataset.

    Parameters
    ----------
    model : torch.nn.Module, callable, scikit-learn estimator or path of an ONNX file
        Maps (batch, *input_shape) to (batch, n_targets); several inputs are passed as several arguments. A module is
        used in evaluation mode and left as it was. Functions of arrays, estimators (the logarithm of
        ``predict_proba``, or ``predict``) and ONNX files are for methods that need no gradients.
    samples : (inputs, responses), xarray.Dataset or torch dataset
        Inputs (sample, ...), responses (sample, target) as numpy, torch or Dask arrays; inputs may be a tuple of
        arrays. Of a dataset with a coordinate ``split``, the test samples are taken.
    method : str
        A name from :func:`igc.methods`.
    baselines : str, int or array
        "data" (every other sample), "zero", "mean", a number (so many samples drawn once and shared) or an array of
        one input's shape, or of several on a leading axis.
    points : float, optional
        Gradient points a sample; may be a fraction.
    tolerance : float, optional
        Stop when the estimated relative error of the map is below it. Default of both: stop when the estimator's
        error is a third of the sampling error.
    targets : sequence of int, optional
        Columns of the output and of the responses to explain; default: all.
    output : str
        "raw", "probability" or "log_probability" (softmax over all outputs).
    groups : array (sample,), optional
        The unit of sampling errors (run, session, image); default: every sample for itself.
    rois : array or mapping, optional
        A label array of the input's shape, or set names to label arrays or to mappings of region names to masks.
    pool : int, str or sequence of them, optional
        Sum maps inside the stream over squares of so many rows and columns (images), over "channels", or both; or
        "rois": keep only the sums over regions. Errors are those of the sums.
    embedding : str or sequence of (str or None), optional
        Name of the layer that embeds inputs of whole-number tokens, or one an input: the map is then one of the
        embedding, baselines too ("zero": the zero embedding). ROI sets may have the shape of the tokens.
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda" ...
    seed : int
        Seed of all draws.
    client : distributed.Client, str or int, optional
        Run on its workers; or the address of a running scheduler; or so many worker processes (1: here). Default: here,
        and in as many processes as torch may use threads once what is left would take long. It changes no bit.
    checkpoint : str or Path, optional
        Folder in which finished partial states are kept, so that an interrupted call goes on.
    progress : bool
        Whether to show progress with the time left.
    **options
        ``batch_size``, ``block_size``, ``summary``, and further options of the method. ``permutations`` of the
        responses for a null of the ROI sums of maps that are covariances with them (0: none; "analytic": the closed
        form for single independent samples; default: 199, where whole units can be exchanged), ``exchange`` (a label
        a sample: the units inside groups that are permuted; default: the coordinate ``block``, or the groups),
        ``null_points`` (gradient points a sample spent on it: 1, and up to 16 where samples are few).

    Returns
    -------
    xarray.Dataset
        ``attribution``, ``standard_error`` (of sampling the samples), ``estimator_error`` (of the points left out):
        (target, *input dims), with the suffix ``_<number>`` where there are several inputs; ``score``,
        ``completeness_error`` (gap of the map before closure), ``completeness_standard_error``: (target);
        ``roi_attribution``, ``roi_standard_error``, ``roi_estimator_error``: (target, roi);
        ``roi_without_group``, ``score_without_group``: without each group block in turn; ``roi_null``
        (permutation, target, roi): under permuted responses; ``roi_null_deviation`` (target, roi): the spread over all
        permutations of single samples.

    Raises
    ------
    MethodError, ModelError, DataError, ShapeError
        If the arguments do not fit together; each says in one line what to do.
    """
    started = time.perf_counter()
    entry = find_method(method)
    source, labels, names, dims = array_source(samples, seed)
    model = usable_model(model, entry, source)
    labels = _labels(groups, source, labels)
    chosen = choose_device(device)
    null, extra = NullSettings.split(options)
    if groups is None:
        null = null.by_default(labels_of(samples, BLOCK))
    source, names = _selected(source, names, targets)
    if isinstance(model, torch.nn.Module):
        model.to(chosen)
    called, shown = _in_space(model, source, embedding, chosen)
    sets = parse_rois(spread_labels(rois, source.input_shapes[0], shown.input_shapes[0]), shown.input_shapes[0])
    batch, block = (int(extra.pop(name, default)) for name, default in (("batch_size", 256), ("block_size", 1024)))
    outputs = Outputs(called, output, None if targets is None else tuple(targets))
    blocks = group_blocks(labels, source.n_samples)
    problem = Problem(outputs, shown, blocks, chosen, seed=seed, batch_size=batch, block_size=block)
    chosen_options = Options(baselines, points, tolerance, extra.pop("summary", None), with_features(extra, sets))
    layout = make_layout(shown.input_shapes, input_dims(source, shown, dims), sets, pool)
    problem = replace(problem, dtype=input_dtype(model, problem), pooling=layout.cells)
    with (
        Reporter(progress, method) as reporter,
        open_execution(client, chosen, reporter.say) as execution,
        frozen(model),
    ):
        if isinstance(called, EmbeddedModel):
            check_embedding(problem, called, source)
        n_targets = check_targets(problem)
        key = "" if checkpoint is None else _array_key(model, source, problem, method, chosen_options, embedding)
        run = Run(execution, partial(_partials, checkpoint, key), reporter)
        request = plan_null(null.in_order(source.order), sets, n_targets, source.n_samples, labels, source.order)
        solved = solve(problem, entry, chosen_options, run, n_targets, request)
    attributes = {"method": method, "output": output, "seed": seed, "baselines": _described(baselines)}
    attributes["groups_digest"] = digest(problem.groups[np.argsort(source.order)].tolist())
    dataset = assemble([FoldResult(*solved)] if solved else [], entry, layout, names, sets, attributes)
    dataset.attrs["seconds"] = time.perf_counter() - started
    return dataset


def _labels(
    groups: npt.ArrayLike | None, source: ArraySource, labels: npt.NDArray[Any] | None
) -> npt.NDArray[Any] | None:
    """Return the group of each sample in the order of the source: those given, or those of the samples."""
    if groups is None:
        return labels
    given = np.asarray(groups)
    if given.shape != (source.n_samples,):
        raise ShapeError(explain("groups", given.shape, (source.n_samples,), "give one label a sample"))
    return given[source.order]


def _selected(
    source: ArraySource, names: Sequence[str] | None, targets: Sequence[int] | None
) -> tuple[ArraySource, Sequence[str] | None]:
    """Return the source and the target names of the chosen columns alone."""
    if targets is None:
        return source, names
    chosen = replace(source, responses=source.responses[:, list(targets)])
    return chosen, None if names is None else [names[k] for k in targets]


def _partials(checkpoint: str | Path | None, key: str, label: str) -> Partials | None:
    return None if checkpoint is None else Partials(checkpoint, digest(key, label))


def _in_space(
    model: Any, source: ArraySource, embedding: str | Sequence[str | None] | None, device: torch.device
) -> tuple[Any, SampleSource]:
    """Return model and samples in the space to explain."""
    if embedding is None:
        refuse_tokens(model, source)
        return model, source
    return embed(model, source, embedding, device)


def _described(baselines: Any) -> Any:
    return baselines if isinstance(baselines, (str, int, type(None))) else f"array {np.shape(baselines)}"


def _array_key(
    model: Any,
    source: Any,
    problem: Problem,
    method: str,
    options: Options,
    embedding: str | Sequence[str | None] | None,
) -> str:
    """Digest everything the partial states of an in-memory call depend on."""
    total = hashlib.sha256()
    if isinstance(model, torch.nn.Module):
        for name, value in model.state_dict().items():
            total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for start in range(0, source.n_samples, 1024):
        inputs, responses = source.read(np.arange(start, min(start + 1024, source.n_samples)))
        for array in (*inputs, responses):
            total.update(np.ascontiguousarray(array).tobytes())
    for array in _arrays((options.baselines, *options.extra.values())):  # a long array's text leaves numbers out
        total.update(np.ascontiguousarray(array).tobytes())
    outputs = problem.outputs
    settings = (method, options, embedding, outputs.output, outputs.targets, problem.seed, problem.batch_size)
    space = problem.cells.key
    kind = type(model).__qualname__
    return digest(total.hexdigest(), kind, problem.groups.tobytes().hex(), space, code_digest(), *settings)


def _arrays(values: Sequence[Any]) -> Iterator[npt.NDArray[Any]]:
    """Find the arrays among options, in tuples and lists too."""
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _arrays(value)
        elif callable(getattr(value, "tensors", None)):  # a sampler
            yield from _arrays(list(value.tensors().values()))
        elif isinstance(value, (np.ndarray, torch.Tensor)):
            yield np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)


def attribute_files(
    samples: Path,
    model: Path,
    settings: MethodSettings,
    rois: Path | None,
    output: Path,
    seed: int = 0,
    device: str = "auto",
    checkpoint: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
    share: tuple[int, int] | None = None,
    others: Sequence[Path] = (),
    scheduler: str | None = None,
) -> None:
    """Attribute a stored model over the held-out samples of a store, fold by fold.

    Parameters
    ----------
    samples, model : Path
        The samples store and the model folder.
    settings : MethodSettings
        Method and options.
    rois : Path, optional
        ROI sets to sum over inside the stream.
    output : Path
        The result store to write.
    seed : int
        Seed of all draws.
    device : str
        As in :func:`attribute`.
    checkpoint : Path, optional
        Folder for partial states; emptied when the result is written.
    workers : int, optional
        Worker processes on this machine; 1 computes here. Default: here, and in as many processes as torch may use
        threads once what is left would take long. It changes no bit.
    progress : bool
        Whether to show progress.
    share : (int, int), optional
        Compute only the first of so many shares of the work (numbered from 1), and keep it in ``checkpoint``;
        :func:`igc.steps.merge.merge` makes the result of all of them.
    others : sequence of Path
        Checkpoint folders of other shares.
    scheduler : str, optional
        Address of a running Dask scheduler, in place of ``workers``.
    """
    started = time.perf_counter()
    entry = find_method(settings.method or "igc")
    if share is not None and (checkpoint is None or not 1 <= share[0] <= share[1]):
        raise MethodError(explain("share", share, "1/n to n/n, with a checkpoint folder", "correct the share"))
    check_store(output, samples, model, rois)
    dataset, description = open_samples(samples), read_description(model)
    sets: Mapping[str, RoiSet] = open_rois(rois) if rois is not None else {}
    chosen = choose_device(device)
    digests = {"samples_digest": store_digest(samples), "model_digest": _file_digest(model / "model.safetensors")}
    check_match(model, samples, dataset, digests["samples_digest"], settings.output)
    digests |= check_sampler(settings, samples, digests["samples_digest"])
    dims = tuple(str(dim) for dim in dataset["inputs"].dims[1:])
    layout = make_layout((dataset["inputs"].shape[1:],), (dims,), sets, settings.pool)
    key = digest(*digests.values(), settings.model_dump_json(), seed, layout.cells.key, code_digest())
    solved, blocks = [], []
    examples, maps = Examples.of(dataset, settings.examples).fewer(settings.samples), []
    kept: list[Partials] = []
    with (
        Reporter(progress, f"{model.name} {entry.name}") as reporter,
        open_execution(scheduler or workers, chosen, reporter.say) as execution,
    ):
        for fold in range(int(description["folds"])):
            states = partial(_kept_partials, checkpoint, others, kept, key, fold, str(output.resolve()))
            source = store_source(samples, fold, settings.samples)
            problem = _stored_problem(source, dataset, model, fold, settings, seed, chosen, layout)
            run = Run(execution, states, reporter, share)
            here = with_sampler(settings, samples, fold)
            solved.append(_solve_fold(problem, dataset, source.rows, here, sets, run))
            blocks.append(problem.groups)
            part = solved[-1]
            maps.append(None if part is None else explain_examples(examples, problem, part[0], here, sets, fold))
            del part
    if share is not None and checkpoint is not None:
        write_request(checkpoint, samples, model, settings, rois, seed)
        return
    attributes = {**digests, **_provenance(dataset, model, description, settings, seed)}
    attributes["groups_digest"] = digest(*(block.tolist() for block in blocks))
    result = _assembled(solved, entry, dataset, layout, sets, attributes)
    result = examples.label(spread(result, layout, dataset["inputs"].shape[1:], dims), maps)
    result.attrs["seconds"] = time.perf_counter() - started
    _save(result, output, kept)
    if checkpoint is not None and not others:
        remove_request(checkpoint)


def _assembled(
    solved: list[tuple[Scores, Outcome, NullMap | None] | None],
    entry: Method,
    dataset: xr.Dataset,
    layout: Layout,
    sets: Mapping[str, RoiSet],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Make a result of its folds, and let go of them: they are as large as it, and it is yet to be written."""
    folds = [FoldResult(*parts) for parts in solved if parts is not None]
    solved.clear()
    return assemble(folds, entry, layout, dataset["target"].values.astype(str).tolist(), sets, attributes)


def _save(result: xr.Dataset, output: Path, kept: Sequence[Partials]) -> None:
    """Write a result, and remove the states that it was made of."""
    if kept:
        result.attrs["work_seconds"] = sum(states.seconds() for states in {one.key: one for one in kept}.values())
    save_result(result, output)
    for states in kept:
        states.clear()


def _provenance(
    dataset: xr.Dataset, model: Path, description: Mapping[str, Any], settings: MethodSettings, seed: int
) -> dict[str, Any]:
    """Return what a result says of where it comes from."""
    return {
        **{name: dataset.attrs.get(name, "") for name in ("study", "target_type")},
        "model": model.name,
        "model_kind": description.get("kind", ""),
        "method": find_method(settings.method or "igc").name,
        "output": settings.output,
        "seed": seed,
        "baselines": _described(settings.baselines),
        "settings": settings.model_dump(mode="json"),
    }


def _kept_partials(
    checkpoint: Path | None, others: Sequence[Path], kept: list[Partials], key: str, fold: int, owner: str, label: str
) -> Partials | None:
    """Return where a fold keeps the states of some work, and remember it for the end."""
    if checkpoint is None:
        return None
    kept.append(Partials(checkpoint, digest(key, fold, label), others, owner))
    return kept[-1]


def _solve_fold(
    problem: Problem,
    dataset: xr.Dataset,
    rows: npt.NDArray[np.int64],
    settings: MethodSettings,
    sets: Mapping[str, RoiSet],
    run: Run,
) -> tuple[Scores, Outcome, NullMap | None] | None:
    """Attribute one fold, with the null of its ROI sums where there is one."""
    entry = find_method(settings.method or "igc")
    null, extra = NullSettings.split(settings.options)
    extra = with_features(extra, sets)
    options = Options(settings.baselines, settings.points, settings.tolerance, settings.summary, extra)
    labels, order = dataset["group"].values[rows], dataset["sample_id"].values[rows]
    n_targets, asked = check_targets(problem), null.of_store(dataset, rows)
    request = plan_null(asked, sets, n_targets, problem.n_samples, labels, order)
    return solve(problem, entry, options, run, n_targets, request)


def _stored_problem(
    source: StoreSource,
    dataset: xr.Dataset,
    model: Path,
    fold: int,
    settings: MethodSettings,
    seed: int,
    device: torch.device,
    layout: Layout,
) -> Problem:
    stored = StoredModel(str(model), fold, str(device))
    groups = group_blocks(dataset["group"].values[source.rows], source.n_samples)
    samples = source if source.held else ReadAhead(source)
    problem = Problem(
        Outputs(stored, settings.output), samples, groups, device, seed=seed, batch_size=settings.batch_size
    )
    return replace(problem, dtype=input_dtype(stored.module, problem), pooling=layout.cells)


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
