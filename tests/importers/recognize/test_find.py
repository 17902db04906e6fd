"""find_neurons: neurons in arithmetic of any form, never misread."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings

from snn_deploy.errors import ModelError
from tests.importers.recognize.recording import (
    found,
    found_all,
    outputs_of_cell,
    outputs_of_function,
)

SHAPE = (3, 2, 2)


class Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        spikes: torch.Tensor = (x > 0).to(x.dtype)
        return spikes

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        slope: torch.Tensor = 1 / (1 + x.abs()) ** 2
        return gradients[0] * slope


INTEGRATIONS: dict[str, Callable[..., Any]] = {
    "v * keep + x": lambda v, x, keep: v * keep + x,
    "x + keep * v": lambda v, x, keep: x + keep * v,
    "v + (x - v) / tau": lambda v, x, keep: v + (x - v) * (1 - keep),
    "lerp": lambda v, x, keep: torch.lerp(
        v, x, torch.as_tensor(1 - keep, dtype=v.dtype)
    ),
    "v - (1 - keep) * v + x": lambda v, x, keep: v - (1 - keep) * v + x,
    "addcmul": lambda v, x, keep: torch.addcmul(
        x, v, torch.as_tensor(keep, dtype=v.dtype)
    ),
    "mul_, add_": lambda v, x, keep: v.clone().mul_(keep).add_(x),
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "v > th": lambda v, th: (v > th).float(),
    "v >= th": lambda v, th: (v >= th).to(v.dtype),
    "th < v": lambda v, th: torch.lt(torch.as_tensor(th, dtype=v.dtype), v).double(),
    "v - th > 0": lambda v, th: ((v - th) > 0).double(),
    "v / th - 1 >= 0": lambda v, th: (v / th - 1 >= 0).double(),
    "heaviside": lambda v, th: torch.heaviside(
        v - th, torch.tensor(0.0, dtype=v.dtype)
    ),
    "surrogate": lambda v, th: Surrogate.apply(v - th),  # type: ignore[no-untyped-call]
    "not <=": lambda v, th: (~(v <= th)).double(),
    "where": lambda v, th: torch.where(v > th, 1.0, 0.0),
    "sign of relu": lambda v, th: torch.sign(torch.relu(v - th)),
}
RESETS: dict[str, Callable[..., Any]] = {
    "v * (1 - s)": lambda v, s, th: v * (1 - s),
    "v - v * s": lambda v, s, th: v - v * s.detach(),
    "where 0": lambda v, s, th: torch.where(s > 0, 0.0, v),
    "masked_fill": lambda v, s, th: v.masked_fill(s.bool(), 0.0),
    "v - s * th": lambda v, s, th: v - s.detach() * th,
    "v - s * 0.3": lambda v, s, th: v - 0.3 * s,
    "to 0.1": lambda v, s, th: (1 - s) * v + s * 0.1,
    "none": lambda v, s, th: v,
}


def build(
    integration: str,
    comparison: str,
    reset: str,
    order: str,
    keep: Any,
    threshold: Any,
    synaptic: float | None,
) -> Callable[..., Any]:
    """Return one timestep of a neuron, ``f(x, v[, i or s])``."""
    integrate, compare = INTEGRATIONS[integration], COMPARISONS[comparison]
    after = RESETS[reset]

    def plain(x: Any, v: Any) -> Any:
        v = integrate(v, x, keep)
        spikes = compare(v, threshold)
        return spikes, after(v, spikes, threshold)

    def with_current(x: Any, v: Any, current: Any) -> Any:
        current = synaptic * current + x
        v = integrate(v, current, keep)
        spikes = compare(v, threshold)
        return spikes, after(v, spikes, threshold), current

    def late(x: Any, v: Any, spikes: Any) -> Any:
        v = integrate(after(v, spikes, threshold), x, keep)
        spikes = compare(v, threshold)
        return spikes, v, spikes

    if synaptic is not None:
        return with_current
    return late if order == "reset first" else plain


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(
    integration=st.sampled_from(sorted(INTEGRATIONS)),
    comparison=st.sampled_from(sorted(COMPARISONS)),
    reset=st.sampled_from(sorted(RESETS)),
    order=st.sampled_from(["integration first", "reset first"]),
    keep=st.one_of(st.sampled_from([0.5, 1.0, 0.9]), st.floats(0.05, 0.95)),
    is_per_channel=st.booleans(),
    threshold=st.one_of(st.sampled_from([1.0, 0.5]), st.floats(0.4, 3.0)),
    synaptic=st.one_of(st.none(), st.floats(0.05, 0.95)),
    start=st.sampled_from([0.0, 0.0, 0.25]),
)
def test_neurons_of_any_form_are_read_as_what_they_do(
    integration: str,
    comparison: str,
    reset: str,
    order: str,
    keep: Any,
    is_per_channel: bool,
    threshold: Any,
    synaptic: float | None,
    start: float,
) -> None:
    assume(keep < 1 or integration not in ("v + (x - v) / tau", "lerp"))
    # some channels leak, some do not, none resets: its voltage is read, and refused
    assume(not (is_per_channel and keep == 1 and start and reset == "none"))
    if is_per_channel:
        spread = torch.tensor([0.6, 0.8, 1.0], dtype=torch.float64).reshape(-1, 1, 1)
        keep, threshold = keep * spread, threshold * spread
    function = build(integration, comparison, reset, order, keep, threshold, synaptic)
    has_second = synaptic is not None or order == "reset first"
    states = (start, 0.0) if has_second else (start,)

    neurons = found(function, SHAPE, *states)

    assert len(neurons) == 1
    inputs = np.random.default_rng(1).normal(0.3, 1.0, (24, 16, *SHAPE))
    inputs *= np.geomspace(0.5, 30, 16).reshape(-1, 1, 1, 1)
    expected = outputs_of_function(function, inputs, *states)
    assert expected.any()
    np.testing.assert_array_equal(outputs_of_cell(neurons[0], inputs), expected)


def spiking(v: torch.Tensor, threshold: Any = 1.0) -> torch.Tensor:
    spikes: torch.Tensor = (v > threshold).double()
    return spikes


def leaky(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v)
    return spikes, v * (1 - spikes)


def worth_a_threshold(x: Any, v: Any) -> Any:
    v = v + x
    spikes = (v >= 0.8).double() * 0.8
    return spikes, v - spikes


def with_current(x: Any, i: Any, v: Any) -> Any:
    i = 0.75 * i + x
    v = 0.5 * v + i
    spikes = spiking(v)
    return spikes, i, v - spikes


def late(x: Any, i: Any, v: Any) -> Any:
    v = v + 0.25 * (i - v)
    spikes = spiking(v)
    return spikes, 0.5 * i + x, v * (1 - spikes)


def silent(x: Any, v: Any) -> Any:
    v = v * 0.5 + x + 0.125
    return v, v


def reset_to_rest(x: Any, v: Any) -> Any:
    v = v + (x - (v - 0.25)) / 2
    spikes = spiking(v)
    return spikes, torch.where(spikes > 0, 0.25, v)


def delayed_reset(x: Any, v: Any) -> Any:
    v = 0.8 * v + x - spiking(v) * 1.0
    return spiking(v), v


def two_late(x: Any, syn: Any, mem: Any) -> Any:
    out = ((mem - 1.0) > 0).double()
    return out, 0.8 * syn + x, (0.9 * mem + syn) * (1.0 - out)


def rested(x: Any, mem: Any) -> Any:
    reset = spiking(mem)
    mem = (0.75 * mem + x) * (1 - reset)
    return spiking(mem), mem


@pytest.mark.parametrize(
    ("function", "states", "told"),
    [
        (
            two_late,
            2,
            "leaky neurons, decay 0.1, current decay 0.2, the input 2 timesteps late, "
            "threshold 1, hard reset, v > threshold, rest for one timestep after a "
            "spike",
        ),
        (
            rested,
            1,
            "leaky neurons, decay 0.25, threshold 1, hard reset, v > threshold, rest "
            "for one timestep after a spike",
        ),
        (leaky, 1, "leaky neurons, decay 0.5, threshold 1, hard reset, v > threshold"),
        (
            worth_a_threshold,
            1,
            "integrate-and-fire neurons, threshold 0.8, soft reset, v >= threshold, "
            "a spike is worth 0.8",
        ),
        (
            with_current,
            2,
            "leaky neurons, decay 0.5, current decay 0.25, threshold 1, soft reset, "
            "v > threshold",
        ),
        (
            late,
            2,
            "leaky neurons, decay 0.25, current decay 0.5, input times 0.25, the input "
            "one timestep late, threshold 1, hard reset, v > threshold",
        ),
        (silent, 1, "leaky read-outs, decay 0.5, bias 0.125"),
        (
            reset_to_rest,
            1,
            "leaky neurons, decay 0.5, input times 0.5, start at -0.25, threshold "
            "0.75, hard reset, v > threshold",
        ),
        (
            delayed_reset,
            1,
            "leaky neurons, decay 0.2, threshold 1, soft reset by 1.25, v > threshold",
        ),
    ],
)
def test_what_neurons_are_read_as_is_told_in_one_line(
    function: Callable[..., Any], states: int, told: str
) -> None:
    (neurons,) = found(function, SHAPE, *[0.0] * states)

    assert neurons.told == f"Own: read as {told}"


def adaptive(x: Any, v: Any, rise: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v, 1 + rise)
    return spikes, v * (1 - spikes), 0.9 * rise + 0.1 * spikes


def refractory(x: Any, v: Any, left: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v) * (left <= 0)
    left = torch.where(spikes > 0, 2.0, left - 1)
    return spikes, v * (1 - spikes), left


def blocked_input(x: Any, v: Any, left: Any) -> Any:
    v = v * 0.5 + x * (left <= 0)
    spikes = spiking(v)
    return spikes, v * (1 - spikes), torch.where(spikes > 0, 2.0, left - 1)


def tired_later(x: Any, v: Any, count: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v, 1 + 0.5 * (count > 5))
    return spikes, v * (1 - spikes), count + spikes


def quadratic(x: Any, v: Any) -> Any:
    v = v + 0.1 * v * v + x
    spikes = spiking(v)
    return spikes, v * (1 - spikes)


def exponential(x: Any, v: Any) -> Any:
    v = v * 0.5 + torch.exp(v - 2) + x
    spikes = spiking(v)
    return spikes, v * (1 - spikes)


def floored(x: Any, v: Any) -> Any:
    v = torch.clamp(v * 0.5 + x, min=-1.0)
    spikes = spiking(v)
    return spikes, v * (1 - spikes)


def noisy(x: Any, v: Any) -> Any:
    v = v * 0.5 + x + 0.1 * torch.rand_like(v)
    spikes = spiking(v)
    return spikes, v * (1 - spikes)


def ternary(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v) - spiking(-v)
    return spikes, v - spikes


def graded(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v)
    return spikes * v, v * (1 - spikes)


def reset_voltage_out(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v)
    return v, v * (1 - spikes)


def growing(x: Any, v: Any) -> Any:
    v = v * 1.25 + x
    spikes = spiking(v)
    return spikes, v * (1 - spikes)


def without_threshold(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v, -0.5)
    return spikes, v * (1 - spikes)


def excited_by_spikes(x: Any, v: Any) -> Any:
    v = v * 0.5 + x
    spikes = spiking(v)
    return spikes, v + 0.25 * spikes


def current_reset_too(x: Any, i: Any, v: Any) -> Any:
    i = 0.75 * i + x
    v = 0.5 * v + i
    spikes = spiking(v)
    return spikes, i * (1 - spikes), v * (1 - spikes)


def decay_that_changes(x: Any, v: Any, age: Any) -> Any:
    v = v * (0.5 + 0.01 * age) + x
    spikes = spiking(v)
    return spikes, v * (1 - spikes), age + 1


def inverted(x: Any, v: Any) -> Any:
    v = v * 0.5 - x
    spikes = spiking(v)
    return spikes, v * (1 - spikes)


@pytest.mark.parametrize(
    ("function", "states", "reason"),
    [
        (adaptive, 2, "in another way than decay, input, spike and reset"),
        (refractory, 2, "else than whether one value is over another"),
        (blocked_input, 2, "in another way than decay, input, spike and reset"),
        (tired_later, 2, "something else than it seemed from timestep"),
        (quadratic, 1, "multiplies"),
        (exponential, 1, "calls exp"),
        (floored, 1, r"cuts values off \(clamp\)"),
        (noisy, 1, "calls rand_like"),
        (ternary, 1, "else than whether one value is over another"),
        (graded, 1, "lets another value out than its spikes|else than whether"),
        (reset_voltage_out, 1, "gives out a voltage that spikes set to 0"),
        (growing, 1, r"keeps 1\.25 of its voltage .* allowed is 0 to 1"),
        (without_threshold, 1, r"has a threshold of -0\.5.*must be over 0"),
        (excited_by_spikes, 1, "raises its voltage when it spikes"),
        (current_reset_too, 2, "in another way than decay, input, spike and reset"),
        (decay_that_changes, 2, "in another way|has a threshold"),
        (inverted, 1, "else than whether one value is over another"),
    ],
)
def test_what_no_neuron_does_is_refused_with_the_reason(
    function: Callable[..., Any], states: int, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason) as refusal:
        found(function, SHAPE, *[0.0] * states)

    assert "found: " in str(refusal.value)
    assert "spike = (v > threshold).float()" in str(refusal.value)


def test_neurons_whose_spikes_meet_are_told_apart() -> None:
    def two(x: Any, v: Any, w: Any) -> Any:
        first, v = leaky(x, v)
        second, w = worth_a_threshold(
            torch.nn.functional.linear(x, torch.eye(4, dtype=x.dtype)), w
        )
        return first + second, v, w

    neurons = found_all(two, (4,), 0.0, 0.0)

    assert [type(n.inputs[0]).__name__ for n in neurons] == ["Item", "Item"]
    assert [n.inputs[0].operation for n in neurons] == ["input", "linear"]
    assert [n.reading.spike_value for n in neurons] == [1.0, 0.8]


def test_neurons_may_have_an_input_in_two_parts() -> None:
    def both(x: Any, v: Any) -> Any:
        other = torch.nn.functional.linear(x, torch.eye(4, dtype=x.dtype))
        v = v * 0.5 + x
        v = v + other
        spikes = spiking(v)
        return spikes, v * (1 - spikes)

    (neurons,) = found_all(both, (4,), 0.0)

    assert [item.operation for item in neurons.inputs] == ["input", "linear"]


def test_inputs_that_count_differently_are_refused() -> None:
    def both(x: Any, v: Any) -> Any:
        other = torch.nn.functional.linear(x, torch.eye(4, dtype=x.dtype))
        v = v * 0.5 + x
        spikes = spiking(v + other)
        return spikes, v * (1 - spikes)

    with pytest.raises(ModelError, match="weighs its inputs in different ways"):
        found_all(both, (4,), 0.0)


def test_a_voltage_that_nothing_resets_is_read_out_beside_spikes() -> None:
    def both(x: Any, v: Any) -> Any:
        v = v * 0.5 + x
        return torch.nn.functional.linear(v, torch.eye(4, dtype=x.dtype)), spiking(v), v

    function = lambda x, v: (lambda a, s, v: (a + s, v))(*both(x, v))  # noqa: E731
    neurons = found_all(function, (4,), 0.0)

    assert sorted(type(n.node).__name__ for n in neurons) == [
        "Integrator",
        "Lif",
    ]


def test_a_state_that_nothing_takes_is_no_neuron() -> None:
    def counting(x: Any, count: Any, v: Any) -> Any:
        spikes, v = leaky(x, v)
        return spikes, count + spikes, v

    assert len(found(counting, SHAPE, 0.0, 0.0)) == 1


def test_large_layers_are_proved_on_few_neurons() -> None:
    (neurons,) = found(leaky, (64, 112, 112), 0.0)

    assert neurons.node.shape == (64, 112, 112)
    assert neurons.reading.threshold.shape == ()


def test_a_row_of_channels_is_a_map_of_height_one() -> None:
    keep = torch.tensor([0.5, 0.25], dtype=torch.float64).reshape(2, 1)

    def each(x: Any, v: Any) -> Any:
        v = v * keep + x
        spikes = spiking(v)
        return spikes, v * (1 - spikes)

    (neurons,) = found(each, (2, 5), 0.0)

    assert neurons.node.shape == (2, 1, 5)
    assert neurons.node.voltage_decay.shape == (2, 1, 1)
