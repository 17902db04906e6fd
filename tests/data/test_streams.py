"""streams: folders and pipes give the inputs that were put in, or say what is wrong."""

import io
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.arrays import AnyArray
from snn_deploy.data.streams import from_files, from_pipe
from snn_deploy.errors import DataError
from snn_deploy.ir.graph import Training
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.stimuli import Encoding, input_hashes
from tests.build import dense, integers, population, rng

SHAPE = (1, 2, 3)


def graph(encoding: Encoding = Encoding.DIRECT) -> QuantizedGraph:
    return integers(
        [population("out", (3,))],
        [dense("input", "out", np.ones((3, 6)))],
        shape=SHAPE,
        largest_value=255,
        training=Training(timesteps=4, encoding=encoding),
    )


def images(n: int, seed: int = 0) -> AnyArray:
    return rng(seed).integers(0, 256, size=(n, *SHAPE)).astype(np.uint8)


def pipe(*arrays: AnyArray, cut: int = 0, after: bytes = b"") -> io.BufferedReader:
    """Return a pipe with arrays as ``numpy.save`` writes them, some bytes missing."""
    written = io.BytesIO()
    for array in arrays:
        np.save(written, array)
    content = written.getvalue()
    raw = io.BytesIO(content[: len(content) - cut] + after)
    return io.BufferedReader(raw)


def test_files_of_a_folder_come_by_name(tmp_path: Path) -> None:
    for name, n in (("b", 2), ("a", 1), ("c", 3)):
        np.savez(tmp_path / f"{name}.npz", x=images(n), y=np.zeros(n, np.int64))
    np.savez(tmp_path / ".hidden.npz", x=images(9))
    (tmp_path / "note.txt").write_text("no data")

    found = list(from_files(tmp_path, graph()))

    assert [name for name, _ in found] == ["a.npz", "b.npz", "c.npz"]
    assert [len(data) for _, data in found] == [1, 2, 3]
    assert all(data.y is not None for _, data in found)


def test_a_folder_that_is_followed_gives_files_that_come_later(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", x=images(1))
    arrivals = from_files(tmp_path, graph(), follow=True)
    first, _ = next(arrivals)

    def write_later() -> None:
        time.sleep(0.3)
        np.savez(tmp_path / ".2.npz", x=images(2))
        (tmp_path / ".2.npz").rename(tmp_path / "2.npz")

    writer = threading.Thread(target=write_later)
    writer.start()
    second, data = next(arrivals)
    writer.join()

    assert (first, second, len(data)) == ("1.npz", "2.npz", 2)


@pytest.mark.parametrize("name", ["missing", ""])
def test_a_folder_without_data_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="check the path"):
        list(from_files(tmp_path / name, graph()))


def test_a_damaged_file_of_a_folder_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", x=images(1))
    (tmp_path / "2.npz").write_bytes(b"PK nothing")
    arrivals = from_files(tmp_path, graph())
    next(arrivals)

    with pytest.raises(DataError, match=r"2\.npz: not an \.npz"):
        next(arrivals)


def test_a_pipe_takes_single_inputs_and_several() -> None:
    one, three = images(1)[0], images(3, seed=1)
    floats = images(2) / 255

    found = list(from_pipe(pipe(one, three, floats), graph()))

    assert [name for name, _ in found] == ["0", "1", "2"]
    np.testing.assert_array_equal(found[0][1].x, one[np.newaxis])
    np.testing.assert_array_equal(found[1][1].x, three)
    np.testing.assert_array_equal(found[2][1].hashes, input_hashes(images(2)))


def test_an_input_is_given_before_the_next_one_arrives() -> None:
    written = io.BytesIO()
    np.save(written, images(1)[0])
    pulled: list[int] = []

    class Slow(io.RawIOBase):
        """Gives one array, and notes when somebody asks for more."""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            pulled.append(len(buffer))
            if len(pulled) > 1:
                return 0
            content = written.getvalue()
            buffer[: len(content)] = content
            return len(content)

    arrivals = from_pipe(io.BufferedReader(Slow()), graph())

    next(arrivals)

    assert len(pulled) == 1


def test_events_come_as_timesteps() -> None:
    spikes = rng().integers(0, 2, size=(5, 4, *SHAPE)).astype(np.uint8)

    found = list(from_pipe(pipe(spikes, spikes[0]), graph(Encoding.EVENTS)))

    assert [len(data) for _, data in found] == [5, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: pipe(x, cut=5), "cut short, 7 of 12 bytes of an array"),
        (lambda x: pipe(x, cut=100), "no .npy array"),
        (lambda x: pipe(x[:, :, :1]), r"has shape \(2, 1, 1, 3\), the network"),
        (
            lambda x: pipe(np.zeros((2, 9), np.uint8)),
            r"has shape \(2, 9\), the network",
        ),
        (lambda x: pipe(x, after=b"more than arrays"), "no .npy array"),
        (lambda x: pipe(np.array([x, x], object)), "not a plain array in row order"),
        (lambda x: pipe(x.astype(np.float64) * 9), "reaches from"),
        (lambda x: pipe(x.astype(np.int64)), "x has type int64"),
        (lambda x: pipe(np.asfortranarray(x)), "not a plain array in row order"),
    ],
)
def test_what_a_pipe_must_not_hold_is_refused(
    make: Callable[[AnyArray], io.BufferedReader], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list(itertools.islice(from_pipe(make(images(2)), graph()), 4))


def test_an_array_that_claims_to_be_huge_is_not_read() -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40, *SHAPE)}
    )
    raw = io.BytesIO(header.getvalue())

    with pytest.raises(DataError, match="bytes, allowed are 1073741824; send fewer"):
        next(from_pipe(io.BufferedReader(raw), graph()))


def test_nothing_at_all_is_an_empty_stream() -> None:
    assert list(from_pipe(pipe(), graph())) == []
