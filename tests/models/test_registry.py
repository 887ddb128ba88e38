from collections.abc import Iterator

import pytest
from torch import nn

from igc.errors import ModelError
from igc.models import ARCHITECTURES, build_architecture, register_architecture


@pytest.fixture
def scratch_name() -> Iterator[str]:
    yield "of_a_test"
    ARCHITECTURES.pop("of_a_test", None)


def test_a_user_can_register_an_architecture(scratch_name: str) -> None:
    @register_architecture(scratch_name)
    def own(input_shape: tuple[int, ...], n_targets: int, *, width: int = 3) -> nn.Module:
        return nn.Sequential(nn.Linear(input_shape[0], width), nn.Linear(width, n_targets))

    module = build_architecture(scratch_name, (4,), 2, {"width": 7})
    assert module[0].weight.shape == (7, 4)


def test_a_name_cannot_be_taken_twice_but_a_module_can_be_reloaded(scratch_name: str) -> None:
    def first(input_shape: tuple[int, ...], n_targets: int) -> nn.Module:
        return nn.Identity()

    register_architecture(scratch_name)(first)
    register_architecture(scratch_name)(first)
    with pytest.raises(ModelError, match="a name other than"):
        register_architecture(scratch_name)(lambda input_shape, n_targets: nn.Identity())


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"found 'resnet', allowed is .*residual_mlp") as raised:
        build_architecture("resnet", (3,), 1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 3}, "found depth, allowed is width, blocks"),
        ({"width": 0}, "argument width"),
        ({"width": 2**40}, "argument width"),
        ({"width": "wide"}, "argument width"),
        ({"width": True}, "argument width"),
        ({"dropout": 1.5}, "argument dropout"),
        ({"dropout": "much"}, "argument dropout"),
        ({"activation": "step"}, "argument activation: found 'step', allowed is mish"),
        ({"blocks": 10**9}, "argument blocks"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message) as raised:
        build_architecture("residual_mlp", (5,), 2, arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("arguments", [{"channels": 3}, {"channels": [0]}, {"channels": []}, {"channels": ["a"]}])
def test_wrong_channels_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ModelError, match="argument"):
        build_architecture("convolutional_encoder", (1, 8, 8), 2, arguments)


def test_an_image_network_refuses_vectors() -> None:
    with pytest.raises(ModelError, match="use residual_mlp or linear"):
        build_architecture("convolutional_classifier", (64,), 2)


def test_a_complaint_of_the_architecture_becomes_one_line(scratch_name: str) -> None:
    @register_architecture(scratch_name)
    def own(input_shape: tuple[int, ...], n_targets: int, *, width: int = 3) -> nn.Module:
        raise ValueError(f"width {width}\nis odd")

    with pytest.raises(ModelError, match=r"arguments of of_a_test: .* width 5 is odd"):
        build_architecture(scratch_name, (4,), 2, {"width": 5})
