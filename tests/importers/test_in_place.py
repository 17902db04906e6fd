"""Values that change in place, shared tensors, several uses: right, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as f
from torch import Tensor, nn

import snn_deploy
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.module import trace
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph, Training
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.nn.neurons import Qcfs
from tests.importers.agreement import (
    TIMESTEPS,
    bytes_of,
    exact,
    louder,
    stepped,
    stimuli,
)

neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
layer = pytest.importorskip("spikingjelly.activation_based.layer")
SHAPE = (2, 6, 6)


class Net(nn.Module):
    """Layers for a forward that is given; not all are used by each."""

    def __init__(self, step: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.step = step
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.other = nn.Conv2d(4, 4, 1)
        self.third = nn.Conv2d(4, 4, 3, padding=1)
        self.sn, self.sn1 = neuron.LIFNode(v_threshold=0.4), neuron.IFNode()
        self.sn2 = neuron.LIFNode(v_reset=None, v_threshold=0.6)
        self.relu, self.cut = nn.ReLU(inplace=True), nn.Hardtanh(0, 1, inplace=True)
        self.plain_relu, self.qcfs = nn.ReLU(), Qcfs(4, 1.0)
        self.drop, self.same = nn.Dropout(0.5, inplace=True), nn.Identity()
        self.pool = nn.MaxPool2d(2)
        self.fa, self.fb = nn.Linear(144, 5), nn.Linear(144, 5)
        self.block = Block()
        self.last: Any = None  # what a forward may keep
        self.integrator = layer.ElementWiseRecurrentContainer(
            neuron.IFNode(), torch.add
        )

    def forward(self, x: Tensor) -> Any:
        return self.step(self, x)

    def spikes(self, x: Tensor) -> Any:
        return self.sn(self.first(x))

    def rows(self, z: Tensor) -> Any:
        return self.fa(z.flatten(1))


class Block(nn.Module):
    """A block that changes what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x += self.inner(x)
        return x


def residual(m: Any, x: Tensor) -> Any:
    """Return what a block of torchvision's ResNets gives."""
    x = m.spikes(x)
    out = m.norm(m.conv(x))
    out += x
    return m.rows(m.sn1(out))


def residual_of_relus(m: Any, x: Tensor) -> Any:
    x = m.relu(m.first(x))
    identity = x
    out = m.relu(m.norm(m.conv(x)))
    out = m.other(out)
    out += identity
    return m.rows(m.relu(out))


def spikes_of_both(m: Any, x: Tensor) -> Any:
    x = m.spikes(x)
    out = m.sn1(m.conv(x))
    out += x
    return m.rows(out)


def two_names(m: Any, x: Tensor) -> Any:
    z = m.plain_relu(m.first(x)).flatten(1)
    skip = m.fa(z)
    out = skip
    out += m.fb(z)
    return skip + out


def two_names_of_spikes(m: Any, x: Tensor) -> Any:
    z = m.spikes(x).flatten(1)
    skip = m.fa(z)
    skip.add_(m.fb(z))
    return skip


def both_results(m: Any, x: Tensor) -> Any:
    z = m.spikes(x)
    out = m.conv(z)
    more = out.add_(m.other(z))
    return m.rows(m.sn1(out + more))


def activated_before(m: Any, x: Tensor) -> Any:
    """Return what a block gives whose ReLU changes the identity as well."""
    x = m.first(x)
    identity = x
    out = m.conv(m.relu(x))
    out += identity
    return m.rows(m.plain_relu(out))


def changed_by(change: Callable[[Tensor], Tensor]) -> Callable[[Any, Tensor], Any]:
    """Return a forward that uses what was changed under its first name."""

    def step(m: Any, x: Tensor) -> Any:
        x = m.first(x)
        changed = change(x)
        return m.rows(m.plain_relu(m.conv(changed) + x))

    return step


def three_terms(m: Any, x: Tensor) -> Any:
    z = m.spikes(x)
    out = m.conv(z)
    out += m.other(z)
    out += m.third(z)
    out += z
    return m.rows(m.sn1(out))


def itself(m: Any, x: Tensor) -> Any:
    out = m.conv(m.spikes(x))
    out += out
    return m.rows(m.sn1(out))


