import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from norse.torch import LIFBoxCell
from torch import Tensor, nn

import snn_deploy
from snn_deploy.compiler.pipeline import to_spiking
from snn_deploy.errors import ModelError, PassError
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.neurons import Relu
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.nn.neurons import IntegrateAndFire, Qcfs
from tests.build import images
from tests.importers.stepping import N_INPUTS, check, saved, settle, stepped

SHAPE = (2, 8, 8)


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.order]


def behind_neurons(*layers: nn.Module) -> nn.Module:
    """Return layers that get spikes, as layers inside a network do."""
    return settle(nn.Sequential(nn.Conv2d(2, 4, 3), Qcfs(4, 1.0), *layers))


# layers


def test_a_linear_layer(tmp_path: Path) -> None:
    graph = check(settle(nn.Sequential(nn.Linear(7, 3))), tmp_path, (7,))

    assert names(graph) == ["input", "0"]


def test_a_layer_without_bias(tmp_path: Path) -> None:
    check(settle(nn.Sequential(nn.Linear(7, 3, bias=False))), tmp_path, (7,))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"stride": (2, 1), "padding": (0, 1)},
        {"padding": 2, "bias": False},
        {"dilation": 2, "padding": 1},
        {"dilation": (1, 3), "stride": (3, 2), "padding": (2, 1)},
        {"groups": 2},
        {"padding": "same"},
        {"padding": "same", "dilation": 3},
        {"padding": "valid"},
    ],
    ids=str,
)
def test_a_convolution(tmp_path: Path, options: dict[str, Any]) -> None:
    layer = nn.Conv2d(2, 4, 3, **options)

    check(settle(nn.Sequential(layer)), tmp_path, SHAPE)


def test_a_convolution_with_an_oblong_kernel(tmp_path: Path) -> None:
    layer = nn.Conv2d(2, 3, (1, 5), padding="same")

    check(settle(nn.Sequential(layer)), tmp_path, (2, 6, 9))


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"eps": 0.3}], ids=str)
def test_a_batch_normalization_uses_its_running_statistics(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    norm = nn.BatchNorm2d(4, **options)

    check(settle(nn.Sequential(nn.Conv2d(2, 4, 3), norm)), tmp_path, SHAPE)


@pytest.mark.parametrize("affine", [True, False])
def test_a_batch_normalization_of_a_row(tmp_path: Path, affine: bool) -> None:
    norm = nn.BatchNorm1d(5, affine=affine)

    check(settle(nn.Sequential(nn.Linear(7, 5), norm)), tmp_path, (7,))


def test_saving_leaves_the_mode_and_the_statistics_of_the_module_alone(
    tmp_path: Path,
) -> None:
    norm = nn.BatchNorm1d(5)
    module = settle(nn.Sequential(nn.Linear(7, 5), norm)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}

    saved(module, tmp_path, (7,))

    assert module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("kernel", "stride"), [(2, None), (3, 1), ((2, 3), (1, 2)), (3, 2)]
)
def test_an_average_pooling(tmp_path: Path, kernel: Any, stride: Any) -> None:
    pool = nn.AvgPool2d(kernel, stride)

    check(behind_neurons(pool, nn.Conv2d(4, 3, 2)), tmp_path, SHAPE)


@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(2, padding=1),
        nn.AvgPool2d((3, 2), (1, 2), (1, 0)),
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, stride=1, padding=1, dilation=(1, 2)),
        nn.AdaptiveAvgPool2d(1),
        nn.AdaptiveAvgPool2d((3, None)),
        nn.LPPool2d(1, 2),
    ],
    ids=str,
)
def test_a_pooling(tmp_path: Path, pool: nn.Module) -> None:
    layers = (pool, nn.Flatten(), nn.LazyLinear(3))
    module = nn.Sequential(nn.Conv2d(2, 4, 3), Qcfs(8, 6.0), *layers)
    module(torch.zeros(1, *SHAPE))

    check(settle(module), tmp_path, SHAPE)


