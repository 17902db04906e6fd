"""The process that has a file from a stranger parsed: a child for each, with limits."""

import importlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import psutil

from snn_deploy.errors import ModelError
from snn_deploy.importers.sandbox.plain_values import pack

CPU_S = 10  # for any file, and one more for each of
BYTES_PER_S = 1 << 20
WAITS = 20  # times the time of the processor, on a busy machine
SPARE = 1 << 28  # bytes that a parser may take for any file


def serve(number: int) -> None:
    """Answer requests, one after the other, until the other end is closed."""
    with socket.socket(fileno=number) as channel:
        while True:
            text, descriptors, _, _ = socket.recv_fds(channel, 1 << 16, 1)
            while text and not text.endswith(b"\n"):
                text += channel.recv(1 << 16)
            if not text:
                return
            request = json.loads(text)
            module = importlib.import_module(request["module"])
            for library in module.LIBRARIES:
                importlib.import_module(library)
            parse = getattr(module, request["function"])
            child = os.fork()
            if child == 0:
                channel.close()
                _answer(parse, request, descriptors[0])
            os.close(descriptors[0])
            _, status, used = os.wait4(child, 0)
            channel.send(f"{status} {used.ru_maxrss << 10}".encode())


def _answer(parse: Any, request: dict[str, str], descriptor: int) -> None:
    """Write what the parser finds, or refuses; end this process."""
    path = Path(request["path"])
    try:
        os.chdir(request["folder"])
        _limit(path)
        pieces = pack({"content": parse(path)})
    except ModelError as error:
        pieces = pack({"error": str(error)})
    except MemoryError:
        pieces = pack(
            {"error": f"{path}: takes too much memory to read; export it again"}
        )
    except Exception as error:
        why = f"{path}: its parser failed ({error!r}); export the network again"
        pieces = pack({"error": why})
    with os.fdopen(descriptor, "wb") as answer:
        for piece in pieces:
            answer.write(piece)
    os._exit(0)


def _limit(path: Path) -> None:
    size = path.stat().st_size if path.is_file() else 0
    cpu_s = CPU_S + size // BYTES_PER_S
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it writes no file
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(WAITS * cpu_s)
    allow_memory(4 * size)


def allow_memory(n_bytes: int) -> None:
    """Let this process take that much more than now, and a little for any file."""
    most = psutil.Process().memory_info().vms + SPARE + n_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    except (OSError, ValueError):
        if sys.platform != "darwin":  # which limits no address space
            raise
