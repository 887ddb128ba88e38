"""Compute dataset-wise attributions: the one place where streaming meets attribution."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr

from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks, score_unit
from igc.attribution.protocols import Method, Options, Outcome
from igc.attribution.registry import build, find_method
from igc.attribution.scores import Scores
from igc.config import MethodSettings
from igc.errors import MethodError, ShapeError, explain
from igc.models import load_model
from igc.roi.sets import RoiSet, open_rois, parse_rois
from igc.stats.moments import Moments
from igc.steps.assemble import FoldResult, assemble
from igc.steps.progress import Reporter
from igc.steps.sources import array_source, store_source
from igc.store.arrays import store_digest
from igc.store.results import save_result
from igc.store.samples import component_dims, open_samples
from igc.store.weights import read_description
from igc.streaming import Execution, Partials, reduce_units

__all__ = ["attribute", "attribute_files"]

RESOLVED_BYTES = 256 << 20
"""Sums by group are kept for every component where they fit into so many bytes."""


@lru_cache(maxsize=8)
def _loaded(path: str, fold: int, device: str) -> Any:
    return load_model(path, fold=fold, device=device)


@dataclass(frozen=True)
class StoredModel:
    """A model named by its files: every worker process loads it once."""

    path: str
    fold: int
    device: str

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Run the model."""
        return _loaded(self.path, self.fold, self.device)(*inputs)


def choose_device(device: str) -> torch.device:
    """Return the device of a name; "auto" takes a GPU where there is one.

    Raises
    ------
    MethodError
        If there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise MethodError(explain("device", repr(device), "auto, cpu, cuda, cuda:0 ...", "choose another")) from error
    return chosen


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Put a module into evaluation mode without parameter gradients, and restore it afterwards."""
    if not isinstance(model, torch.nn.Module):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval().requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag in flags:
            parameter.requires_grad_(flag)


def _dtype(model: Any, problem: Problem) -> torch.dtype:
    """Return the precision of the model, or of the inputs where it has no parameters."""
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype
    first = problem.source.read(np.arange(1))[0][0]
    return torch.float64 if first.dtype == np.float64 else torch.float32


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


