import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from igc.errors import MissingFileError, ModelError
from igc.models import build_architecture, describe_model, load_model, save_model

DESCRIPTION = {
    "architecture": "residual_mlp",
    "arguments": {"width": 8},
    "input_shape": [5],
    "n_targets": 2,
    "target_names": ["a", "b"],
    "target_type": "values",
    "folds": 2,
    "seed": 0,
    "kind": "network",
    "samples": "digest",
    "residual_variance": [[1.0, 1.0], [1.0, 1.0]],
    "training": [{}, {}],
}


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, list[torch.nn.Module]]:
    torch.manual_seed(0)
    modules = [build_architecture("residual_mlp", (5,), 2, {"width": 8}).eval() for _ in range(2)]
    save_model(tmp_path / "model", modules, DESCRIPTION)
    return tmp_path / "model", modules


@pytest.mark.parametrize("fold", [0, 1])
def test_a_loaded_model_gives_the_same_outputs(saved: tuple[Path, list[torch.nn.Module]], fold: int) -> None:
    folder, modules = saved
    x = torch.randn(4, 5)
    loaded = load_model(folder, fold=fold)
    assert torch.equal(loaded(x), modules[fold](x))
    assert torch.equal(load_model(folder / "model.json", fold)(x), loaded(x))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_buffers_come_back_too(tmp_path: Path) -> None:
    description = {**DESCRIPTION, "architecture": "convolutional_encoder", "arguments": {}, "input_shape": [1, 8, 8]}
    module = build_architecture("convolutional_encoder", (1, 8, 8), 2)
    module(torch.randn(9, 1, 8, 8) + 2.0)  # running statistics
    module.standardize.set_statistics(torch.tensor([3.0]), torch.tensor([2.0]))
    save_model(tmp_path, [module, module], description)
    x = torch.randn(4, 1, 8, 8)
    assert torch.equal(load_model(tmp_path)(x), module.eval()(x))


def test_loading_draws_no_random_number(saved: tuple[Path, list[torch.nn.Module]]) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_model(saved[0])
    assert torch.equal(torch.rand(1), expected)


def test_the_description_is_given_back(saved: tuple[Path, list[torch.nn.Module]]) -> None:
    description = describe_model(saved[0])
    assert len(description.pop("weights")) == 64
    assert description == {"format": 1, **DESCRIPTION}


def rewrite(folder: Path, **changes: Any) -> None:
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "os.system"}, "architecture: found 'os.system', allowed is"),
        ({"arguments": {"width": 9}}, "tensor body.* of shape"),
        ({"arguments": {"width": 60000, "expansion": 16}}, "tensor"),
        ({"arguments": {"blocks": 2}}, "tensors that are missing"),
        ({"arguments": {"evil": 1}}, "found evil"),
        ({"arguments": "width=8"}, "arguments of type dict"),
        ({"input_shape": [5, -1]}, "positive whole numbers"),
        ({"input_shape": ["5"]}, "positive whole numbers"),
        ({"input_shape": [2**40]}, "positive whole numbers"),
        ({"n_targets": 3}, "tensor readout"),
        ({"n_targets": True}, "n_targets of type int"),
        ({"folds": 0}, "positive whole numbers"),
        ({"target_type": "words"}, "categories or values"),
        ({"training": None}, "training of type list"),
        ({"format": 99}, "format 99"),
    ],
)
def test_wrong_metadata_is_refused_in_one_line(
    saved: tuple[Path, list[torch.nn.Module]], changes: dict[str, Any], message: str
) -> None:
    rewrite(saved[0], **changes)
    with pytest.raises(ModelError, match=message) as raised:
        load_model(saved[0])
    assert "\n" not in str(raised.value)


def test_tensors_of_another_name_or_type_are_refused(saved: tuple[Path, list[torch.nn.Module]]) -> None:
    file = saved[0] / "model.safetensors"
    tensors = load_file(file)
    rewrite(saved[0], weights=None)
    save_file({**tensors, "fold0.more": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match="not part of the architecture \\(more\\)"):
        load_model(saved[0])
    save_file({**tensors, "fold0.readout.bias": torch.zeros(2, dtype=torch.int64)}, file)
    with pytest.raises(ModelError, match=r"tensor readout\.bias .*int64"):
        load_model(saved[0])


def test_weights_of_another_training_are_refused(saved: tuple[Path, list[torch.nn.Module]], tmp_path: Path) -> None:
    torch.manual_seed(1)
    again = [build_architecture("residual_mlp", (5,), 2, {"width": 8}).eval() for _ in range(2)]
    save_model(tmp_path / "again", again, DESCRIPTION)
    shutil.copy(tmp_path / "again" / "model.safetensors", saved[0])
    with pytest.raises(ModelError, match="other bytes than were written"):
        load_model(saved[0])


def test_damaged_and_missing_files_are_refused(saved: tuple[Path, list[torch.nn.Module]], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fold 2 asked for, allowed is 0 to 1"):
        load_model(saved[0], fold=2)
    with pytest.raises(MissingFileError, match="train it"):
        load_model(tmp_path / "nowhere")
    copy = Path(shutil.copytree(saved[0], tmp_path / "copy"))
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(ModelError, match="a safetensors file"):
        load_model(copy)
    weights.unlink()
    with pytest.raises(MissingFileError, match=r"beside model\.json"):
        load_model(copy)
    (copy / "model.json").write_text("{")
    with pytest.raises(ModelError, match="unreadable JSON"):
        load_model(copy)


def test_an_incomplete_or_wrong_model_is_not_written(tmp_path: Path) -> None:
    module = build_architecture("residual_mlp", (5,), 2, {"width": 8})
    with pytest.raises(ModelError, match="1 modules, allowed is 2 folds"):
        save_model(tmp_path / "m", [module], DESCRIPTION)
    with pytest.raises(ModelError, match="tensor body"):
        save_model(tmp_path / "m", [module, module], {**DESCRIPTION, "arguments": {"width": 9}})
    with pytest.raises(ModelError, match="kind of type str"):
        save_model(tmp_path / "m", [module, module], {k: v for k, v in DESCRIPTION.items() if k != "kind"})
    assert not (tmp_path / "m").exists()
