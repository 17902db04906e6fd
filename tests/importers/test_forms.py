"""Forwards with time in them: loops, axes of timesteps, states, answers of all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import snn_deploy
from snn_deploy.arrays import FloatArray
from snn_deploy.errors import ModelError
from snn_deploy.importers.torch.frameworks.registry import copied
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Functional
from snn_deploy.ir.neurons import Lif
from snn_deploy.ir.stimuli import Encoding, Stimulus
from tests.importers.agreement import agree, in_double, louder, time_first

snn = pytest.importorskip("snntorch")
layer = pytest.importorskip("spikingjelly.activation_based.layer")
neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
sj = pytest.importorskip("spikingjelly.activation_based.functional")
encoding = pytest.importorskip("spikingjelly.activation_based.encoding")
T, N, SHAPE = 20, 3, (2, 6, 6)


class Net(nn.Module):
    """Layers for a forward that is given."""

    def __init__(self, run: Callable[..., Any], mode: str = "s") -> None:
        super().__init__()
        self.run = run
        self.conv, self.lif1 = nn.Conv2d(2, 3, 3), snn.Leaky(beta=0.9, threshold=0.4)
        self.fc, self.lif2 = nn.Linear(48, 5), snn.Leaky(beta=0.8, threshold=0.6)
        self.norm = nn.BatchNorm2d(3)
        self.sn1, self.sn2 = neuron.LIFNode(v_threshold=0.4), neuron.IFNode()
        self.row = nn.Sequential(
            layer.Conv2d(2, 3, 3), neuron.LIFNode(v_threshold=0.4), layer.Flatten(),
            layer.Linear(48, 5), neuron.IFNode(v_threshold=0.3),
        )  # fmt: skip
        self.poisson = encoding.PoissonEncoder()
        sj.set_step_mode(self.row, mode)

    def forward(self, x: Tensor, *states: Any) -> Any:
        return self.run(self, x, *states)

    def leaky(self, x: Tensor, m1: Any, m2: Any) -> Any:
        s1, m1 = self.lif1(self.conv(x), m1)
        s2, m2 = self.lif2(self.fc(s1.flatten(1)), m2)
        return s2, m1, m2

    def step(self, x: Tensor) -> Any:
        return self.sn2(self.fc(self.sn1(self.conv(x)).flatten(1)))


class WithStates(Net):
    """The states are passed in one by one."""

    def forward(self, x: Tensor, mem1: Any, mem2: Any) -> Any:
        return self.leaky(x, mem1, mem2)


def listed(m: Any, x: Tensor) -> Any:
    m1, m2, outs = m.lif1.init_leaky(), m.lif2.init_leaky(), []
    for _ in range(T):
        s2, m1, m2 = m.leaky(x, m1, m2)
        outs.append(s2)
    return torch.stack(outs)


def first(m: Any, x: Tensor) -> Any:
    m1, m2, outs = m.lif1.init_leaky(), m.lif2.init_leaky(), []
    for step in range(x.size(0)):
        s2, m1, m2 = m.leaky(x[step], m1, m2)
        outs.append(s2)
    return torch.stack(outs, dim=0), m2


def second(m: Any, x: Tensor) -> Any:
    return torch.stack([m.step(x[:, t]) for t in range(x.shape[1])], 1)


def last_axis(m: Any, x: Tensor) -> Any:
    out = torch.zeros(len(x), 5, x.shape[-1])
    for t in range(x.shape[-1]):
        out[..., t] = m.step(x[..., t])
    return out


def running_sum(m: Any, x: Tensor) -> Any:
    out = m.row(x)
    for _ in range(1, T):
        out += m.row(x)
    return out / T


def repeated(m: Any, x: Tensor) -> Any:
    return m.row(x.unsqueeze(0).repeat(T, 1, 1, 1, 1)).mean(0)


def merged(m: Any, x: Tensor) -> Any:
    """Return what layers give that take time and batch as one axis."""
    y = m.norm(m.conv(x.flatten(0, 1))).view(x.shape[0], x.shape[1], 3, 4, 4)
    outs = [m.sn2(m.fc(m.sn1(z).flatten(1))) for z in y]
    return torch.stack(outs).permute(1, 0, 2)


def mean_before_the_head(m: Any, x: Tensor) -> Any:
    y = torch.stack([m.sn1(m.conv(x)) for _ in range(T)])
    return m.fc(y.flatten(2).mean(0))


def of_a_leaky_sum(give: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """Return a forward that keeps a read-out of its own, and gives this of it."""

    def run(m: Any, x: Tensor) -> Any:
        kept, outs = torch.zeros(len(x), 5), []
        for _ in range(T):
            kept = 0.9 * kept + m.fc(m.sn1(m.conv(x)).flatten(1))
            outs.append(kept)
        return give(outs)

    return run


def added(outs: list[Any]) -> Any:
    total: Any = 0
    for out in outs:
        total = total + out
    return total


Run = Callable[[nn.Module, Tensor], Tensor]  # x is (n, T, ...)
STILL: Run = lambda m, x: m(x[:, 0])  # noqa: E731
FIRST: Run = lambda m, x: m(x.transpose(0, 1))  # noqa: E731
FORMS: dict[str, tuple[Net, Run, Functional, int]] = {
    "list": (Net(listed), STILL, Functional.SUM, 0),
    "sum of a list": (
        Net(lambda m, x: listed(m, x).sum(0)), STILL, Functional.SUM, -1
    ),
    "mean of a list": (
        Net(lambda m, x: listed(m, x).mean(dim=0)), STILL, Functional.SUM, -1
    ),
    "last": (Net(lambda m, x: listed(m, x)[-1]), STILL, Functional.LAST, -1),
    "max": (Net(lambda m, x: listed(m, x).max(0)[0]), STILL, Functional.MAX, -1),
    "python's sum": (
        Net(lambda m, x: sum(m.step(x) for _ in range(T))), STILL, Functional.SUM, -1
    ),
    "first axis": (Net(first), FIRST, Functional.SUM, 0),
    "second axis": (Net(second), lambda m, x: m(x), Functional.SUM, 1),
    "last axis": (Net(last_axis), lambda m, x: m(x.movedim(1, -1)), Functional.SUM, 2),
    "running sum": (Net(running_sum), STILL, Functional.SUM, -1),
    "repeated": (Net(repeated, "m"), STILL, Functional.SUM, -1),
    "step mode m": (Net(lambda m, x: m.row(x), "m"), FIRST, Functional.SUM, 0),
    "permuted": (
        Net(lambda m, x: m.row(x.transpose(0, 1)).mean(0), "m"),
        lambda m, x: m(x), Functional.SUM, -1,
    ),
    "merged": (Net(merged), FIRST, Functional.SUM, 1),
    "a mean before the head": (Net(mean_before_the_head), STILL, Functional.SUM, -1),
    "leaky, last": (Net(of_a_leaky_sum(lambda o: o[-1])), STILL, Functional.LAST, -1),
    "leaky, last of all": (
        Net(of_a_leaky_sum(lambda o: torch.stack(o)[-1])), STILL, Functional.LAST, -1
    ),
    "leaky, running": (Net(of_a_leaky_sum(added)), STILL, Functional.SUM, -1),
    "leaky, python's sum": (Net(of_a_leaky_sum(sum)), STILL, Functional.SUM, -1),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_forward_with_time_in_it_is_its_timestep(name: str, tmp_path: Path) -> None:
    module, run, functional, axis = FORMS[name]
    louder(module)
    has_all = run is STILL
    values = np.random.default_rng(0).integers(0, 256, (N, 1 if has_all else T, *SHAPE))
    values = np.repeat(values, T // values.shape[1], axis=1)

    graph = snn_deploy.save(
        module,
        tmp_path / "net.pt",
        input_shape=SHAPE,
        timesteps=None if has_all else T,
    )

    assert (graph.training.timesteps, graph.training.functional) == (T, functional)
    stimuli = [Stimulus(values=v, is_constant=False) for v in values]
    found = evaluate(graph, stimuli)
    expected = ran(module, run, values / 255)
    assert np.ptp(expected) > 0
    if axis >= 0:
        np.testing.assert_array_equal(found, np.moveaxis(expected, axis, 1))
        return
    answers = {"sum": found.sum(1), "last": found[:, -1], "max": found.max(1)}
    answer = answers[functional.value]
    is_mean = "mean" in name or name in ("running sum", "repeated", "permuted")
    np.testing.assert_allclose(answer / (T if is_mean else 1), expected, atol=1e-12)


def ran(module: nn.Module, run: Run, x: FloatArray) -> FloatArray:
    """Return what a copy in double precision gives."""
    ours = in_double(copied(module))
    with torch.no_grad():
        found: Any = run(ours, torch.as_tensor(x))
    while isinstance(found, tuple):
        found = found[0]
    values: FloatArray = found.double().numpy()
    return values


def test_states_that_are_passed_in_one_by_one(tmp_path: Path) -> None:
    module = louder(WithStates(listed))

    graph = snn_deploy.save(module, tmp_path / "net.pt", input_shape=SHAPE, timesteps=T)

    values = np.random.default_rng(0).integers(0, 256, (N, T, *SHAPE))
    found = evaluate(graph, [Stimulus(values=v, is_constant=False) for v in values])
    ours, x = in_double(copied(module)), torch.as_tensor(values / 255)
    states: tuple[Any, ...] = (None, None)
    for t in range(T):
        with torch.no_grad():
            output, *states = ours(x[:, t], *states)
        np.testing.assert_array_equal(found[:, t], output.numpy())


def test_an_encoder_in_front_is_the_encoding(tmp_path: Path) -> None:
    def run(m: Any, x: Tensor) -> Any:
        return sum(m.step(m.poisson(x)) for _ in range(T)) / T

    module = louder(Net(run))

    graph = snn_deploy.save(module, tmp_path / "net.pt", input_shape=SHAPE)

    assert graph.training.encoding is Encoding.RATE
    assert [node.name for node in graph.order][:2] == ["input", "conv"]
    with pytest.raises(ModelError, match="encoding is 'direct', but forward draws"):
        snn_deploy.save(
            module, tmp_path / "net.pt", input_shape=SHAPE, encoding="direct"
        )


def at_rest(m: Any, x: Tensor) -> Any:
    return m.leaky(x, m.lif1.init_leaky(), m.lif2.init_leaky())[0]


def otherwise_at_first(m: Any, x: Tensor) -> Any:
    outs = [m.step(x)]
    outs += [m.sn2(m.fc(m.sn1(m.norm(m.conv(x))).flatten(1))) for _ in range(1, T)]
    return torch.stack(outs)


def across_the_batch(m: Any, x: Tensor) -> Any:
    return m.step(x - x.mean(0))


@pytest.mark.parametrize(
    ("run", "options", "words"),
    [
        (listed, {"timesteps": 8}, "conv: forward calls this layer 20 times"),
        (listed, {"timesteps": 8}, "give timesteps=20, not 8"),
        (
            lambda m, x: listed(m, x)[-1],
            {"functional": "max"},
            "functional is 'max', but forward returns the last of all timesteps",
        ),
        (lambda m, x: m.step(x), {}, "does not say for how many timesteps"),
        (at_rest, {"timesteps": T}, "hand every neuron layer its own state back"),
        (otherwise_at_first, {}, "norm: forward calls this layer 19 times in 20"),
        (otherwise_at_first, {}, "x = self.conv(x); x = self.sn1(x)"),
        (across_the_batch, {"timesteps": T}, "mixes the inputs of a batch"),
    ],
)
def test_a_forward_without_a_timestep_is_refused_with_what_to_do(
    tmp_path: Path, run: Callable[..., Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelError) as caught:
        snn_deploy.save(
            louder(Net(run)), tmp_path / "net.pt", input_shape=SHAPE, **options
        )

    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def counted(m: Any, x: Tensor) -> Any:
    m1, m2, outs = m.lif1.init_leaky(), m.lif2.init_leaky(), []
    for t in range(T):  # whatever it is given
        s2, m1, m2 = m.leaky(x[:, t], m1, m2)
        outs.append(s2)
    return torch.stack(outs, dim=1)


@pytest.mark.parametrize("told", [{}, {"timesteps": T}])
def test_timesteps_that_forward_counts_itself_behind_the_batch(
    tmp_path: Path, told: dict[str, Any]
) -> None:
    module = louder(Net(counted))

    graph = snn_deploy.save(module, tmp_path / "net.pt", input_shape=SHAPE, **told)

    assert graph.training.timesteps == T
    values = np.random.default_rng(0).integers(0, 256, (N, T, *SHAPE))
    with torch.no_grad():
        expected = in_double(module)(torch.as_tensor(values / 255))
    stimuli = [Stimulus(values=v, is_constant=False) for v in values]
    np.testing.assert_array_equal(evaluate(graph, stimuli, T), expected.numpy())


@pytest.mark.parametrize(
    ("run", "shape", "words"),
    [
        (counted, (T, *SHAPE), "give input_shape=(2, 6, 6), timesteps=20"),
        (listed, (T, *SHAPE), "give input_shape=(2, 6, 6), timesteps=20"),
        (
            lambda m, x: m.row(x).mean(1),
            SHAPE,
            "the neurons take (time, batch, ...): if x is (batch, time, ...), write x "
            "= x.transpose(0, 1) first",
        ),
    ],
)
def test_another_order_of_axes_is_told_with_what_to_write(
    tmp_path: Path, run: Callable[..., Any], shape: tuple[int, ...], words: str
) -> None:
    module = louder(Net(run, "m"))

    with pytest.raises(ModelError) as caught:
        snn_deploy.save(module, tmp_path / "net.pt", input_shape=shape, timesteps=T)

    assert words in str(caught.value)


def test_a_row_becomes_maps_again(tmp_path: Path) -> None:
    up = nn.Sequential(nn.Linear(48, 27), nn.Unflatten(1, (3, 3, 3)))
    back = nn.ConvTranspose2d(3, 2, 3, stride=2)

    def run(m: Any, x: Tensor) -> Any:
        spikes = m.sn1(m.conv(x)).flatten(1)
        maps = m.sn2(m.back(m.up(spikes)))
        return maps.flatten(1).view(-1, 2, 7, 7)

    module = louder(Net(run))
    module.up, module.back = louder(up), back

    graph = snn_deploy.save(module, tmp_path / "n.pt", input_shape=SHAPE, timesteps=T)

    values = np.random.default_rng(0).integers(0, 256, (N, T, *SHAPE))
    ours = in_double(module)
    with torch.no_grad():
        given = torch.as_tensor(values / 255)
        expected = torch.stack([ours(given[:, t]) for t in range(T)], 1)
    stimuli = [Stimulus(values=v, is_constant=False) for v in values]
    found = evaluate(graph, stimuli, T)
    np.testing.assert_array_equal(found, expected.flatten(2).numpy())
    assert expected.any()


def test_layers_of_one_timestep_beside_those_of_all_are_told(tmp_path: Path) -> None:
    norm = layer.ThresholdDependentBatchNorm2d(1.0, 1.0, 3)  # of all, whatever is set
    row: Any = Net(lambda m, x: m.row(x)).row
    module = nn.Sequential(row[0], norm, *row[1:])

    with pytest.raises(ModelError, match="set one step mode for all: "):
        snn_deploy.save(module, tmp_path / "n.pt", input_shape=SHAPE, timesteps=T)


class Filtering(nn.Module):
    """Filters over time before and behind neurons."""

    def __init__(self, *, causal: bool = True, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv1d(8, 6, 3, dilation=dilation)
        self.second = nn.Conv1d(6, 5, 4)
        self.causal, self.reach = causal, 2 * dilation
        with torch.no_grad():
            for conv in (self.first, self.second):
                conv.weight.mul_(4)

    def filtered(self, conv: nn.Conv1d, x: Tensor, reach: int) -> Tensor:
        ends = (reach, 0) if self.causal else (reach // 2, reach - reach // 2)
        found: Tensor = conv(nn.functional.pad(x.permute(1, 2, 0), ends))
        return found.permute(2, 0, 1)

    def forward(self, x: Tensor) -> Tensor:
        v, outputs = 0.0, []
        for step in self.filtered(self.first, x, self.reach):
            v = 0.8 * v + step
            spikes = (v > 1.0).to(x.dtype)
            v = v * (1 - spikes)
            outputs.append(spikes)
        return self.filtered(self.second, torch.stack(outputs), 3)


@pytest.mark.parametrize("dilation", [1, 3])
def test_filters_over_time_are_synapses_with_delays(
    tmp_path: Path, dilation: int
) -> None:
    module = Filtering(dilation=dilation)

    graph = agree(module, time_first, tmp_path, (8,))

    assert len(graph.nodes_of(Lif)) == 1
    network = snn_deploy.compile(graph).artifact.network.graph
    delays = sorted(p.delay for p in network.projections if p.source == "input")
    assert np.ptp(delays) == 2 * dilation


def test_filters_of_timesteps_to_come_are_refused(tmp_path: Path) -> None:
    module = Filtering(causal=False)

    with pytest.raises(ModelError, match=r"1 timesteps that are yet to come.*\(2, 0\)"):
        snn_deploy.save(module, tmp_path / "n.pt", input_shape=8, timesteps=T)


class Waiting(nn.Module):
    """Neurons that hear the input two timesteps late."""

    def __init__(self, bias: float) -> None:
        super().__init__()
        self.first = nn.Linear(8, 6)
        with torch.no_grad():
            self.first.bias.fill_(bias)

    def forward(self, x: Tensor) -> Tensor:
        v, outputs = torch.zeros(6), []
        for step in (*torch.zeros(2, *x.shape[1:], dtype=x.dtype), *x[:-2]):
            v = 0.9 * v + self.first(step)
            spikes = (v > 1.0).to(x.dtype)
            v = v - spikes
            outputs.append(spikes)
        return torch.stack(outputs)


def test_a_state_that_changes_while_a_late_input_is_awaited_is_refused(
    tmp_path: Path,
) -> None:
    """A bias so small that it moves no spike of those that are compared would pass."""
    module = Waiting(0.0)
    with torch.no_grad():
        module.first.weight.mul_(4)
    agree(module, time_first, tmp_path, (8,))

    path = tmp_path / "n.pt"
    with pytest.raises(ModelError, match="a state is not 0 any more when the input,"):
        snn_deploy.save(Waiting(1e-4), path, input_shape=8, timesteps=T)