ROW = (3, 16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1, "bias": False},
        {"dilation": 3, "padding": "same"},
        {"groups": 3},
    ],
    ids=str,
)
def test_rows_are_maps_of_height_one(tmp_path: Path, options: dict[str, Any]) -> None:
    layers = (
        nn.Conv1d(3, 6, 3, **options),
        nn.BatchNorm1d(6),
        Qcfs(8, 4.0),
        nn.AvgPool1d(2),
        nn.Conv1d(6, 4, 3),
        Qcfs(8, 4.0),
        nn.MaxPool1d(3, 1, padding=1),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )

    graph = check(settle(nn.Sequential(*layers)), tmp_path, ROW)

    assert graph.input.shape == (3, 1, 16)


def test_flatten_keeps_the_order_of_the_values(tmp_path: Path) -> None:
    check(behind_neurons(nn.Flatten(), nn.Linear(144, 3)), tmp_path, SHAPE)


def test_dropout_and_identity_are_no_layers(tmp_path: Path) -> None:
    layers = (nn.Dropout(0.9), nn.Flatten(), nn.Identity(), nn.Linear(144, 3))

    graph = check(behind_neurons(*layers), tmp_path, SHAPE)

    assert names(graph) == ["input", "0", "1", "3", "5"]


def test_nested_sequences_are_walked_through(tmp_path: Path) -> None:
    inner = nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(144, 3)))

    graph = check(behind_neurons(inner), tmp_path, SHAPE)

    assert names(graph) == ["input", "0", "1", "2.0", "2.1.0"]


@pytest.mark.parametrize(("levels", "threshold"), [(1, 0.5), (4, 1.3), (8, 0.2)])
def test_a_qcfs_activation(tmp_path: Path, levels: int, threshold: float) -> None:
    module = settle(nn.Sequential(nn.Linear(7, 9), Qcfs(levels, threshold)))

    check(module, tmp_path, (7,))


def test_a_module_without_parameters_may_serve_twice(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 2)
            self.one, self.two = Qcfs(4, 1.0), Qcfs(4, 1.0)
            self.last = nn.Conv2d(4, 3, 2)
            self.pool = nn.AvgPool2d(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.pool(self.one(self.first(x)))
            x = self.pool(self.two(self.second(x)))
            output: Tensor = self.last(x)
            return output

    graph = check(settle(Twice()), tmp_path, SHAPE)

    assert "pool_again" in names(graph)


def test_functions_are_read_like_their_layers(tmp_path: Path) -> None:
    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.activation = nn.Conv2d(2, 4, 3), Qcfs(4, 1.0)
            self.last = nn.Linear(36, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.activation(self.first(x))
            x = nn.functional.avg_pool2d(x, 2)
            output: Tensor = self.last(torch.flatten(x, 1))
            return output

    check(settle(Functions()), tmp_path, SHAPE)


def parted(self: Any, x: Tensor) -> Any:
    x = self.act(self.first(x))
    x = nn.functional.dropout(x, 0.5, self.training)
    x = nn.functional.max_pool2d(x, 2, stride=1)
    x = nn.functional.adaptive_avg_pool2d(x, 1)
    return self.last(x.view(x.size(0), -1))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(x.shape[0], 144),
        lambda x: x.reshape(-1, 144),
        lambda x: torch.reshape(x, (x.size()[0], -1)),
        lambda x: x.view((x.shape[0], -1)),
        lambda x: x.flatten(1),
        lambda x: x.flatten(1).view(x.size(0), -1),
    ],
)
def test_views_that_are_a_flatten(
    tmp_path: Path, view: Callable[[Tensor], Tensor]
) -> None:
    def step(self: Any, x: Tensor) -> Any:
        return self.last(view(self.act(self.first(x))))

    layers = {"first": nn.Conv2d(2, 4, 3), "act": Qcfs(4, 1.0)}

    check(settle(Own(step, **layers, last=nn.Linear(144, 3))), tmp_path, SHAPE)