def before_and_behind(m: Any, x: Tensor) -> Any:
    """Return a sum of what was read before the change and what was behind it."""
    z = m.spikes(x)
    out = m.conv(z)
    early = m.sn1(out)
    out += m.other(z)
    return m.rows(m.sn2(out) + early)


def by_idle_layers(m: Any, x: Tensor) -> Any:
    z = m.spikes(x)
    out = m.conv(z)
    skip = m.same(m.drop(out))
    out += m.other(z)
    return m.rows(m.sn1(skip))


def a_view_of_rows(m: Any, x: Tensor) -> Any:
    z = m.spikes(x).flatten(1)
    out = m.fa(z)
    view = out.view(out.size(0), -1)
    view += m.fb(z)
    return out


def a_view_alone(m: Any, x: Tensor) -> Any:
    flat = m.first(x).flatten(1)
    f.relu_(flat)
    return m.fa(flat)


def a_block_that_changes_its_input(m: Any, x: Tensor) -> Any:
    z = m.spikes(x)
    m.block(z)  # its result is not looked at
    return m.other(m.sn1(z))


def a_relu_three_times(m: Any, x: Tensor) -> Any:
    x = m.plain_relu(m.first(x))
    x = m.plain_relu(m.conv(x))
    return m.rows(m.plain_relu(m.other(x)))


def a_pool_twice(m: Any, x: Tensor) -> Any:
    z = m.spikes(x)
    a, b = m.pool(z), m.pool(m.sn1(m.conv(z)))
    a += b
    return m.third(a)


def one_tensor_for_three(m: Any, x: Tensor) -> Any:
    z = m.spikes(x)
    out = m.conv(z) + m.other(z)
    return m.rows(m.sn1(out + m.third(z)) + z)


def qcfs_and_sums(m: Any, x: Tensor) -> Any:
    z = m.qcfs(m.first(x))
    out = m.conv(z)
    out += m.other(z)
    skip = out
    out += z
    return m.rows(m.sn1(skip))


def halved(m: Any, x: Tensor) -> Any:
    out = m.first(x)
    out /= 2
    return out


RIGHT = {
    step.__name__: step
    for step in (
        residual,
        residual_of_relus,
        spikes_of_both,
        two_names,
        two_names_of_spikes,
        both_results,
        activated_before,
        three_terms,
        itself,
        before_and_behind,
        by_idle_layers,
        a_view_of_rows,
        a_view_alone,
        a_block_that_changes_its_input,
        a_relu_three_times,
        a_pool_twice,
        one_tensor_for_three,
        qcfs_and_sums,
    )
} | {
    "relu_": changed_by(lambda x: x.relu_()),
    "torch.relu_": changed_by(torch.relu_),
    "relu of functional": changed_by(lambda x: f.relu(x, inplace=True)),
    "relu by position": changed_by(lambda x: f.relu(x, True)),
    "relu out of place": changed_by(f.relu),
    "clamp_": changed_by(lambda x: x.clamp_(0, 1)),
    "clamp_ from below": changed_by(lambda x: torch.clamp_(x, min=0)),
    "clip": changed_by(lambda x: x.clip(min=0, max=0.5)),
    "hardtanh_": changed_by(lambda x: f.hardtanh_(x, 0, 2)),
    "hardtanh": changed_by(lambda x: f.hardtanh(x, 0, 2, True)),
    "relu6": changed_by(lambda x: f.relu6(x, inplace=True)),
    "constant": changed_by(lambda x: x.add_(1)),
    "factor": changed_by(lambda x: x.mul_(2)),
    "halved": halved,
}


def read(module: nn.Module) -> Graph:
    """Return the graph, its ReLUs without a threshold yet."""
    training = Training(timesteps=TIMESTEPS, encoding=Encoding.DIRECT)
    return trace(module, "net", SHAPE, training, is_balanced=False)


@pytest.mark.parametrize("name", RIGHT)
def test_a_forward_is_read_with_the_meaning_of_torch(name: str) -> None:
    module = louder(Net(RIGHT[name]))
    values = bytes_of(SHAPE)

    found = evaluate(read(module), stimuli(read(module), values))

    expected = exact(module, stepped, values / 255)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    assert np.ptp(expected, axis=(0, 1)).max() > 0.1


