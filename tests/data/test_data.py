import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.arrays import AnyArray, Shape
from snn_deploy.data.data import Data, load_arrays, read_data
from snn_deploy.errors import DataError
from snn_deploy.ir.graph import Training
from snn_deploy.ir.heads import Head, HeadKind
from snn_deploy.ir.stimuli import Encoding

SHAPE = (1, 3, 3)
DIRECT = Training(timesteps=4, encoding=Encoding.DIRECT)
RATE = Training(timesteps=4, encoding=Encoding.RATE)
EVENTS = Training(timesteps=4, encoding=Encoding.EVENTS)
X = np.random.default_rng(0).integers(0, 256, size=(5, *SHAPE), dtype=np.uint8)
SPIKES = (X[:, np.newaxis] > np.arange(0, 240, 40).reshape(-1, 1, 1, 1)).astype(int)


def read(folder: Path, training: Training = DIRECT, **arrays: Any) -> Data:
    np.savez(folder / "data.npz", **arrays)
    return read_data(folder / "data.npz", SHAPE, training, n_outputs=3)


def test_inputs_and_labels_are_read(tmp_path: Path) -> None:
    data = read(tmp_path, x=X, y=np.array([0, 1, 2, 1, 0], np.int8))

    assert len(data) == 5
    np.testing.assert_array_equal(data.x, X)
    assert data.y is not None
    assert data.y.dtype == np.int64
    assert data.y.tolist() == [0, 1, 2, 1, 0]


def test_labels_may_be_missing(tmp_path: Path) -> None:
    assert read(tmp_path, x=X).y is None


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x=X)

    np.testing.assert_array_equal(read_data(path, SHAPE, DIRECT).x, X)


def test_a_stimulus_is_the_encoded_input(tmp_path: Path) -> None:
    data = read(tmp_path, x=X)

    stimulus = data.stimulus(3)

    assert stimulus.is_constant
    np.testing.assert_array_equal(stimulus.at(2), X[3])


def test_all_stimuli_come_in_order_or_only_the_first(tmp_path: Path) -> None:
    data = read(tmp_path, x=X)

    assert [index for index, _ in data.stimuli()] == [0, 1, 2, 3, 4]
    assert [index for index, _ in data.stimuli(2)] == [0, 1]
    assert [index for index, _ in data.stimuli(99)] == [0, 1, 2, 3, 4]


def test_the_spikes_of_a_rate_depend_on_the_position_in_the_data(
    tmp_path: Path,
) -> None:
    data = read(tmp_path, RATE, x=np.repeat(X[:1], 2, axis=0))

    first, second = data.stimulus(0), data.stimulus(1)

    assert first.values.tolist() == data.stimulus(0).values.tolist()
    assert first.values.tolist() != second.values.tolist()
    assert len(first.values) == 4


def test_events_are_read_from_spikes_and_cut_at_the_last_timestep(
    tmp_path: Path,
) -> None:
    data = read(tmp_path, EVENTS, spikes=SPIKES)

    stimulus = data.stimulus(1)

    np.testing.assert_array_equal(stimulus.values, SPIKES[1, :4])


@pytest.mark.parametrize(
    ("spikes", "words"),
    [
        (SPIKES[:, :3], "spikes lasts 3 timesteps, the network needs 4; compile"),
        (
            2 * SPIKES,
            r"spikes holds counts up to 2, the network takes 1; give largest_count=2 "
            r".* or clip counts at 1 in training",
        ),
        (-SPIKES, "down to -1, and spikes have no sign; give each polarity its own"),
        (SPIKES / 2, "holds values other than whole numbers from 0 to 255; store how"),
        (256 * SPIKES, "holds values other than whole numbers from 0 to 255"),
        (np.where(SPIKES > 0, np.nan, 0), "holds values other than whole numbers"),
        (SPIKES.astype(str), "holds values other than whole numbers"),
        (SPIKES[:, 0], r"inputs of shape \(3, 3\)"),
    ],
)
def test_events_that_the_network_cannot_take_are_refused(
    tmp_path: Path, spikes: Any, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, EVENTS, spikes=spikes)


