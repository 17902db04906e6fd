"""find_staircases: quantized activations of one's own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from snn_deploy.importers.torch.recognize.staircase import find_staircases
from tests.importers.recognize.recording import kind, recorded


def clipped_first(x: Any) -> Any:
    x = torch.clamp(x / 1.5, 0, 1)
    return torch.floor(x * 8 + 0.5) / 8 * 1.5


def clipped_last(x: Any) -> Any:
    return 1.5 * torch.clamp(torch.floor(x * 8 / 1.5 + 0.5) / 8, 0, 1)


def with_relu(x: Any) -> Any:
    steps = torch.floor(torch.relu(x) * (8 / 1.5) + 0.5)
    return steps.clamp(max=8) * (1.5 / 8)


@pytest.mark.parametrize("function", [clipped_first, clipped_last, with_relu])
def test_an_activation_is_read_in_any_form(function: Callable[..., Any]) -> None:
    items, used = recorded(function, (3, 4, 4))

    (found,) = find_staircases(items, used, kind)

    assert found.node.levels == 8
    assert found.node.threshold == pytest.approx(1.5, rel=1e-12)
    assert found.node.shape == (3, 4, 4)
    assert found.inputs == (items[0],)
    assert set(found.outputs) == used
    assert found.told == ("Own: read as a QCFS activation of 8 levels up to 1.5")


def without_shift(x: Any) -> Any:
    return torch.floor(torch.clamp(x, 0, 1) * 8) / 8


def without_end(x: Any) -> Any:
    return torch.floor(torch.relu(x) * 8 + 0.5) / 8


def below_zero(x: Any) -> Any:
    return torch.floor(torch.clamp(x, -1, 1) * 8 + 0.5) / 8


def of_each_channel(x: Any) -> Any:
    top = torch.tensor([1.0, 2.0, 3.0], dtype=x.dtype).reshape(3, 1, 1)
    return torch.floor(torch.clamp(x / top, 0, 1) * 8 + 0.5) / 8 * top


def steeper(x: Any) -> Any:
    return torch.floor(torch.clamp(2 * x, 0, 1) * 8 + 0.5) / 8


def of_a_square(x: Any) -> Any:
    return torch.floor(torch.clamp(x * x, 0, 1) * 8 + 0.5) / 8


@pytest.mark.parametrize(
    "function",
    [without_shift, without_end, below_zero, of_each_channel],
)
def test_what_is_something_else_is_left_alone(function: Callable[..., Any]) -> None:
    items, used = recorded(function, (3, 4, 4))

    assert find_staircases(items, used, kind) == []


@pytest.mark.parametrize("function", [steeper, of_a_square])
def test_a_product_before_it_stays_outside(function: Callable[..., Any]) -> None:
    items, used = recorded(function, (3, 4, 4))

    (found,) = find_staircases(items, used, kind)

    assert [item.operation for item in found.inputs] == ["mul"]


def test_an_activation_with_a_memory_is_left_alone() -> None:
    def sum_of_two(x: Any, before: Any) -> Any:
        return clipped_first(x + before), x

    items, used = recorded(sum_of_two, (3, 4, 4), 0.0)
    sum_ = next(item for item in items if item.operation == "add")

    found = find_staircases(items, used, kind)

    assert sum_ not in {item for part in found for item in part.inside}
