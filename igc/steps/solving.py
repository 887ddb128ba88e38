"""Run one attribution: score the samples, then add units of work until the method has enough."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from igc.attribution.permuted import NullMap, NullRequest
from igc.attribution.problem import Problem
from igc.attribution.protocols import Choosing, DatasetAttribution, Method, Options, Outcome, Work
from igc.attribution.registry import build
from igc.attribution.scores import Scores, score_unit
from igc.errors import MethodError, ShapeError, explain
from igc.steps.batch_size import search_batch_size
from igc.steps.blocks import join_blocks, of_targets, target_blocks, without_maps
from igc.steps.nulls import region_test
from igc.steps.precision import allows_tf32, products_in_float32
from igc.steps.progress import Reporter
from igc.steps.sources import last_written
from igc.streaming import Execution, Partials, compute_share, reduce_units

__all__ = [
    "Run",
    "StoredModel",
    "check_targets",
    "choose_device",
    "code_digest",
    "digest",
    "frozen",
    "input_dtype",
    "solve",
]

logger = logging.getLogger(__name__)

RESOLVED_BYTES = 256 << 20
"""Sums by group are kept for every component where they fit into so many bytes."""


@lru_cache(maxsize=8)
def _loaded(path: str, fold: int, device: str, written: int) -> torch.nn.Module:
    from igc.models.files import (  # a notebook that brings its own model does not wait for ours
        describe_model,
        load_model,
    )

    module = load_model(path, fold=fold, device=device)
    # nearly constant predictions of a linear model would drown in float32; in float64 it still costs next to nothing
    return module.double() if describe_model(path)["kind"] == "linear" else module


@dataclass(frozen=True)
class StoredModel:
    """A model named by its files: every worker process loads it once."""

    path: str
    fold: int
    device: str

    @property
    def module(self) -> torch.nn.Module:
        """The module itself, loaded when it is first needed."""
        # a model that was trained again into the same folder is another model
        return _loaded(self.path, self.fold, self.device, last_written(Path(self.path) / "model.json"))

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """Run the model."""
        return self.module(*inputs)


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
def frozen(model: Any) -> Iterator[None]:
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


def input_dtype(model: Any, problem: Problem) -> torch.dtype:
    """Return the precision of the model, or of the inputs where it has no parameters."""
    if isinstance(model, torch.nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                return tensor.dtype
    first = problem.source.read(np.arange(1))[0][0]
    return torch.float64 if first.dtype == np.float64 else torch.float32


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the SHA-256 of the source of this package: states made by other code are not taken up again."""
    total = hashlib.sha256()
    package = Path(__file__).parent.parent
    for file in sorted(package.rglob("*.py")):
        total.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return total.hexdigest()


def digest(*parts: object) -> str:
    """Return the SHA-256 of some values, by their text."""
    return hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()


