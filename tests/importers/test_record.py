"""Recorder: what a forward does, under one name for all spellings."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.layers import is_known
from snn_deploy.importers.torch.record import Record, Recorder


class Net(nn.Module):
    def __init__(self, step: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.step = step
        self.fc, self.inner = nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3))
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.kept: Any = 0.0

    def forward(self, x: Tensor) -> Any:
        return self.step(self, x)


def recorded(step: Callable[[Any, Tensor], Any], n: int = 1) -> Record:
    inputs = [torch.rand(2, 3, dtype=torch.float64) for _ in range(n)]
    with Recorder(Net(step).double().eval(), is_known) as recorder:
        for x in inputs:
            recorder.call([x])
    return recorder.record


class Step(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x.gt(0).float()


spikes: Any = Step.apply


@pytest.mark.parametrize(
    ("step", "operations"),
    [
        (lambda m, x: m.inner(m.fc(x)), "layer layer"),
        (lambda m, x: x + 1, "add"),
        (lambda m, x: torch.add(m.fc(x), x), "layer add"),
        (lambda m, x: x.view(x.size(0), -1), "view"),
        (lambda m, x: x.reshape(x.shape[0], x.numel() // len(x)), "view"),
        (lambda m, x: spikes(x - 1), "sub gt to"),
        (lambda m, x: next(iter(x)), "unbind"),
        (lambda m, x: x * torch.sigmoid(m.scale), "mul"),
        (lambda m, x: x if x.dim() == 2 else 2 * x, ""),
        (lambda m, x: x.clip(0, 1).float().contiguous(), "clamp to detach"),
        (lambda m, x: torch.zeros(3) + torch.ones(3), ""),
        (lambda m, x: torch.rand_like(x).le(x), "rand_like le"),
    ],
)
def test_calls_have_one_name(
    step: Callable[[Any, Tensor], Any], operations: str
) -> None:
    calls = recorded(step).calls

    assert " ".join(call.operation for call in calls) == operations


def test_what_no_input_went_into_is_a_constant() -> None:
    (call,) = recorded(lambda m, x: x * torch.sigmoid(m.scale)).calls

    constant = call.arguments[1].constant

    assert constant.item() == pytest.approx(1 / (1 + 2.718281828459045**-0.5))
    assert constant.dtype is torch.float64


def test_a_change_in_place_is_a_new_value_under_every_name() -> None:
    def step(m: Any, x: Tensor) -> Any:
        out = m.fc(x)
        skip = out.view(2, 3)
        out += x
        return skip, out

    record = recorded(step)

    (skip, out), added = record.outputs[0], record.calls[-1]
    assert skip is out is added.results
    assert added.is_written


def test_what_is_kept_for_the_next_call_is_the_same_value() -> None:
    def step(m: Any, x: Tensor) -> Any:
        m.kept = m.kept * 0.5 + x
        return m.kept

    record = recorded(step, n=2)

    halved, added = record.calls[-2:]
    assert halved.arguments[0] is record.outputs[0]
    assert added.results is record.outputs[1]


def test_what_is_assigned_to_items_is_a_new_value() -> None:
    def step(m: Any, x: Tensor) -> Any:
        out = torch.zeros(2, *x.shape)
        out[0] = x
        out[1] = m.fc(x)
        return out

    record = recorded(step)

    first, _, second = record.calls
    assert [first.operation, second.operation] == ["setitem", "setitem"]
    assert torch.equal(first.arguments[0].constant, torch.zeros(2, 2, 3).double())
    assert second.arguments[0] is first.results
    assert record.outputs[0] is second.results


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda m, x: x if x.sum() > 0 else -x, "a decision from a value (bool)"),
        (lambda m, x: x * x.mean().item(), "from a value (item)"),
        (lambda m, x: x * float(x.mean()), "from a value (float)"),
        (lambda m, x: torch.tensor(x.numpy()), "from a value (numpy)"),
        (lambda m, x: torch.equal(x, x), "from a value (equal)"),
        (lambda m, x: x.add_(1), "changes its input in place"),
    ],
)
def test_what_depends_on_values_is_refused(
    step: Callable[[Any, Tensor], Any], words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        recorded(step)

    assert words in str(caught.value)
    assert "; " in str(caught.value)