@dataclass(frozen=True)
class _Run:
    """How one attribution is run: where, resumed from where, reported how."""

    execution: Execution
    partials: Callable[[str], Partials | None]
    reporter: Reporter

    def reduce(self, n_units: int, unit: Callable[[int], Any], kind: type[Any], label: str) -> Any:
        per_task = max(1, n_units // (8 * max(self.execution.workers, 1)))
        with self.reporter.task(label, n_units) as advance:
            return reduce_units(
                n_units,
                unit,
                kind,
                execution=self.execution,
                partials=self.partials(label),
                units_per_task=per_task,
                advance=advance,
            )


def _solve(problem: Problem, method: Method, options: Options, run: _Run, n_targets: int) -> tuple[Scores, Outcome]:
    """Score the samples, then add work until the method has enough."""
    n_groups = int(problem.groups.max()) + 1
    size = n_groups * n_targets * problem.n_components * 8
    resolved = n_groups > 1 and size <= RESOLVED_BYTES
    n_blocks = len(problem.block_bounds())
    moments = run.reduce(n_blocks, partial(score_unit, problem, resolved), Moments, "scores")
    scores = Scores(moments)
    attribution = build(method.name, problem, scores, options)
    state: Any = None
    while (work := attribution.plan(state)) is not None:
        added = run.reduce(work.n_units, work.unit, work.kind, work.label)
        state = added if state is None else state.merge(added)
        run.reporter.precision(attribution.precision(state))
    return scores, attribution.finish(state)


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
    pool: int | None = None,
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
    model : torch.nn.Module or callable
        Maps (batch, *input_shape) to (batch, n_targets); several inputs are passed as several arguments. It is used
        in evaluation mode and left as it was.
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
    pool : int, optional
        Sum the map over squares of so many rows and columns (images).
    device : str
        "auto" (a GPU where there is one), "cpu", "cuda" ...
    seed : int
        Seed of all draws.
    client : distributed.Client, optional
        Run on its workers; default: here.
    checkpoint : str or Path, optional
        Folder in which finished partial states are kept, so that an interrupted call goes on.
    progress : bool
        Whether to show progress with the time left.
    **options
        ``batch_size``, ``block_size``, ``summary``, and further options of the method.

    Returns
    -------
    xarray.Dataset
        ``attribution``, ``standard_error`` (of sampling the samples), ``estimator_error`` (of the points left out):
        (target, *input dims), with the suffix ``_<number>`` where there are several inputs; ``score``,
        ``completeness_error`` (gap of the map before closure), ``completeness_standard_error``: (target);
        ``roi_attribution``, ``roi_standard_error``, ``roi_estimator_error``: (target, roi).

    Raises
    ------
    MethodError, ModelError, DataError, ShapeError
        If the arguments do not fit together; each says in one line what to do.
    """
    started = time.perf_counter()
    entry = find_method(method)
    source, labels, names, dims = array_source(samples, seed)
    if groups is not None:
        given = np.asarray(groups)
        if given.shape != (source.n_samples,):
            raise ShapeError(explain("groups", given.shape, (source.n_samples,), "give one label a sample"))
        labels = given[source.order]
    chosen = choose_device(device)
    extra = dict(options)
    problem = Problem(
        Outputs(model, output, None if targets is None else tuple(targets)),
        source,
        group_blocks(labels, source.n_samples),
        chosen,
        seed=seed,
        batch_size=int(extra.pop("batch_size", 256)),
        block_size=int(extra.pop("block_size", 1024)),
    )
    summary = extra.pop("summary", None)
    method_options = Options(baselines, points, tolerance, summary, extra)
    if targets is not None:
        source = replace(source, responses=source.responses[:, list(targets)])
        names = None if names is None else [names[k] for k in targets]
        problem = replace(problem, source=source)
    if isinstance(model, torch.nn.Module):
        model.to(chosen)
    problem = replace(problem, dtype=_dtype(model, problem))
    with _frozen(model), Reporter(progress, method) as reporter:
        n_targets = _check_targets(problem)
        key = "" if checkpoint is None else _array_key(model, source, problem, method, method_options)
        execution = Execution("cluster", _n_workers(client), client) if client is not None else Execution()
        run = _Run(execution, lambda label: None if checkpoint is None else Partials(checkpoint, _digest(key, label)), reporter)
        scores, outcome = _solve(problem, entry, method_options, run, n_targets)
    component = tuple(dims or component_dims(len(source.input_shapes[0])))
    result = FoldResult(scores, outcome)
    attributes = {"method": method, "output": output, "seed": seed, "baselines": _described(baselines)}
    dataset = assemble(
        [result], entry, source.input_shapes, component, names, parse_rois(rois, source.input_shapes[0]), attributes, pool
    )
    dataset.attrs["seconds"] = time.perf_counter() - started
    return dataset


def _described(baselines: Any) -> Any:
    return baselines if isinstance(baselines, (str, int, type(None))) else f"array {np.shape(baselines)}"


def _n_workers(client: Any) -> int:
    return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


def _array_key(model: Any, source: Any, problem: Problem, method: str, options: Options) -> str:
    """Digest everything the partial states of an in-memory call depend on."""
    total = hashlib.sha256()
    if isinstance(model, torch.nn.Module):
        for name, value in model.state_dict().items():
            total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    for start in range(0, source.n_samples, 1024):
        inputs, responses = source.read(np.arange(start, min(start + 1024, source.n_samples)))
        for array in (*inputs, responses):
            total.update(np.ascontiguousarray(array).tobytes())
    settings = (method, options, problem.outputs.output, problem.outputs.targets, problem.seed, problem.batch_size)
    return _digest(total.hexdigest(), type(model).__qualname__, problem.groups.tobytes().hex(), *settings)


def _check_targets(problem: Problem) -> int:
    """Return the number of targets, after one sample went through the model."""
    inputs, responses = problem.load(np.arange(1))
    n_outputs = problem.predict(inputs).shape[1]
    if n_outputs != responses.shape[1]:
        seen = f"{n_outputs} outputs and {responses.shape[1]} responses"
        raise ShapeError(explain("targets", seen, "as many outputs as responses", "choose targets, or fix the model"))
    return n_outputs


def attribute_files(
    samples: Path,
    model: Path,
    settings: MethodSettings,
    rois: Path | None,
    output: Path,
    seed: int = 0,
    device: str = "auto",
    checkpoint: Path | None = None,
    workers: int = 1,
    progress: bool = True,
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
    workers : int
        Worker processes on this machine; 1 computes here, with all threads.
    progress : bool
        Whether to show progress.
    """
    started = time.perf_counter()
    entry = find_method(settings.method or "igc")
    dataset, description = open_samples(samples), read_description(model)
    sets: Mapping[str, RoiSet] = open_rois(rois) if rois is not None else {}
    chosen = choose_device(device)
    digests = {"samples_digest": store_digest(samples), "model_digest": _file_digest(model / "model.safetensors")}
    key = _digest(*digests.values(), settings.model_dump_json(), seed)
    results, kept = [], []
    with _cluster(workers) as execution, Reporter(progress, f"{model.name} {entry.name}") as reporter:
        for fold in range(int(description["folds"])):

            def partials(label: str, fold: int = fold) -> Partials | None:
                if checkpoint is None:
                    return None
                kept.append(Partials(checkpoint, _digest(key, fold, label)))
                return kept[-1]

            problem = _stored_problem(samples, dataset, model, fold, settings, seed, chosen)
            run = _Run(execution, partials, reporter)
            options = Options(
                settings.baselines, settings.points, settings.tolerance, settings.summary, settings.options
            )
            n_targets = _check_targets(problem)
            results.append(FoldResult(*_solve(problem, entry, options, run, n_targets)))
    attributes = {
        **digests,
        "method": entry.name,
        "output": settings.output,
        "seed": seed,
        "baselines": _described(settings.baselines),
        "model": model.name,
        "study": dataset.attrs.get("study", ""),
        "target_type": dataset.attrs.get("target_type", "values"),
    }
    shape = dataset["inputs"].shape[1:]
    dims = tuple(str(dim) for dim in dataset["inputs"].dims[1:])
    names = [str(name) for name in dataset["target"].values]
    result = assemble(results, entry, (shape,), dims, names, sets, attributes, None)
    result.attrs["seconds"] = time.perf_counter() - started
    save_result(result, output)
    for partial_states in kept:
        partial_states.clear()


def _stored_problem(
    samples: Path, dataset: xr.Dataset, model: Path, fold: int, settings: MethodSettings, seed: int, device: torch.device
) -> Problem:
    source = store_source(samples, fold)
    stored = StoredModel(str(model), fold, str(device))
    groups = group_blocks(dataset["group"].values[source.rows], source.n_samples)
    problem = Problem(
        Outputs(stored, settings.output), source, groups, device, seed=seed, batch_size=settings.batch_size
    )
    return replace(problem, dtype=_dtype(_loaded(stored.path, fold, stored.device), problem))


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@contextmanager
def _cluster(workers: int) -> Iterator[Execution]:
    """Start worker processes of one thread each, where more than one is asked for."""
    if workers <= 1:
        yield Execution()
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(torch.set_num_threads, 1)
        yield Execution("cluster", workers, client)
