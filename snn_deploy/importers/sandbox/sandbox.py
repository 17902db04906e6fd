"""Have files from strangers read by native parsers in a process of its own.

HDF5 and protobuf are large libraries in C and C++. They see a file only in a child
process with limits on memory and time, which hands back plain values. A server that
has loaded the libraries forks such a child for each file.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from snn_deploy.errors import ModelError
from snn_deploy.importers.sandbox.plain_values import unpack

START = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from snn_deploy.importers.sandbox.server import serve
serve(int(sys.argv[1]))
"""
MOST_BYTES = 1 << 33  # that a child may hand back
OVER_LIMIT = {
    "SIGXCPU": "takes too long to read",
    "SIGALRM": "takes too long to read",
    "SIGKILL": "takes too long, or more memory than there is, to read",
}


def has_sandbox() -> bool:
    """Whether this system can limit a process and hand it a file: POSIX."""
    return hasattr(os, "fork") and find_spec("resource") is not None


def read_apart(parse: Callable[[Path], Any], path: Path) -> Any:
    """Return what ``parse`` finds in a file; its process has limits.

    The process imports the function's module, which names what else is to be loaded
    there, before a file is seen, in ``LIBRARIES``.

    Raises
    ------
    ModelError
        If the parser refuses the file, crashes, or needs too much memory or time.
    """
    if not has_sandbox():
        raise ModelError(
            f"{path}: is read in a process with limits, which this system has not; "
            "compile it on Linux or macOS, or save the model as .pt: .pt and .snn are "
            "read here"
        )
    answer, status = _server.ask(parse, path)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name
        what = OVER_LIMIT.get(name, "crashes its parser")
        raise ModelError(f"{path}: {what} ({name}); export the network again")
    try:
        found = unpack(answer)
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path}: its parser failed ({error}); export the network again"
        ) from error
    if "error" in found:
        raise ModelError(found["error"])
    return found["content"]


def last_peak() -> int:
    """Return the bytes of memory that the latest file's process took at most."""
    return _server.peak


class _Server:
    """The process that forks the children; started on first use."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owner = 0  # the process that started it: a fork of that starts another
        self.process: subprocess.Popen[bytes] | None = None
        self.channel: socket.socket | None = None
        self.peak = 0  # bytes of memory that the latest child took

    def ask(self, parse: Callable[[Path], Any], path: Path) -> tuple[bytes, int]:
        """Return what a child has written, and the status that it ended with."""
        request = {
            "module": parse.__module__,
            "function": parse.__name__,
            "path": str(path),
            "folder": os.getcwd(),
        }
        with self.lock:
            channel = self._channel()
            mine, its = os.pipe()
            try:
                with os.fdopen(mine, "rb") as answers:
                    try:
                        text = json.dumps(request).encode() + b"\n"
                        socket.send_fds(channel, [text], [its])
                    finally:
                        os.close(its)
                    answer = answers.read(MOST_BYTES)
                status = channel.recv(64)
            except ConnectionError:
                status = b""
            except BaseException:  # Ctrl-C: the next file gets a new server
                self.close()
                raise
            if not status:  # somebody has ended the server
                self.close()
                return b"", int(signal.SIGKILL)
            number, self.peak = map(int, status.split())
            return answer, number

    def _channel(self) -> socket.socket:
        if self.channel is not None and self.owner == os.getpid():
            if self.process is not None and self.process.poll() is None:
                return self.channel
            self.close()
        mine, its = socket.socketpair()
        arguments = [str(its.fileno()), json.dumps(sys.path)]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", START, *arguments],
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        its.close()
        self.owner, self.channel = os.getpid(), mine
        return mine

    def close(self) -> None:
        """End the server, and the child that may be at work."""
        if self.channel is None or self.process is None or self.owner != os.getpid():
            return
        self.channel.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.channel = None


_server = _Server()
atexit.register(_server.close)