def test_further_functions_are_read_like_their_layers(tmp_path: Path) -> None:
    layers = {"first": nn.Conv2d(2, 4, 3), "act": Qcfs(8, 6.0)}

    check(settle(Own(parted, **layers, last=nn.Linear(4, 3))), tmp_path, SHAPE)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.view(x.size(0), 2, -1),
        lambda x: x.view(-1),
        lambda x: x.view(-1, 72),
        lambda x: x.view(x.size(0), 4, -1),
        lambda x: x.reshape(5, 144),
        lambda x: x.view(x.size(1), -1),
    ],
)
def test_views_that_are_no_flatten_are_refused_with_what_to_do(
    tmp_path: Path, view: Callable[[Tensor], Tensor]
) -> None:
    def step(self: Any, x: Tensor) -> Any:
        return self.last(view(self.act(self.first(x))))

    layers = {"first": nn.Conv2d(2, 4, 3), "act": Qcfs(4, 1.0)}

    message = refusal(Own(step, **layers, last=nn.Linear(144, 3)), tmp_path, SHAPE)

    assert re.search("mixes the inputs|takes a row|Conv2d needs|is invalid", message)


def test_our_own_spiking_neurons(tmp_path: Path) -> None:
    class Spiking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(12, 8), nn.Linear(8, 3)
            self.spikes = IntegrateAndFire(torch.tensor(0.7))

        def forward(self, x: Tensor, state: Any = None) -> Any:
            x, state = self.spikes(self.fc1(x), state)
            return self.fc2(x), state

    check(settle(Spiking()), tmp_path, (12,))


