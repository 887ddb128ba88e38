"""Model files from somewhere else: whatever they claim, they are refused in one line, and soon."""

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from igc.errors import MissingFileError, ModelError
from igc.models.files import load_model, save_model
from igc.models.registry import build_architecture

DESCRIPTION: dict[str, Any] = {
    "architecture": "residual_mlp",
    "arguments": {"width": 4},
    "input_shape": [6],
    "n_targets": 2,
    "target_names": ["a", "b"],
    "target_type": "values",
    "folds": 1,
    "seed": 0,
    "kind": "network",
    "samples": "0" * 64,
    "residual_variance": [[1.0, 1.0]],
    "training": [{}],
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(tmp_path, [build_architecture("residual_mlp", [6], 2, {"width": 4})], DESCRIPTION)
    return tmp_path


def header(text: str | bytes, length: int | None = None, data: bytes = b"") -> bytes:
    """Return a safetensors file with any header."""
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def tensor(shape: list[int], offsets: list[int], dtype: str = "F32") -> str:
    return json.dumps({"fold0.x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}})


LIES = {
    "a header longer than the file": header("{}", length=10**6),
    "a header of exabytes": header("{}", length=2**63),
    "no header": b"",
    "half a length": b"\x00\x00",
    "a header that is no JSON": header("{" * 50),
    "a header in binary": header(b"\xff\xfe\x00" * 9),
    "a header that nests without end": header('{"a":' * 100_000),
    "data beyond the file": header(tensor([4], [0, 16])),
    "data before the file": header(tensor([4], [-16, 0])),
    "more numbers than bytes": header(tensor([10**9], [0, 16]), data=b"0" * 16),
    "a shape that overflows": header(tensor([2**62, 2**62], [0, 16]), data=b"0" * 16),
    "a negative shape": header(tensor([-4], [0, 16]), data=b"0" * 16),
    "an unknown type": header(tensor([4], [0, 16], "pickle"), data=b"0" * 16),
    "bytes that no tensor names": header(tensor([4], [0, 16]), data=b"0" * 64),
    "a pickle": pickle.dumps({"fold0.x": [1.0, 2.0]}),
}


@pytest.mark.parametrize("name", LIES)
def test_weights_whose_header_lies_are_refused(name: str, model: Path) -> None:
    (model / "model.safetensors").write_bytes(LIES[name])
    with pytest.raises(ModelError) as caught:
        load_model(model)
    assert "\n" not in str(caught.value)
    assert "train the model again" in str(caught.value)


def test_weights_with_other_bytes_than_the_description_tells_are_refused(model: Path) -> None:
    state = build_architecture("residual_mlp", [6], 2, {"width": 4}).state_dict()
    save_file({f"fold0.{name}": value.clone() for name, value in state.items()}, model / "model.safetensors")
    with pytest.raises(ModelError, match="other bytes than were written"):
        load_model(model)


CLAIMS: dict[str, dict[str, Any]] = {
    "an architecture that is a path": {"architecture": "../../residual_mlp"},
    "an architecture that is a module": {"architecture": "os.system"},
    "a name of Python": {"architecture": "__class__"},
    "arguments that are none of the architecture": {"arguments": {"__init__": "x"}},
    "a path as argument": {"arguments": {"width": "../../../etc/passwd"}},
    "a wide network": {"arguments": {"width": 10**12}},
    "a network as wide as numbers go": {"arguments": {"width": 2**62}},
    "a negative width": {"arguments": {"width": -4}},
    "a deep network": {"arguments": {"width": 4, "depth": 10**9}},
    "huge inputs": {"input_shape": [2**30, 2**30]},
    "inputs of many axes": {"input_shape": [2] * 2000},
    "no inputs": {"input_shape": []},
    "inputs in words": {"input_shape": ["6"]},
    "many targets": {"n_targets": 2**31 - 1},
    "targets in words": {"n_targets": "2"},
    "true targets": {"n_targets": True},
    "many folds": {"folds": 2**31 - 1, "input_shape": [7]},
    "another type of targets": {"target_type": "__import__('os')"},
    "a digest that is a list": {"samples": ["0"]},
    "another format": {"format": "1"},
    "weights that are a path": {"weights": "../../model.safetensors"},
}


def claim(folder: Path, **changes: Any) -> None:
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("name", CLAIMS)
def test_a_description_that_claims_what_cannot_be_is_refused(name: str, model: Path) -> None:
    claim(model, **CLAIMS[name])
    with pytest.raises(ModelError) as caught:
        load_model(model)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_description_that_nests_without_end_is_refused(model: Path) -> None:
    (model / "model.json").write_text('{"format": ' + "[" * 100_000)
    with pytest.raises(ModelError, match="unreadable JSON"):
        load_model(model)


def test_what_a_hostile_model_asks_for_is_not_taken(model: Path) -> None:
    """A process that may take little memory says that the model is wrong, not that memory is out."""
    claim(model, arguments={"width": 30_000})
    code = "import sys, resource, torch; from igc.models.files import load_model; from igc.errors import ModelError\n"
    code += "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
    code += "resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30),) * 2)\n"
    code += "try:\n    load_model(sys.argv[1])\nexcept ModelError as error:\n    print('refused', error)\n"
    told = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True, check=False)
    assert told.stdout.startswith("refused"), told.stderr


def test_a_description_cannot_name_weights_in_another_folder(model: Path, tmp_path: Path) -> None:
    """The weights are always those beside the description."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (model / "model.json").rename(elsewhere / "model.json")
    claim(elsewhere, file="../model.safetensors", path=str(model / "model.safetensors"))
    with pytest.raises(MissingFileError, match="the weights beside model"):
        load_model(elsewhere)


def test_tensors_that_would_train_or_need_a_graph_are_plain_numbers(model: Path) -> None:
    module = load_model(model)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert torch.isfinite(module(torch.zeros(1, 6))).all()
