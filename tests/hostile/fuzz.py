"""Spoil valid files and have them read: only our errors, in little memory and time.

``python -m tests.hostile.fuzz --seconds 600 [READER ...]``; what goes wrong is written
to ``build/fuzz``, and belongs into ``tests/hostile/crashers`` once it is mended.
"""

import argparse
import hashlib
import itertools
import random
import re
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from snn_deploy.errors import SnnDeployError
from snn_deploy.importers.sandbox import sandbox
from tests.hostile.mutations import systematic
from tests.hostile.readers import READERS, Reader
from tests.pace import slowness

MOST_S = 5.0
MOST_MEMORY = 500 << 20  # bytes above those of before, or of a parser's process
FOUND = Path("build/fuzz")


@dataclass(kw_only=True)
class Seen:
    """What reading spoilt files has given and taken."""

    n_read: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by error
    n_wrong: int = 0
    slowest_s: float = 0.0
    memory: int = 0  # bytes above those of before, of this process, the most
    child_memory: int = 0  # bytes of a parser's process, the most

    @property
    def n(self) -> int:
        """How many files were tried."""
        return self.n_read + self.refused.total() + self.n_wrong

    def in_words(self) -> str:
        """Return all of it in a line."""
        refused = ", ".join(f"{n} {name}" for name, n in self.refused.most_common())
        return (
            f"{self.n} files: {self.n_read} read, {self.refused.total()} refused "
            f"({refused}), {self.n_wrong} wrongly; the slowest took "
            f"{self.slowest_s:.2f} s, the largest {self.memory >> 20} MB here and "
            f"{self.child_memory >> 20} MB in a process of its own"
        )


def problem(reader: Reader, path: Path, seen: Seen) -> str | None:
    """Return what is wrong with how a spoilt file is read; nothing if all is well."""
    # processor time, which other programs do not lengthen
    before, started = _reset_peak(), time.process_time()
    refused = ""
    try:
        reader.read(path)
    except SnnDeployError as error:
        refused = type(error).__name__
        if "\n" in str(error):
            return f"an error of several lines: {error}"
    except BaseException:
        return traceback.format_exc(limit=-1)
    taken, memory = time.process_time() - started, _peak() - before
    child_memory = sandbox.last_peak()
    seen.slowest_s = max(seen.slowest_s, taken)
    seen.memory = max(seen.memory, memory)
    seen.child_memory = max(seen.child_memory, child_memory)
    if taken > MOST_S and taken > MOST_S * slowness():
        return f"{taken:.1f} s"
    if max(memory, child_memory) > MOST_MEMORY:
        return f"{memory >> 20} MB, and {child_memory >> 20} MB in a parser's process"
    if refused:
        seen.refused[refused] += 1
    else:
        seen.n_read += 1
    return None


def _reset_peak() -> int:
    """Return the memory of this process, from which its peak is counted from now on."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) << 10


def cases(reader: Reader, seed: int, start: int = 0) -> Iterator[bytes]:
    """Yield spoilt files without end: cut at every byte, bits flipped, then more."""
    contents = reader.contents
    rng = random.Random(seed)
    every = (systematic(content, rng) for content in contents)
    yield from itertools.islice(itertools.chain.from_iterable(every), start, None)
    while True:
        yield rng.choice(reader.mutations)(rng.choice(contents), rng)


def fuzz(reader: Reader, seconds: float, seed: int = 0, start: int = 0) -> Seen:
    """Return what became of spoilt files, read for so many seconds."""
    seen = Seen()
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / reader.name
        for content in reader.contents:
            path.write_bytes(content)
            reader.read(path)
        deadline = time.monotonic() + seconds
        for content in cases(reader, seed, start):
            path.write_bytes(content)
            found = problem(reader, path, seen)
            if found is not None:
                seen.n_wrong += 1
                _keep(reader, content, found)
            if time.monotonic() > deadline:
                return seen
    raise AssertionError("cases have no end")


def _keep(reader: Reader, content: bytes, found: str) -> None:
    FOUND.mkdir(parents=True, exist_ok=True)
    name = f"{hashlib.sha256(content).hexdigest()[:8]}-{reader.name}"
    (FOUND / name).write_bytes(content)
    print(f"{FOUND / name}: {found}", file=sys.stderr)


def main() -> int:
    """Fuzz some readers, or all; 1 if one has done anything but refuse."""
    parser = argparse.ArgumentParser()
    parser.add_argument("readers", nargs="*", default=list(READERS))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    n_wrong = 0
    for name in options.readers:
        seen = fuzz(READERS[name], options.seconds, options.seed, options.start)
        n_wrong += seen.n_wrong
        print(f"{name}: {seen.in_words()}", flush=True)
    return int(n_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