class Residual(nn.Module):
    """Two branches that meet, and neurons with a state that is passed along."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.lif_a, self.lif_b = LIFBoxCell(), LIFBoxCell()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 4, 1)
        self.flatten, self.last = nn.Flatten(), nn.Linear(256, 3)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        state = (None, None) if state is None else state
        x, a = self.lif_a(self.first(x), state[0])
        x, b = self.lif_b(self.second(x) + self.shortcut(x), state[1])
        return self.last(self.flatten(x)), (a, b)


def test_a_module_of_ones_own_with_a_residual_add_and_states(tmp_path: Path) -> None:
    module = settle(Residual())
    with torch.no_grad():
        module.first.weight.mul_(10)  # type: ignore[union-attr, operator]
        module.second.weight.mul_(10)  # type: ignore[union-attr, operator]

    graph = check(module, tmp_path, SHAPE)

    assert [type(node).__name__ for node in graph.order].count("Add") == 1


# refusals


class Own(nn.Module):
    """A module whose forward is given."""

    def __init__(self, step: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.step = step

    def forward(self, x: Tensor) -> Any:
        return self.step(self, x)


class OwnWithState(Own):
    def forward(self, x: Tensor, state: Any) -> Any:  # type: ignore[override]
        return self.step(self, x, state)


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


def hooked() -> nn.Module:
    layer = nn.Linear(7, 3)
    layer.register_forward_hook(lambda module, inputs, output: 2 * output)
    return layer


def refusal(module: nn.Module, folder: Path, shape: tuple[int, ...]) -> str:
    with pytest.raises(ModelError) as caught:
        saved(module, folder, shape)
    assert list(folder.iterdir()) == []
    message = str(caught.value)
    assert "; " in message
    return message


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (nn.MaxPool2d(2, return_indices=True), "return_indices is True, which cannot"),
        (nn.MaxPool2d(2, ceil_mode=True), "ceil_mode is True, which cannot"),
        (nn.MaxPool1d(2), "MaxPool1d needs (channel, length)"),
        (nn.AdaptiveAvgPool2d(3), "output_size 3 does not divide"),
        (nn.ConvTranspose3d(2, 2, 3), "ConvTranspose3d cannot be deployed"),
        (nn.Softmax(1), "Softmax cannot be deployed"),
        (nn.ReLU(), "a ReLU has no largest value"),
        (nn.BatchNorm3d(2), "BatchNorm3d cannot be deployed"),
        (nn.LSTM(8, 2), "LSTM cannot be deployed"),
        (nn.Hardtanh(-1, 1), "cuts values to -1 ... 1; only a ReLU"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), "'circular', which"),
        (nn.Conv2d(2, 2, 2, padding="same"), "padding 'same' with an even kernel"),
        (nn.Conv2d(3, 2, 3), "the input has 2 channels, the weight takes 3"),
        (nn.Conv2d(2, 2, 9), "leaves nothing of an input of (2, 8, 8)"),
        (
            nn.AvgPool2d(2, padding=1, count_include_pad=False),
            "count_include_pad is False, which cannot",
        ),
        (nn.AvgPool2d(3, ceil_mode=True), "ceil_mode is True, which cannot"),
        (nn.AvgPool2d(2, divisor_override=3), "divisor_override is 3, which"),
        (nn.AvgPool2d(9), "leave nothing of an input of (2, 8, 8)"),
        (nn.Flatten(2), "flatten from axis 2 to -1"),
        (nn.Flatten(1, 2), "flatten from axis 1 to 2"),
        (nn.BatchNorm2d(2, track_running_stats=False), "without running statistics"),
        (nn.Linear(8, 3), "a Linear takes a row; put an nn.Flatten before it"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_layer_that_cannot_be_deployed_is_named_with_its_parameter(
    tmp_path: Path, layer: nn.Module, words: str
) -> None:
    message = refusal(nn.Sequential(nn.Sequential(layer)), tmp_path, SHAPE)

    assert message.startswith(f"layer 0.0, {type(layer).__name__}: ")
    assert words in message


@pytest.mark.parametrize("layer", [Doubled(7, 3), hooked()], ids=["class", "hook"])
def test_a_known_layer_that_does_something_else_is_read(
    tmp_path: Path, layer: nn.Module
) -> None:
    check(nn.Sequential(layer), tmp_path, (7,))


@pytest.mark.parametrize(
    "step",
    [
        lambda self, x: self.fc(x) + 1,
        lambda self, x: 1 - self.fc(x),
        lambda self, x: torch.add(self.fc(x), self.fd(x), alpha=2),
        lambda self, x: self.fc(x) - self.fd(x),
        lambda self, x: 2 * self.fc(x),
    ],
)
def test_sums_with_factors_and_constants_are_read(
    tmp_path: Path, step: Callable[..., Any]
) -> None:
    check(Own(step, fc=nn.Linear(7, 3), fd=nn.Linear(7, 3)), tmp_path, (7,))


def loop(self: Any, x: Tensor) -> Tensor:
    output = self.fc(x)
    for _ in range(3):
        output = self.fc(x)
    return output  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (loop, "fc: forward calls this layer 4 times, as a loop over timesteps"),
        (lambda self, x: self.fc(x.softmax(1)), "Softmax cannot be deployed but as"),
        (lambda self, x: self.fc(x).softmax(0), "calls softmax: over axis 0 mixes"),
        (lambda self, x: self.fc(x).softmax(1).sigmoid(), "Softmax cannot be deployed"),
        (lambda self, x: x.sigmoid(), "the model has no layer"),
        (lambda self, x: nn.functional.dropout(self.fc(x)), "forward calls dropout"),
        (lambda self, x: self.fc(x[:, :5]), "give timesteps=5, not 6"),
        (lambda self, x: self.fc(x)[0], "forward returns what the timestep before"),
        (
            lambda self, x: self.fc(x) if x.sum() > 0 else x,
            "takes a number or a decision",
        ),
        (lambda self, x: [self.fc(t) for t in x.T], "forward cannot be traced"),
        (lambda self, x: self.fc(input=x), "names its argument"),
        (lambda self, x: x, "the model has no layer"),
        (lambda self, x: 3, "forward returns no layer's output"),
        (lambda self, x: self.scale @ self.fc(x).T, "use constant weights"),
        (lambda self, x: self.fc(torch.flatten(x, 0)), "calls flatten: mixes"),
    ],
)
def test_a_forward_that_is_no_timestep_of_layers_is_refused(
    tmp_path: Path, step: Callable[..., Any], words: str
) -> None:
    module = Own(step, fc=nn.Linear(7, 3), fd=nn.Linear(7, 3))
    module.register_buffer("scale", torch.ones(3, 3))

    assert words in refusal(module, tmp_path, (7,))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda self, x, state: (self.fc(x) + state, 0), "cannot be traced"),
        (lambda self, x, state: (self.fc(state), 0), "cannot be traced"),
        (lambda self, x, state: (self.fc(self.lif(x)[1][0]), 0), "state of neurons;"),
        (lambda self, x, state: (self.lif(x)[1], 0), "returns the state of neurons"),
    ],
)
def test_a_state_that_is_used_outside_its_neurons_is_refused(
    tmp_path: Path, step: Callable[..., Any], words: str
) -> None:
    module = OwnWithState(step, fc=nn.Linear(7, 7), lif=LIFBoxCell())

    assert words in refusal(module, tmp_path, (7,))


def test_max_pooling_of_currents_is_read_and_lowered(tmp_path: Path) -> None:
    act = Qcfs(4, 1.0)
    layers = (nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 3))

    check(nn.Sequential(*layers), tmp_path, (1, 6, 6))

    module = nn.Sequential(*layers[:2], act, *layers[2:])
    graph = snn_deploy.save(
        module, tmp_path / "q.pt", input_shape=(1, 6, 6), timesteps=4
    )
    with pytest.raises(PassError, match="1: max pooling of 0"):  # of rates, not spikes
        to_spiking(graph)


def test_an_output_that_is_thrown_away_is_refused(tmp_path: Path) -> None:
    def step(self: Any, x: Tensor) -> Any:
        self.fd(x)
        return self.fc(x)

    module = Own(step, fc=nn.Linear(7, 3), fd=nn.Linear(7, 3))

    assert "one layer must be the output, but " in refusal(module, tmp_path, (7,))


def test_weights_that_are_no_number_are_refused(tmp_path: Path) -> None:
    layer = nn.Linear(7, 3)
    nn.init.constant_(layer.weight, float("inf"))

    message = refusal(nn.Sequential(layer), tmp_path, (7,))

    assert message.startswith(
        "layer 0, Linear: weight holds 21 values that are no finite number"
    )


def test_random_networks_compute_what_torch_computes(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    for seed in range(10):
        kernel, stride, padding = draw.integers(2, 4, 3)
        layers: list[nn.Module] = [
            nn.Conv2d(2, 4, int(kernel), int(stride), int(padding)),
            nn.BatchNorm2d(4),
            Qcfs(int(draw.integers(1, 9)), 1.0),
            nn.Flatten(),
            nn.LazyLinear(3),
        ]
        module = nn.Sequential(*layers)
        module(torch.zeros(2, *SHAPE))

        check(settle(module, seed), tmp_path, SHAPE)


@pytest.mark.parametrize(
    "end",
    [
        nn.Softmax(1),
        nn.LogSoftmax(-1),
        nn.Sigmoid(),
        lambda x: nn.functional.log_softmax(x, dim=1),
        lambda x: nn.functional.softmax(x, -1),
        lambda x: torch.softmax(x, dim=1),
        lambda x: x.sigmoid(),
    ],
)
def test_what_leaves_the_largest_output_the_largest_is_dropped_and_said(
    tmp_path: Path, end: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def step(self: Any, x: Tensor) -> Any:
        return end(self.last(self.act(self.first(x))))

    layers = {"first": nn.Linear(7, 9), "act": Qcfs(4, 1.0), "last": nn.Linear(9, 3)}
    if isinstance(end, nn.Module):
        layers["end"] = end
    module = settle(Own(step, **layers))

    graph = saved(module, tmp_path, (7,))

    assert graph.output.name == "last"
    assert "behind last is dropped" in caplog.text
    outputs = evaluate(graph, images(N_INPUTS, (7,)))[:, 0]
    x = np.stack([stimulus.values[0] for stimulus in images(N_INPUTS, (7,))]) / 255
    expected = stepped(module, x)[:, 0]
    np.testing.assert_array_equal(outputs.argmax(axis=1), expected.argmax(axis=1))


def test_an_end_that_the_outputs_do_not_pass_is_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def step(self: Any, x: Tensor) -> Any:
        z = self.fc(x)
        z.softmax(1)
        return z

    saved(settle(Own(step, fc=nn.Linear(7, 3))), tmp_path, (7,))

    assert not caplog.text


@pytest.mark.parametrize(
    ("cut", "maximum"),
    [
        (nn.Hardtanh(0, 1), 1.0),
        (nn.Hardtanh(0.0, 0.3, inplace=True), 0.3),
        (nn.ReLU6(), 6.0),
        (lambda x: torch.clamp(x, 0, 1), 1.0),
        (lambda x: x.clamp(min=0, max=0.5), 0.5),
        (lambda x: torch.clip(x, 0, 2), 2.0),
        (lambda x: nn.functional.hardtanh(x, 0.0, 1.0), 1.0),
        (nn.functional.relu6, 6.0),
    ],
)
def test_a_relu_that_is_cut_off(tmp_path: Path, cut: Any, maximum: float) -> None:
    def step(self: Any, x: Tensor) -> Any:
        return self.last(cut(self.first(x)))

    layers: dict[str, nn.Module] = {"first": nn.Linear(7, 9), "last": nn.Linear(9, 3)}
    if isinstance(cut, nn.Module):
        layers["cut"] = cut

    graph = check(settle(Own(step, **layers)), tmp_path, (7,))

    (relu,) = graph.nodes_of(Relu)
    assert relu.maximum == maximum


def test_a_sum_of_spikes_and_a_current_is_a_current(tmp_path: Path) -> None:
    def step(self: Any, x: Tensor) -> Any:
        z = self.act(self.first(x))
        return self.last(self.again(z + self.second(z)))

    layers = {"first": nn.Linear(7, 9), "second": nn.Linear(9, 9)}
    acts = {"act": Qcfs(4, 1.0), "again": Qcfs(4, 1.0), "last": nn.Linear(9, 3)}
    check(settle(Own(step, **layers, **acts)), tmp_path, (7,))

    module = Own(lambda self, x: self.last(x + self.first(x)), first=nn.Linear(7, 7),
                 last=nn.Linear(7, 3))  # fmt: skip
    check(module, tmp_path, (7,))


class SharedRelu(nn.Module):
    """Uses one ReLU module twice, and a functional one."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(12, 8), nn.Linear(8, 6)
        self.fc3, self.fc4 = nn.Linear(6, 5), nn.Linear(5, 3)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.fc2(self.act(self.fc1(x))))
        out: torch.Tensor = self.fc4(nn.functional.relu(self.fc3(x)))
        return out


