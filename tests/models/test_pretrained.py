from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from igc.config import Training
from igc.errors import MissingFileError, ModelError
from igc.models import build_architecture
from igc.models.batches import SampleSource
from igc.models.pretrained import read_tensors, start_from
from igc.models.training import NetworkPlan, fit_network
from igc.store.samples import open_samples
from tests.models.stores import write_samples

SHAPE = (1, 8, 8)
ARGUMENTS = {"channels": [3, 4], "kernel": 3, "pool": [2, 1]}


def encoder(seed: int, n_targets: int = 5) -> nn.Module:
    torch.manual_seed(seed)
    module = build_architecture("factorised_encoder", SHAPE, n_targets, ARGUMENTS)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)
    return module


def saved(path: Path, module: nn.Module, prefix: str = "") -> Path:
    save_file({f"{prefix}{name}": tensor.contiguous() for name, tensor in module.state_dict().items()}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "fold0."])
def test_layers_start_from_the_file_and_the_readout_does_not(tmp_path: Path, prefix: str) -> None:
    source, module = encoder(1, n_targets=7), encoder(2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    start_from(module, saved(tmp_path / "w.safetensors", source, prefix))
    for name, tensor in module.state_dict().items():
        expected = source.state_dict()[name] if name.startswith("body.") else before[name]
        torch.testing.assert_close(tensor, expected)


def test_a_state_dict_of_pytorch_gives_the_same(tmp_path: Path) -> None:
    module = encoder(1)
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, tmp_path / "w.ckpt")
    found, expected = read_tensors(tmp_path / "w.ckpt"), read_tensors(saved(tmp_path / "w.safetensors", module))
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)


class Harmful:
    def __reduce__(self) -> tuple:
        return (print, ("run",))


def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"body.0.weight": Harmful()}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="unreadable"):
        read_tensors(tmp_path / "w.pt")
    assert capsys.readouterr().out == ""


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    module = encoder(0)
    with pytest.raises(MissingFileError, match="no such file"):
        start_from(module, tmp_path / "none.safetensors")
    save_file({"features.0.weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="names of the architecture"):
        start_from(module, tmp_path / "other.safetensors")
    save_file({"body.0.weight": torch.ones(2)}, tmp_path / "shape.safetensors")
    with pytest.raises(ModelError, match=r"body\.0\.weight of shape \(2,\)"):
        start_from(module, tmp_path / "shape.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors at all")
    with pytest.raises(ModelError, match="unreadable"):
        start_from(module, tmp_path / "text.safetensors")


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_layers_stay_in_training_with_their_statistics(tmp_path: Path, frozen: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (60, *SHAPE)).astype(np.float32)
    y = x.reshape(60, -1)[:, :5]
    source = SampleSource(open_samples(write_samples(tmp_path / "s.zarr", x, y, np.r_[np.zeros(20), -np.ones(40)])))
    file = saved(tmp_path / "w.safetensors", encoder(1))
    training = Training(epochs=2, batch_size=16)
    plan = NetworkPlan("factorised_encoder", ARGUMENTS, SHAPE, 5, False, training, 0, file, frozen)
    result = fit_network(plan, source, np.arange(60), np.arange(20, 60), device="cpu")
    start, end = encoder(1).state_dict(), result.module.state_dict()
    body = [name for name in end if name.startswith("body.")]
    same = [name for name in body if torch.equal(start[name], end[name])]
    assert same == (body if frozen else [])
    assert not torch.equal(start["readout.what"], end["readout.what"])
