"""Recordings of events by their fields, as tonic gives them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.arrays import AnyArray
from snn_deploy.data.recordings import bin_events
from snn_deploy.errors import DataError
from snn_deploy.front.inputs import as_data
from snn_deploy.ir.graph import Training
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding
from snn_deploy.nn.neurons import Qcfs

SHAPE, T = (2, 3, 4), 5
EVENT = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?")])
RNG = np.random.default_rng(0)


def recording(n: int, shape: tuple[int, ...] = SHAPE, start: int = 700) -> AnyArray:
    events = np.zeros(n, EVENT)
    for axis, size in zip("pyx", shape, strict=True):
        events[axis] = RNG.integers(0, size, n)
    events["t"] = start + np.sort(RNG.integers(0, 10_000, n))
    return events


RECORDINGS = [recording(n) for n in (60, 90, 1)]


class Events:
    """A data set as tonic has them: (events, label), and the size of the sensor."""

    def __init__(self, *size: int) -> None:
        self.sensor_size = size

    def __len__(self) -> int:
        return len(RECORDINGS)

    def __getitem__(self, index: int) -> tuple[AnyArray, int]:
        return RECORDINGS[index], index % 2


def graph(shape: tuple[int, ...] = SHAPE, **options: Any) -> QuantizedGraph:
    layers = nn.Flatten(), nn.Linear(int(np.prod(shape)), 2), Qcfs(4, 1.0)
    options = {"encoding": "events", "timesteps": T, **options}
    net = sd.compile(nn.Sequential(*layers), input_shape=shape, **options)
    return net.artifact.network.graph


def counted(events: AnyArray, width: float) -> AnyArray:
    """Return how many events each timestep and place has, one by one."""
    found = np.zeros((T, *SHAPE), int)
    for event in events:
        timestep = int((event["t"] - events["t"].min()) // width)
        if timestep < T:
            found[timestep, int(event["p"]), event["y"], event["x"]] += 1
    return found


def test_each_recording_is_cut_into_equal_timesteps() -> None:
    data = as_data(Events(4, 3, 2), None, graph())

    assert data.lengths is None
    assert data.y is not None
    assert data.y.tolist() == [0, 1, 0]
    for found, events in zip(data.x, RECORDINGS, strict=True):
        lasts = events["t"].max() - events["t"].min() + 1
        np.testing.assert_array_equal(found, counted(events, lasts / T) > 0)
    (note,) = data.remarks()
    assert "sorted into 5 timesteps of equal length" in note


@pytest.mark.parametrize("form", ["lengths", "mask"])
def test_lengths_that_are_given_stand_before_the_last_event(form: str) -> None:
    lengths = np.array([5, 4, 3])
    said = lengths if form == "lengths" else np.arange(T) < lengths[:, np.newaxis]
    ends = np.cumsum([0, *map(len, RECORDINGS)])
    x = {"events": np.concatenate(RECORDINGS), "offsets": ends, form: said}

    found = as_data(x, None, graph(dt=3e-3))

    assert found.ends.tolist() == [5, 4, 3]
    assert as_data(RECORDINGS, None, graph(dt=3e-3)).ends.tolist() != [5, 4, 3]


def test_timesteps_of_a_known_length_end_with_the_recording() -> None:
    data = as_data(RECORDINGS, [1, 0, 1], graph(dt=3e-3))

    last = [(events["t"].max() - events["t"].min()) // 3000 for events in RECORDINGS]
    assert data.ends.tolist() == [t + 1 for t in last]
    for found, events in zip(data.x, RECORDINGS, strict=True):
        np.testing.assert_array_equal(found, counted(events, 3000) > 0)
    (note,) = data.remarks()
    assert "timesteps of 3 ms" in note


def test_late_events_are_counted_and_left_out() -> None:
    data = as_data(RECORDINGS, None, graph(dt=1e-3))

    n_late = sum(int((e["t"] - e["t"].min() >= 5000).sum()) for e in RECORDINGS)
    (note,) = data.remarks()
    assert f"{n_late} of 151 come after timestep 5, the network's last" in note
    assert data.ends.max() == T


def test_counts_are_kept_where_the_network_takes_them() -> None:
    data = as_data(RECORDINGS, None, graph(largest_count=9))

    lasts = RECORDINGS[0]["t"].max() - RECORDINGS[0]["t"].min() + 1
    np.testing.assert_array_equal(data.x[0], counted(RECORDINGS[0], lasts / T))
    with pytest.raises(DataError, match="counts up to 3, the network takes 2; give"):
        as_data(np.repeat(RECORDINGS[2], 3), None, graph(largest_count=2))


def test_bins_are_those_of_the_reader_of_files() -> None:
    events = RECORDINGS[0]
    times = events["t"] - events["t"].min()
    places = np.stack([events[axis].astype(int) for axis in "pyx"])

    found = as_data(events, None, graph(dt=2e-3)).x[0]

    offsets = np.array([0, len(events)])
    expected = bin_events(
        places, times, offsets, SHAPE, n_timesteps=T, duration=2000 * T
    )
    np.testing.assert_array_equal(found, expected[0])


def test_polarities_may_be_merged_or_signs_and_lines_have_no_y() -> None:
    events = RECORDINGS[0]
    signed = events.astype([("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "i1")])
    signed["p"] = np.where(events["p"], 1, -1)
    line = np.zeros(len(events), [("t", "i8"), ("x", "i2"), ("p", "i1")])
    for axis in ("t", "x", "p"):
        line[axis] = events[axis]

    both = as_data(events, None, graph()).x
    merged = as_data(events, None, graph((1, 3, 4))).x
    of_line = as_data(line, None, graph((4,))).x

    np.testing.assert_array_equal(as_data(signed, None, graph()).x, both)
    np.testing.assert_array_equal(merged[:, :, 0], both.max(axis=2))
    np.testing.assert_array_equal(of_line, both.max(axis=(2, 3)))


def test_one_recording_is_an_input() -> None:
    layers = nn.Flatten(), nn.Linear(24, 2), Qcfs(4, 1.0)
    net = sd.compile(
        nn.Sequential(*layers), input_shape=SHAPE, timesteps=T, encoding="events"
    )

    answers = [net(events).prediction for events in RECORDINGS]

    rows = net.profile(Events(4, 3, 2), progress=False).rows
    assert answers == [row.prediction for row in rows]


def test_a_file_holds_recordings_with_offsets(tmp_path: Any) -> None:
    path = tmp_path / "events.npz"
    ends = np.cumsum([0, *map(len, RECORDINGS)])
    np.savez(path, events=np.concatenate(RECORDINGS), offsets=ends, label=[0, 1, 0])
    given = graph()

    found = sd.read_data(path, SHAPE, given.training)

    np.testing.assert_array_equal(found.x, as_data(RECORDINGS, None, given).x)


def renamed(**names: str) -> AnyArray:
    fields = [(names.get(name, name), EVENT[name]) for name in EVENT.names or ()]
    return RECORDINGS[0].astype(fields)


WIDE = RECORDINGS[0].copy()
WIDE["x"][3] = 4


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        (Events(5, 3, 2), {}, r"5 x 3 places .* input_shape=\(2, 3, 5\), or crop"),
        (WIDE, {}, r"p, y, x of events reach from \[0, 0, 0\] to \[1, 2, 4\]"),
        (renamed(p="on"), {}, "fields t, x, y, on, and .* need p; name them so"),
        (renamed(t="time"), {}, "need t; name them so"),
        (RECORDINGS[0], {"shape": (4,)}, "events have a y, and inputs of"),
        (RECORDINGS[0], {"encoding": "direct"}, "save the network with encoding='ev"),
        ([RECORDINGS[0], RECORDINGS[0][:0]], {}, "each recording needs one; leave"),
    ],
)
def test_recordings_of_another_sensor_are_refused(
    x: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        as_data(x, None, graph(**options))


def test_tensors_have_no_fields() -> None:
    training = Training(timesteps=T, encoding=Encoding.EVENTS)
    assert training.dt is None
    frames = torch.zeros(2, T, *SHAPE)
    assert as_data(frames, None, graph()).remarks() == []