@dataclass(frozen=True)
class Run:
    """How one attribution is run: where, resumed from where, reported how."""

    execution: Execution
    partials: Callable[[str], Partials | None]
    reporter: Reporter
    share: tuple[int, int] | None = None
    batch_size: int = 0

    def _partials(self, label: str) -> Partials | None:
        """Return where states are kept: those of another batch size are not taken."""
        return self.partials(f"{label} by {self.batch_size}")

    def keep(self, work: Work) -> None:
        """Compute this run's share of a piece of work and keep the states."""
        partials = self._partials(work.label)
        if self.share is None or partials is None:
            message = explain("share", self.share, "a share with a checkpoint folder", "give --checkpoint")
            raise MethodError(message)
        with self.reporter.task(work.label, work.n_units // self.share[1]) as advance:
            compute_share(
                work.n_units,
                work.unit,
                work.kind,
                self.share,
                partials,
                execution=self.execution,
                units_per_task=_per_task(work.n_units),
                advance=advance,
            )

    def reduce(self, n_units: int, unit: Callable[[int], Any], kind: type[Any], label: str) -> Any:
        """Compute and merge all units of a piece of work."""
        with self.reporter.task(label, n_units) as advance:
            return reduce_units(
                n_units,
                unit,
                kind,
                execution=self.execution,
                partials=self._partials(label),
                units_per_task=_per_task(n_units),
                advance=advance,
            )


def _per_task(n_units: int) -> int:
    """Return the units of a task: few enough to lose little at an interruption, enough for many workers."""
    return max(1, n_units // 64)


def solve(
    problem: Problem, method: Method, options: Options, run: Run, n_targets: int, request: NullRequest | None = None
) -> tuple[Scores, Outcome, NullMap | None] | None:
    """Score the samples, then add work until the method has enough; None if only a share was computed.

    On a GPU the batch is first made larger while that gains speed. Where it does not fit into the memory of the device,
    everything starts again with half of it. The size is kept with the partial states, since in float32 the bits of a
    result depend on it.
    """
    kept = run.partials("batch size")
    size = _batch_size(problem, method, kept)
    while True:
        try:
            with products_in_float32(_rounds(problem, run)):
                return _solve_blocks(replace(problem, batch_size=size), method, options, run, n_targets, request)
        except torch.OutOfMemoryError as error:
            if size == 1:
                allowed = "a sample that fits into the memory of the device"
                raise MethodError(explain("batch_size", "no room even for 1", allowed, "use another device")) from error
            size //= 2
            logger.warning("out of memory on %s: going on with a batch size of %d", problem.device, size)
            if kept is not None:
                kept.save("size", {"size": np.array([size])})


def _batch_size(problem: Problem, method: Method, kept: Partials | None) -> int:
    """Return the batch size that this work was begun with, by whatever share; else the one to begin with."""
    stored = None if kept is None else kept.load("size")
    if stored is not None:
        return int(stored["size"][0])
    found = search_batch_size(problem) if method.needs == "gradient" else None
    if found is None or kept is None:
        return problem.batch_size if found is None else found
    return int(kept.agree("size", {"size": np.array([found])})["size"][0])


def _rounds(problem: Problem, run: Run) -> bool:
    """Say whether products may be rounded, as they were when this run began: the bits of a result depend on it."""
    if problem.device.type != "cuda":
        return False
    partials = run.partials("precision")
    if partials is None:
        return allows_tf32(problem)
    kept = partials.load("precision")
    if kept is None:
        kept = partials.agree("precision", {"tf32": np.array([allows_tf32(problem)])})
    return bool(kept["tf32"][0])


def _solve_blocks(
    problem: Problem, method: Method, options: Options, run: Run, n_targets: int, request: NullRequest | None
) -> tuple[Scores, Outcome, NullMap | None] | None:
    """Solve one block of targets after the other, where they do not fit into memory together."""
    run = replace(run, batch_size=problem.batch_size)
    blocks = target_blocks(problem, n_targets)
    if len(blocks) == 1:
        return _solve(problem, method, options, run, n_targets, request)
    parts = []
    for block in blocks:
        named = replace(run, partials=partial(_of_block, run.partials, block))
        part = _solve(of_targets(problem, block, n_targets), method, options, named, n_targets, request)
        if part is not None:
            parts.append((without_maps(part[0]), *part[1:]))
        del part
    return join_blocks(parts) if parts else None


def _of_block(partials: Callable[[str], Partials | None], block: slice, label: str) -> Partials | None:
    return partials(f"{label} of targets {block.start} to {block.stop}")


def _solve(
    problem: Problem, method: Method, options: Options, run: Run, n_targets: int, request: NullRequest | None
) -> tuple[Scores, Outcome, NullMap | None] | None:
    size = 16 * n_targets * problem.n_components
    maps = not problem.cells.pooled or size <= RESOLVED_BYTES
    resolved = maps and size * (int(problem.groups.max()) + 1) <= RESOLVED_BYTES
    score = partial(score_unit, problem, maps, resolved)
    scores = run.reduce(len(problem.block_bounds()), score, Scores, "scores")
    attribution = _chosen(build(method.name, problem, scores, options), run)
    test = None if request is None else region_test(request, attribution, method.name)
    if test is not None and test.attribution is not None:
        attribution = test.attribution
    extra = None if test is None else test.work()
    state: Any = None
    while (work := attribution.plan(state)) is not None:
        if run.share is not None:
            run.keep(work)
            if extra is not None:
                run.keep(extra)
            return None
        added = run.reduce(work.n_units, work.unit, work.kind, work.label)
        state = added if state is None else state.merge(added)
        run.reporter.precision(attribution.precision(state))
    if test is None:
        return scores, attribution.finish(state), None
    added = None if extra is None else run.reduce(extra.n_units, extra.unit, extra.kind, extra.label)
    return scores, attribution.finish(state), test.finish(state, added)


def _chosen(attribution: DatasetAttribution, run: Run) -> DatasetAttribution:
    """Let a method choose its cheaper side, and keep the choice with the partial states."""
    if not isinstance(attribution, Choosing):
        return attribution
    partials = run._partials("side")
    kept = None if partials is None else partials.load("side")
    chosen = attribution.choose(None if kept is None else bytes(kept["side"]).decode())
    if partials is not None and kept is None:
        # shares of one attribution measure at the same time, and may find different sides the cheaper ones
        agreed = partials.agree("side", {"side": np.frombuffer(chosen.side.encode(), dtype=np.uint8)})
        chosen = attribution.choose(bytes(agreed["side"]).decode())
    return cast("DatasetAttribution", chosen)


def check_targets(problem: Problem) -> int:
    """Return the number of targets, after one sample went through the model."""
    inputs, responses = problem.load(np.arange(1))
    n_outputs = problem.predict(inputs).shape[1]
    if n_outputs != responses.shape[1]:
        seen = f"{n_outputs} outputs and {responses.shape[1]} responses"
        raise ShapeError(explain("targets", seen, "as many outputs as responses", "choose targets, or fix the model"))
    return int(n_outputs)
