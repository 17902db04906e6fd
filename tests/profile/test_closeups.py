"""closeups: inputs worth a look, their pictures, what the network does with them."""

from dataclasses import replace

import numpy as np
import pytest

from snn_deploy.arrays import AnyArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.data.data import Data
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.profile.closeups import (
    LARGEST_SIDE,
    look_closer,
    picture,
    worth_a_look,
)
from tests.build import RATE
from tests.profile.test_profile import artifact, data, profiled
from tests.report.profiles import (
    changed,
    early_rows,
    fixed_rows,
    profile,
    without_cutoff,
)


def images(x: AnyArray, encoding: Encoding = Encoding.DIRECT) -> Data:
    return Data(x=x, y=None, training=replace(RATE, encoding=encoding))


def test_spikes_and_answers_are_the_machine_s() -> None:
    network, inputs = artifact().network, data()
    found = look_closer(profiled(risk(3.0)), inputs, open_backend("cpu"))
    program = open_backend("cpu").load(network)
    n_timesteps = network.graph.training.timesteps

    assert len(found.inputs) == 9
    for closeup in found.inputs:
        spikes = program.record(
            inputs.stimulus(closeup.position), ("spikes",), n_timesteps=n_timesteps
        )
        for layer in closeup.layers:
            offset = network.graph.population(layer.layer).offset
            expected = spikes[layer.layer, "spikes"][offset : offset + n_timesteps]
            np.testing.assert_array_equal(layer.spikes, expected > 0)
            np.testing.assert_array_equal(layer.counts, expected.sum(axis=1))
        outputs = spikes["out", "spikes"][-n_timesteps:].cumsum(axis=0)
        np.testing.assert_array_equal(closeup.answers, outputs.argmax(axis=1))
        second, first = np.sort(outputs, axis=1)[:, -2:].T
        np.testing.assert_array_equal(closeup.gaps, first - second)


def test_the_gap_at_the_stop_is_that_of_the_profile() -> None:
    found = profiled(risk(3.0))

    for closeup in look_closer(found, data(), open_backend("cpu")).inputs:
        row = found.rows[closeup.position]
        assert closeup.gaps[row.timesteps - 1] == row.gap
        assert closeup.answers[row.timesteps - 1] == row.prediction


def test_inputs_without_a_picture_have_none() -> None:
    assert not look_closer(profiled(), data(), open_backend("cpu")).pictures.size


def test_wrong_costly_changed_and_cheap_inputs_come_first() -> None:
    rows = early_rows(6)  # the last one is wrong; 1, 2, 3, 1, 2, 3 timesteps
    wrong = changed(rows[3], prediction=0)
    found = profile(6, rows=(*rows[:3], wrong, *rows[4:]))

    order = worth_a_look(found, 6).tolist()

    assert order[0] == 5
    assert sorted(order) == list(range(6))
    assert order.index(3) < order.index(1)
    assert order.index(2) < order.index(4)
    assert worth_a_look(found, 2).tolist() == order[:2]


def test_every_input_is_worth_a_look_where_nothing_is_known() -> None:
    rows = fixed_rows(4, label=None)

    order = worth_a_look(without_cutoff(rows=rows, fixed_rows=rows), 9)

    assert sorted(order.tolist()) == list(range(4))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 4, 5), (4, 5)),
        ((3, 4, 5), (4, 5, 3)),
        ((4, 5), (4, 5)),
        ((7,), (0, 0)),
        ((16, 4, 5), (0, 0)),
        ((1, 1, 5), (0, 0)),
        ((3, 2 * LARGEST_SIDE, 10), (LARGEST_SIDE, 5, 3)),
    ],
)
def test_what_looks_like_a_picture_is_one(
    shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    x = np.arange(np.prod(shape)).reshape(1, *shape) % 256

    assert picture(images(x.astype(np.uint8)), 0).shape == expected


def test_pixels_are_those_of_the_input() -> None:
    gray = np.array([[[[0, 128], [255, 7]]]], np.uint8)
    colors = np.arange(12).reshape(1, 3, 2, 2).astype(np.uint8)

    np.testing.assert_array_equal(picture(images(gray), 0), gray[0, 0])
    np.testing.assert_array_equal(picture(images(gray / 255), 0), gray[0, 0])
    assert picture(images(colors), 0)[0, 1].tolist() == [1, 5, 9]


def test_events_are_counted_on_in_red_and_off_in_blue() -> None:
    spikes = np.zeros((1, 4, 2, 2, 3), np.uint8)
    spikes[0, :4, 0, 0, 0] = 1
    spikes[0, :2, 1, 1, 2] = 1

    pixels = picture(images(spikes, Encoding.EVENTS), 0)

    assert not picture(images(np.zeros_like(spikes), Encoding.EVENTS), 0).any()
    assert pixels.shape == (2, 3, 3)
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[1, 2].tolist() == [0, 0, 128]