def test_relus_become_neurons_with_their_largest_value_as_threshold(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    module = SharedRelu().eval()
    x = np.random.default_rng(0).random((200, 12))

    graph = snn_deploy.save(
        module,
        tmp_path / "relu.pt",
        input_shape=(12,),
        timesteps=64,
        example_inputs=x,
    )

    found = {node.name: node.maximum for node in graph.nodes_of(Relu)}
    assert set(found) == {"act", "act_again", "relu"}
    assert found["act"] == found["act_again"]  # one module, its largest value
    gray = np.rint(x[:20] * 255).astype(np.int64)
    stimuli = [Stimulus(values=row[np.newaxis], is_constant=True) for row in gray]
    expected = module(torch.tensor(gray / 255, dtype=torch.float32)).detach().numpy()
    rates = evaluate(to_spiking(graph), stimuli)[:, -1] / 64
    np.testing.assert_allclose(rates, expected, atol=0.03)


def test_a_relu_without_examples_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="act, ReLU: a ReLU has no largest value"):
        snn_deploy.save(
            SharedRelu(), tmp_path / "relu.pt", input_shape=(12,), timesteps=8
        )


def test_a_relu_that_examples_never_reach_is_refused_with_that(tmp_path: Path) -> None:
    module = SharedRelu()
    nn.init.constant_(module.fc3.bias, -100)

    with pytest.raises(ModelError, match="relu: gives nothing over 0 on the 3"):
        snn_deploy.save(
            module,
            tmp_path / "relu.pt",
            input_shape=(12,),
            timesteps=8,
            example_inputs=np.ones((3, 12)),
        )


class Named(nn.Module):
    """Layers that are called as the input is, and as calls of functions are."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.first = nn.Linear(12, 6), nn.Linear(6, 6)
        self.second, self.add = nn.Linear(6, 6), nn.Linear(6, 3)
        self.relu6 = nn.ReLU6()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.input(x))
        out: torch.Tensor = self.add(self.relu6(self.first(x) + self.second(x)))
        return out


def test_layers_may_be_called_as_functions_and_the_input_are(tmp_path: Path) -> None:
    torch.manual_seed(0)

    graph = saved(Named().eval(), tmp_path, (12,))

    assert names(graph) == [
        "input", "input_again", "relu6_", "first", "second", "add_", "relu6", "add",
    ]  # fmt: skip
