"""Parsers that misbehave, for the process that is to hold them."""

import ctypes
import os
import resource
import signal
from pathlib import Path

import numpy as np

LIBRARIES = ()


def parse_all(path: Path) -> dict[str, object]:
    return {
        "folder": os.getcwd(),
        "size": path.stat().st_size,
        "numbers": np.arange(6, dtype=np.int16).reshape(2, 3),
        "texts": np.array(["one", "three"]),
        "none": np.zeros((0, 3)),
        "rest": [None, 1.5, {"array": "not one"}],
    }


def parse_for_ever(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, 2))  # in place of 10 seconds
    while True:
        pass


def parse_into_memory(path: Path) -> int:
    return sum(bytes([1] * (1 << 40)))


def parse_badly(path: Path) -> None:
    ctypes.string_at(0)


def end_the_server(path: Path) -> None:
    os.kill(os.getppid(), signal.SIGKILL)


def parse_wrongly(path: Path) -> None:
    raise ZeroDivisionError("nobody has thought of it")


def write_elsewhere(path: Path) -> None:
    path.with_suffix(".copy").write_bytes(b"more")
