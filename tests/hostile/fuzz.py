"""Spoil valid files and have them read: only our errors, in little memory and time.

``python -m tests.hostile.fuzz --seconds 600 [READER ...]``; what goes wrong is written
to ``build/fuzz``, and belongs into ``tests/hostile/crashers`` once it is mended.
"""

import argparse
import hashlib
import itertools
import random
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from snn_deploy.errors import SnnDeployError
from tests.hostile.mutations import systematic
from tests.hostile.readers import READERS, Reader

MOST_S = 5.0
MOST_MEMORY = 500 << 20  # bytes above what the reading of a valid file takes
FOUND = Path("build/fuzz")


def problem(reader: Reader, path: Path) -> str | None:
    """Return what is wrong with how a spoilt file is read; nothing if all is well."""
    before, started = _peak(), time.monotonic()
    try:
        reader.read(path)
    except SnnDeployError as error:
        if "\n" in str(error):
            return f"an error of several lines: {error}"
    except BaseException:
        return traceback.format_exc(limit=-1)
    taken, memory = time.monotonic() - started, _peak() - before
    if taken > MOST_S:
        return f"{taken:.1f} s"
    return f"{memory >> 20} MB" if memory > MOST_MEMORY else None


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def cases(reader: Reader, seed: int, start: int = 0) -> Iterator[bytes]:
    """Yield spoilt files without end: cut at every byte, bits flipped, then more."""
    content = reader.content
    rng = random.Random(seed)
    yield from itertools.islice(systematic(content, rng), start, None)
    while True:
        yield rng.choice(reader.mutations)(content, rng)


def fuzz(
    reader: Reader, seconds: float, seed: int = 0, start: int = 0
) -> tuple[int, int]:
    """Return how many files were read, and how many of them wrongly."""
    n = n_wrong = 0
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / reader.name
        path.write_bytes(reader.content)
        reader.read(path)
        deadline = time.monotonic() + seconds
        for content in cases(reader, seed, start):
            path.write_bytes(content)
            found = problem(reader, path)
            n += 1
            if found is not None:
                n_wrong += 1
                _keep(reader, content, found)
            if time.monotonic() > deadline:
                return n, n_wrong
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
    n_all_wrong = 0
    for name in options.readers:
        n, n_wrong = fuzz(READERS[name], options.seconds, options.seed, options.start)
        n_all_wrong += n_wrong
        print(f"{name}: {n} files, {n_wrong} read wrongly", flush=True)
    return int(n_all_wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