def test_spikes_behind_the_last_timestep_are_told(tmp_path: Path) -> None:
    late = np.concatenate([SPIKES, SPIKES[:, ::-1]], axis=1)  # 12 timesteps, 4 are run

    remarks = read(tmp_path, EVENTS, spikes=late).remarks()

    n_late = int(late[:, 4:].sum())
    assert remarks == [
        f"{n_late} of {late.sum()} spikes come after timestep 4, the network's last, "
        "and are left out; compile it with --timesteps 12 to take them"
    ]
    assert read(tmp_path, EVENTS, spikes=SPIKES[:, :4]).remarks() == []
    silent = np.where(
        np.arange(6)[:, np.newaxis, np.newaxis, np.newaxis] < 4, SPIKES, 0
    )
    assert read(tmp_path, EVENTS, spikes=silent).remarks() == []


def test_spikes_that_all_come_too_late_are_refused(tmp_path: Path) -> None:
    late = np.concatenate([0 * SPIKES, SPIKES], axis=1)

    with pytest.raises(
        DataError, match=r"all \d+ spikes of spikes come after timestep 4"
    ):
        read(tmp_path, EVENTS, spikes=late)


@pytest.mark.parametrize("training", [DIRECT, RATE])
def test_bytes_that_reach_little_are_told(tmp_path: Path, training: Training) -> None:
    data = read(tmp_path, training, x=(X // 16 + 1).clip(0, 16))  # as scikit-learn's

    assert data.remarks() == [
        "the bytes of x reach to 16, and 255 stands for 1: the largest value is "
        "0.0627; if 16 is to be 1, store x / 16"
    ]
    for x in (X, X.astype(np.float32) / 255, 0 * X):
        assert read(tmp_path, training, x=x).remarks() == []


def test_bytes_of_0_and_1_are_refused(tmp_path: Path) -> None:
    binary = (X > 100).astype(np.uint8)

    with pytest.raises(
        DataError, match=r"only the bytes 0 and 1, .* store x \* 255, or"
    ):
        read(tmp_path, x=binary)
    unscaled = replace(DIRECT, input_scale=255.0)  # the model takes bytes as they are
    assert len(read(tmp_path, unscaled, x=binary)) == 5
    assert len(read(tmp_path, x=binary[:1])) == 1  # a dark image


def test_labels_of_a_network_with_one_output_are_left_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=np.array([0, 1, 1, 0, 1]))

    data = read_data(tmp_path / "data.npz", SHAPE, DIRECT, n_outputs=1)

    assert data.y is None
    assert data.targets is None
    assert data.remarks() == [
        "the network has one output, so it answers with a value and no class; the "
        "labels y are left out (store values as floats)"
    ]


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3)])
def test_floats_are_values(tmp_path: Path, shape: Shape) -> None:
    y = np.arange(np.prod(shape)).reshape(shape) / 2.0
    np.savez(tmp_path / "data.npz", x=X, y=y)
    n_outputs = shape[-1] if len(shape) > 1 else 1

    data = read_data(tmp_path / "data.npz", SHAPE, DIRECT, n_outputs=n_outputs)

    assert data.y is None
    assert data.targets is not None
    np.testing.assert_array_equal(data.targets, y.reshape(5, -1))
    some = data.take([3, 1]).targets
    assert some is not None
    np.testing.assert_array_equal(some, y.reshape(5, -1)[[3, 1]])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (
            np.full((5, 2), 0.5),
            r"float64 of shape \(5, 2\); store .* floats of shape \(5, 3",
        ),
        (
            np.full(5, 0.5),
            r"float64 of shape \(5,\); store integers .* floats \(5, 3\)",
        ),
        (np.full((5, 3), np.nan), "15 values of y are NaN or infinite; leave"),
    ],
)
def test_values_of_another_form_are_refused(
    tmp_path: Path, y: AnyArray, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, x=X, y=y)


def test_values_behind_a_dropped_function_are_refused(tmp_path: Path) -> None:
    head = Head(name="", n_outputs=3, kind=HeadKind.CLASS, dropped="Sigmoid")

    with pytest.raises(DataError, match="without the Sigmoid behind its outputs"):
        read(tmp_path, replace(DIRECT, heads=(head,)), x=X, y=np.full((5, 3), 0.5))


