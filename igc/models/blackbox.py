"""Models that are no torch modules: functions of arrays, scikit-learn estimators and ONNX files, called with tensors.

They have no gradients, so that only methods that need none can explain them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from igc.errors import MissingFileError, ModelError, explain

__all__ = ["ArrayModel", "BlackBox", "EstimatorModel", "OnnxModel", "as_model"]

SMALLEST = 1e-13
"""Probabilities below it are taken to be it, so that they have a logarithm."""


class BlackBox:
    """A model without gradients: (batch, ...) tensors to (batch, target)."""

    def predict(self, *inputs: npt.NDArray[Any]) -> npt.ArrayLike:
        """Return the outputs for arrays, (batch, target)."""
        raise NotImplementedError

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the outputs for tensors, on their device."""
        outputs = np.asarray(self.predict(*(x.detach().cpu().numpy() for x in inputs)))
        if outputs.dtype.kind not in "fiub":
            allowed = "numbers, or an estimator with predict_proba"
            raise ModelError(
                explain("the model's output", f"values of type {outputs.dtype}", allowed, "wrap the model")
            )
        kept = outputs if outputs.dtype.kind == "f" else outputs.astype(np.float64)
        return torch.as_tensor(np.ascontiguousarray(kept)).to(inputs[0].device)


@dataclass(frozen=True)
class ArrayModel(BlackBox):
    """A function of arrays.

    Attributes
    ----------
    function : callable
        (batch, ...) arrays, one an input, to an array (batch, target) or (batch,).
    """

    function: Callable[..., Any]

    def predict(self, *inputs: npt.NDArray[Any]) -> npt.ArrayLike:
        """Call the function."""
        found: npt.ArrayLike = self.function(*inputs)
        return found


@dataclass(frozen=True)
class EstimatorModel(BlackBox):
    """A fitted scikit-learn estimator; inputs are flattened to (batch, feature).

    Attributes
    ----------
    estimator : object
        With ``predict_proba``, whose logarithms are the raw outputs, in the order of ``classes_``; or ``predict``.
    """

    estimator: Any

    def predict(self, *inputs: npt.NDArray[Any]) -> npt.ArrayLike:
        """Return log-probabilities, or predicted values."""
        flat = np.concatenate([x.reshape(len(x), -1) for x in inputs], axis=1)
        if hasattr(self.estimator, "predict_proba"):
            return np.log(np.maximum(np.asarray(self.estimator.predict_proba(flat), dtype=np.float64), SMALLEST))
        found: npt.ArrayLike = self.estimator.predict(flat)
        return found


@lru_cache(maxsize=4)
def _session(path: str) -> Any:
    if not Path(path).is_file():
        raise MissingFileError(explain(path, "no such file", "an ONNX model", "check the path"))
    try:
        runtime = import_module("onnxruntime")
    except ModuleNotFoundError as error:
        remedy = "install it: pip install onnxruntime"
        raise ModelError(explain(path, "no onnxruntime", "the package that runs ONNX models", remedy)) from error
    try:
        return runtime.InferenceSession(path, providers=runtime.get_available_providers())
    except Exception as error:  # what the runtime raises for a damaged file has no common base
        reason = str(error).splitlines()[0]
        raise ModelError(
            explain(path, f"an unreadable model ({reason})", "an ONNX model", "export it again")
        ) from error


@dataclass(frozen=True)
class OnnxModel(BlackBox):
    """An ONNX file; every process opens it once.

    Attributes
    ----------
    path : str
        The file. Its inputs are taken in order, in the type that it wants.
    output : str, optional
        Name of the output; default: the first.
    """

    path: str
    output: str | None = None

    def predict(self, *inputs: npt.NDArray[Any]) -> npt.ArrayLike:
        """Run the model."""
        session = _session(self.path)
        wanted = session.get_inputs()
        if len(wanted) != len(inputs):
            seen, allowed = f"{len(inputs)} inputs", f"{len(wanted)}, as the model has"
            raise ModelError(explain(self.path, seen, allowed, "pass a tuple of inputs"))
        known = [output.name for output in session.get_outputs()]
        if self.output is not None and self.output not in known:
            raise ModelError(explain(self.path, f"output {self.output!r}", ", ".join(known), "name one of them"))
        types = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(float16)": np.float16}
        given = {one.name: x.astype(types.get(one.type, x.dtype)) for one, x in zip(wanted, inputs, strict=True)}
        found: npt.ArrayLike = session.run([self.output or known[0]], given)[0]
        return found


def as_model(model: Any, first: Sequence[npt.NDArray[Any]]) -> Any:
    """Return a model that can be called with tensors.

    Parameters
    ----------
    model : torch.nn.Module, callable, scikit-learn estimator, or path of an ONNX file
        What a user brings.
    first : sequence of array (sample, ...)
        A sample of each input, by which a function of arrays is told from one of tensors.

    Returns
    -------
    callable
        The model itself where it takes tensors and gives them, else a :class:`BlackBox`.

    Raises
    ------
    ModelError
        If it is none of these.
    """
    if isinstance(model, (nn.Module, BlackBox)):
        return model
    if isinstance(model, (str, Path)):
        return OnnxModel(str(model))
    if hasattr(model, "predict_proba") or hasattr(model, "predict"):
        return EstimatorModel(model)
    if not callable(model):
        allowed = "a torch module, a function, a fitted estimator or an ONNX file"
        raise ModelError(explain("model", type(model).__name__, allowed, "pass one of them"))
    if _gives(model, [torch.as_tensor(np.asarray(x)) for x in first], Tensor):
        return model
    # a function that fails on either is left as it is, so that its own error is seen
    return ArrayModel(model) if _gives(model, list(first), object) else model


def _gives(model: Callable[..., Any], inputs: list[Any], kind: type[Any]) -> bool:
    """Return whether a function gives something of a kind for some inputs."""
    try:
        with torch.no_grad():
            return isinstance(model(*inputs), kind)
    except Exception:  # what a function raises for the wrong kind of input has no common base
        return False