def a_view_and_its_origin(m: Any, x: Tensor) -> Any:
    z = m.spikes(x)
    flat = z.flatten(1)
    z += m.sn1(m.conv(z))
    return m.fa(flat)


def an_origin_and_its_view(m: Any, x: Tensor) -> Any:
    x = m.first(x)
    m.relu(x.flatten(1))
    return m.third(m.plain_relu(x))


def the_input(m: Any, x: Tensor) -> Any:
    x += m.sn1(x)
    return m.first(x)


def the_input_by_a_view(m: Any, x: Tensor) -> Any:
    return m.first(m.relu(m.same(x)))


def fed_back(m: Any, x: Tensor) -> Any:
    out = m.integrator(m.first(x))
    out += m.sn(m.third(out))
    return m.rows(out)


def kept_for_later(m: Any, x: Tensor) -> Any:
    out = m.rows(m.plain_relu(m.first(x)))
    total = out if m.last is None else out + m.last
    m.last = out
    return total


def weights_twice(m: Any, x: Tensor) -> Any:
    out = m.first(x)
    out += m.first(x)
    return out


def neurons_twice(m: Any, x: Tensor) -> Any:
    return m.rows(m.sn(m.conv(m.sn(m.first(x)))))


def a_slice(m: Any, x: Tensor) -> Any:
    out = m.first(x)
    out[:, 0] += 1
    return out


def assigned(m: Any, x: Tensor) -> Any:
    out = m.first(x)
    out[:, 0] = 0
    return out


REFUSED: dict[str, tuple[Callable[[Any, Tensor], Any], str]] = {
    "view": (a_view_and_its_origin, "changed in place, under another shape"),
    "origin": (an_origin_and_its_view, "changed in place, under another shape"),
    "input": (the_input, "forward changes its input in place"),
    "input by a view": (the_input_by_a_view, "forward changes its input in place"),
    "fed back": (fed_back, "forward changes its state of integrator in place"),
    "kept": (kept_for_later, "carries a value to the next timestep"),
    "weights": (weights_twice, "forward calls this layer 2 times"),
    "neurons": (neurons_twice, "forward calls this layer 2 times"),
    "slice": (a_slice, "changed in place, under another shape"),
    "assigned": (assigned, "assigns to a part of a value"),
    "difference": (lambda m, x: m.first(x).sub_(x), "forward cannot be traced"),
    "copy": (lambda m, x: m.conv(m.first(x).copy_(m.first(x))), "calls copy"),
    "negative": (lambda m, x: m.first(x).clamp_(-1, 1), "cuts values to -1 ... 1"),
    "from above": (lambda m, x: m.first(x).clamp(max=1), "cuts values to -inf ... 1"),
    "a tensor": (
        lambda m, x: m.first(x).clamp(0, x[:, :1]),
        "forward cannot be traced",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_forward_that_cannot_be_read_is_refused_by_name(name: str) -> None:
    step, words = REFUSED[name]

    with pytest.raises(ModelError) as caught:
        read(louder(Net(step)))

    assert words in str(caught.value)
    assert "; " in str(caught.value)


def test_a_forward_leaves_nothing_of_a_trace_in_the_module() -> None:
    module = louder(Net(kept_for_later))

    with pytest.raises(ModelError):
        read(module)

    assert module.last is None


class Twice(nn.Sequential):
    """A network that does something beside its forward."""

    def __call__(self, x: Tensor) -> Tensor:
        output: Tensor = super().__call__(x)
        return 2 * output


def test_what_the_module_returns_is_read(tmp_path: Path) -> None:
    layers = (nn.Flatten(), nn.Linear(72, 8), Qcfs(4, 1.0), nn.Linear(8, 3))
    model = louder(Twice(*layers))

    graph = snn_deploy.save(
        model, tmp_path / "n.pt", input_shape=SHAPE, timesteps=TIMESTEPS
    )

    values = bytes_of(SHAPE)
    found = evaluate(graph, stimuli(graph, values))
    expected = exact(model, stepped, values / 255)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_a_module_that_cannot_be_copied_is_refused(tmp_path: Path) -> None:
    module = louder(Net(two_names))
    module.last = module(torch.rand(2, *SHAPE))  # with a history

    with pytest.raises(ModelError, match="Net: cannot be copied"):
        read(module)