def test_files_of_other_programs_are_told_by_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("1,2\n3,4\n")
    (tmp_path / "c.bin").write_bytes(bytes(100))
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("x.csv", "1,2")

    for name, words in {
        "b.csv": "it is text",
        "c.bin": "NumPy has not written it",
        "d.zip": "it holds 'x.csv', no array",
    }.items():
        with pytest.raises(DataError, match=f"{words}.*; store it with np.savez"):
            load_arrays(tmp_path / name)


def test_rows_of_several_channels_are_images_of_one_line(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.savez(tmp_path / "data.npz", x=rows)

    data = read_data(tmp_path / "data.npz", (3, 1, 4), DIRECT)

    np.testing.assert_array_equal(data.x, rows[:, :, np.newaxis])


def test_events_under_another_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no 'spikes' but images; store"):
        read(tmp_path, EVENTS, images=SPIKES)
    with pytest.raises(DataError, match="has no 'x' but spikes; store the inputs as"):
        read(tmp_path, spikes=X)


def test_without_the_number_of_outputs_labels_are_taken_as_they_are(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=np.array([0, 1, 2, 3, 99]))

    data = read_data(tmp_path / "data.npz", SHAPE, DIRECT)

    assert data.y is not None
    assert data.y[-1] == 99


def test_values_between_the_levels_are_counted(tmp_path: Path) -> None:
    x = X / 255
    x[0, 0, 0, 0] = 0.3001

    assert read(tmp_path, x=x).n_rounded == 1
    assert read(tmp_path, x=X).n_rounded == 0
    assert read(tmp_path, RATE, x=x).n_rounded == 1
    assert read(tmp_path, EVENTS, spikes=SPIKES).n_rounded == 0


def test_the_hash_is_of_the_inputs_alone(tmp_path: Path) -> None:
    data = read(tmp_path, x=X, y=np.array([0, 1, 2, 1, 0]))
    changed = X.copy()
    changed[0, 0, 0, 0] += 1

    assert read(tmp_path, x=X).sha256 == data.sha256
    assert read(tmp_path, x=np.asfortranarray(X)).sha256 == data.sha256
    assert read(tmp_path, x=changed).sha256 != data.sha256
    assert read(tmp_path, x=X[::-1]).sha256 != data.sha256
    assert read(tmp_path, x=X[:4]).sha256 != data.sha256
    assert read(tmp_path, x=X / 255).sha256 != data.sha256


def test_rows_of_several_channels_are_maps_of_height_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=X[:, 0])

    data = read_data(tmp_path / "data.npz", (3, 1, 3), DIRECT)

    np.testing.assert_array_equal(data.x[:, :, 0], X[:, 0])


def test_many_inputs_are_hashed_without_a_copy_of_them_all() -> None:
    n = 20_000
    image = np.random.default_rng(1).integers(0, 256, (1, 1, 28, 28)).astype(np.uint8)
    x = np.broadcast_to(image, (n, 1, 28, 28))  # as large as one to store
    data = Data(x=x, y=None, training=DIRECT)

    tracemalloc.start()
    hashes, n_rounded = data.hashes, data.n_rounded
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < x.nbytes / 2
    assert hashes.tolist() == [Data(x=image, y=None, training=DIRECT).hashes[0]] * n
    assert n_rounded == 0


def test_biases_are_hashed_alike_whatever_they_lie_among() -> None:
    """So that an input of the training is known again beside larger ones."""
    small, large = np.array([[[[7, 0, 9]]]]), np.array([[[[300, -4, 9]]]])
    training = replace(DIRECT, encoding=Encoding.BIAS)
    among = Data(x=np.concatenate([small, large]), y=None, training=training)

    alone = [Data(x=x, y=None, training=training).hashes[0] for x in (small, large)]

    assert among.hashes.tolist() == alone
    assert alone[0] == Data(x=small, y=None, training=EVENTS).hashes[0]


@pytest.mark.parametrize("names", ["X Y", "data labels", "images targets", "x Label"])
def test_inputs_and_labels_have_the_names_that_people_give_them(
    tmp_path: Path, names: str
) -> None:
    inputs, labels = names.split()
    y = np.array([0, 1, 2, 1, 0])

    for given in (y, np.eye(3)[y], np.eye(3, dtype=bool)[y]):
        data = read(tmp_path, DIRECT, **{inputs: X, labels: given})

        np.testing.assert_array_equal(data.x, X)
        assert data.y is not None
        np.testing.assert_array_equal(data.y, y)


@pytest.mark.parametrize("name", ["x", "X", "events", "frames", "data"])
def test_events_have_the_names_that_people_give_them(tmp_path: Path, name: str) -> None:
    np.testing.assert_array_equal(read(tmp_path, EVENTS, **{name: SPIKES}).x, SPIKES)


def test_names_that_may_be_the_same_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="X and data may be 'x'; store the one that is"):
        read(tmp_path, X=X, data=X)
    with pytest.raises(DataError, match="label and targets may be 'y'"):
        read(tmp_path, x=X, label=X, targets=X)
    np.testing.assert_array_equal(read(tmp_path, x=X, data=X[:2]).x, X)


def test_two_labels_of_an_input_are_none(tmp_path: Path) -> None:
    both = np.eye(3)[[0, 1, 2, 1, 0]]
    both[0, 1] = 1

    with pytest.raises(DataError, match=r"y is float64 of shape \(5, 3\); store"):
        read(tmp_path, x=X, y=both)


def test_an_array_alone_is_the_inputs(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(X))
    np.save(tmp_path / "spikes.npy", SPIKES)
    np.savez(tmp_path / "x.npz", X)

    for name in ("x.npy", "x.npz"):
        data = read_data(tmp_path / name, SHAPE, DIRECT)
        np.testing.assert_array_equal(data.x, X)
        assert data.y is None
    spikes = read_data(tmp_path / "spikes.npy", SHAPE, EVENTS)
    np.testing.assert_array_equal(spikes.x, SPIKES)


def test_an_array_that_declares_another_size_than_it_has_is_refused(
    tmp_path: Path,
) -> None:
    np.save(tmp_path / "x.npy", X)
    content = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(content.replace(b"(5, 1", b"(9, 1"))

    with pytest.raises(DataError, match="makes 209 bytes, it has 173"):
        read_data(tmp_path / "x.npy", SHAPE, DIRECT)


def test_objects_in_an_array_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)

    with pytest.raises(DataError, match="Object arrays cannot be loaded"):
        read_data(tmp_path / "x.npy", SHAPE, DIRECT)


def test_sequences_may_differ_in_length(tmp_path: Path) -> None:
    lengths = np.array([3, 4, 1, 4, 2])

    data = read(tmp_path, EVENTS, spikes=SPIKES, lengths=lengths)

    assert data.ends.tolist() == lengths.tolist()
    np.testing.assert_array_equal(data.x[4, :2], SPIKES[4, :2])
    assert not data.x[4, 2:].any()
    same = read(tmp_path, EVENTS, spikes=SPIKES[:, :4], lengths=np.full(5, 4))
    assert same.lengths is None


BIAS = Training(
    timesteps=4, encoding=Encoding.BIAS, input_scale=76.0, input_offset=64.0
)


def test_values_become_biases_and_what_is_rounded_is_told(tmp_path: Path) -> None:
    x = np.array([-1.0, 0.0, 1.0, 0.51, 0, 0, 0, 0, 0]).reshape(1, *SHAPE)

    data = read(tmp_path, BIAS, x=x)

    bias = data.stimulus(0).bias
    assert bias is not None
    assert bias.ravel()[:4].tolist() == [-12, 64, 140, 103]
    assert not data.stimulus(0).values.any()
    told = data.remarks()
    assert told[0] == "1 of 9 biases, 76 * x + 64, are rounded"
    assert "the host writes 9 biases before each input" in told[1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((2, *SHAPE), np.uint8)}, "x has type uint8; store floats"),
        ({"x": np.full((2, *SHAPE), 99.0)}, "reaches to 7588, a mantissa holds 4095"),
        ({"x": np.full((2, *SHAPE), np.nan)}, "is nan; remove values that are no"),
        ({"bias": np.full((2, *SHAPE), 0.5)}, "bias must hold whole numbers"),
        ({"bias": np.full((2, *SHAPE), 5000)}, "reaches to 5000"),
        ({"spikes": np.ones((2, 4, *SHAPE))}, "has no 'x' but spikes"),
        ({"x": SPIKES[:2, :4] / 2}, "a bias is one for all of them"),
    ],
)
def test_what_is_no_bias_is_refused(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, BIAS, **arrays)
