"""Blocks of an unfinished profile in a folder, so that a killed run can be finished.

A block is a Parquet file of its rows, whose sums stand in the file's metadata. It
counts once a line of the journal names it with its hash; a line that was cut short, or
a file that is not what its line says, counts as absent.
"""

import hashlib
import json
import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np

from snn_deploy.artifact import Artifact, sha256_of
from snn_deploy.backends.results import Counts
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.data.data import Data
from snn_deploy.errors import DataError
from snn_deploy.files.writing import Writer, write_whole
from snn_deploy.profile.measured import Measured, Run
from snn_deploy.profile.rows import Rows
from snn_deploy.profile.tables import read_notes, read_rows, write_rows
from snn_deploy.version import __version__

JOURNAL = "journal.jsonl"
# what JSON and arrays raise that this program has not written
_WRONG = (KeyError, OverflowError, RecursionError, TypeError, ValueError)
SUMS = ("n_right", "n_agreeing", "is_settled")
REAL = ("first_scores", "squared_errors")


class Store(Protocol):
    """Where blocks are kept while a profile is unfinished."""

    keeps: bool  # else they are forgotten

    def names(self, run: Run, places: range) -> bool:
        """Whether the block of these inputs was kept; it may be damaged by now."""

    def read(self, run: Run, places: range) -> Measured | None:
        """Return the block of these inputs, if it is there, whole."""

    def keep(self, run: Run, places: range, found: Measured) -> None:
        """Keep a block."""


class NoStore:
    """Keeps nothing."""

    keeps = False

    def names(self, run: Run, places: range) -> bool:
        """Return no."""
        return False

    def read(self, run: Run, places: range) -> Measured | None:
        """Return nothing."""
        return None

    def keep(self, run: Run, places: range, found: Measured) -> None:
        """Forget a block."""


class Folder:
    """Keeps the blocks of one profile in a folder."""

    keeps = True

    def __init__(self, path: Path) -> None:
        """Read what is there of an earlier run, if any."""
        self.path = path
        journal = path / JOURNAL
        is_ours = journal.is_file() and not journal.is_symlink()
        text = journal.read_bytes() if is_ours else b""
        self.is_cut = text[-1:] not in (b"", b"\n")  # amid a line
        self.hashes = _hashes(text)

    def names(self, run: Run, places: range) -> bool:
        """Whether the journal names the block of these inputs."""
        return _name(run, places) in self.hashes

    def read(self, run: Run, places: range) -> Measured | None:
        """Return the block of these inputs, if it is there, whole."""
        name = _name(run, places)
        file = self.path / name
        if name not in self.hashes or not file.is_file():
            return None
        if _sha256(file) != self.hashes[name]:
            return None
        try:
            return _measured(file, n_serial=len(places) * run.is_serial)
        except (DataError, OSError, *_WRONG):
            return None  # of another form, though its hash is right

    def keep(self, run: Run, places: range, found: Measured) -> None:
        """Write a block, then its line in the journal."""
        self.path.mkdir(parents=True, exist_ok=True)
        content, name = found.packed or packed(found), _name(run, places)
        write_whole(self.path / name, _writer(content))
        self.hashes[name] = hashlib.sha256(content).hexdigest()
        self._append({"file": name, "sha256": self.hashes[name]})

    def _append(self, entry: dict[str, str]) -> None:
        """Add a line to the journal, and return once it is on the disk."""
        journal = self.path / JOURNAL
        if journal.is_symlink():  # replaced, not followed
            journal.unlink()
        with open(journal, "a", encoding="utf-8", opener=_no_link) as file:
            file.write("\n" * self.is_cut + json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.is_cut = False


def _writer(content: bytes) -> Writer:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


def packed(found: Measured) -> bytes:
    """Return the file that keeps a block."""
    rows = Rows(len(found.serial) + len(found.streamed))
    for some in (found.serial, found.streamed):
        rows.extend(some.table)
    sums = {name: getattr(found, name).tolist() for name in (*SUMS, *REAL)}
    sums |= {
        "n_cores": found.totals.n_cores,
        "totals": found.totals.values.tolist(),
    }
    file = BytesIO()
    write_rows(rows, file, notes=sums)
    return file.getvalue()


class Unfinished:
    """Where the profiles of a folder are kept until their files are written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".unfinished"
        self.opened: list[Folder] = []

    def place(
        self,
        artifact: Artifact,
        data: Data,
        calibration: Calibration | None,
        *,
        n: int,
        backend: str,
        monitor: str,
    ) -> Folder:
        """Return where the profile of ``n`` inputs is kept.

        Another network, other prices, thresholds or inputs, or another version of this
        program have another place: no block of theirs is taken for one of these.
        """
        truths = [y.tobytes() for y in (data.y, data.targets) if y is not None]
        what = [
            __version__,
            artifact.sha256,
            artifact.network.target.price_set,
            sha256_of(calibration),
            data.sha256,  # of its lengths, too
            hashlib.sha256(b"".join(truths)).hexdigest(),
            str(n),
            backend,
            monitor,
        ]
        digest = hashlib.sha256(" ".join(what).encode()).hexdigest()
        path = self.path / digest[:16]
        for folder in (self.path, path):
            if folder.is_symlink():
                raise DataError(
                    f"{folder}: a link to {os.readlink(folder)}, where nothing is to "
                    "be written; remove it"
                )
        self.opened.append(Folder(path))
        return self.opened[-1]

    @property
    def n_blocks(self) -> int:
        """How many blocks are kept of the profiles that were opened."""
        return sum(len(folder.hashes) for folder in self.opened)

    def remove(self) -> None:
        """Remove what was opened: it is finished. Others are left for their own run."""
        for folder in self.opened:
            shutil.rmtree(folder.path, ignore_errors=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()


def _no_link(path: str, flags: int) -> int:
    no_follow: int = getattr(os, "O_NOFOLLOW", 0)  # not on Windows
    return os.open(path, flags | no_follow, 0o666)


def _name(run: Run, places: range) -> str:
    return f"{run.key}-{places.start:09d}-{places.stop:09d}.parquet"


def _measured(file: Path, n_serial: int) -> Measured:
    rows, sums = read_rows(file), read_notes(file)
    found = {name: np.array(sums[name], np.int64) for name in ("totals", *SUMS)}
    return Measured(
        serial=_rows(rows, 0, n_serial),
        streamed=_rows(rows, n_serial, len(rows)),
        totals=Counts(found["totals"], int(sums["n_cores"])),
        n_right=found["n_right"],
        n_agreeing=found["n_agreeing"],
        first_scores=np.array(sums["first_scores"], np.float64),
        squared_errors=np.array(sums["squared_errors"], np.float64),
        is_settled=found["is_settled"],
    )


def _rows(rows: Rows, start: int, stop: int) -> Rows:
    found = Rows(stop - start)
    found.extend(rows.table[start:stop])
    return found


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _hashes(journal: bytes) -> dict[str, str]:
    """Return the hash of each file that a whole line of the journal names."""
    found: dict[str, str] = {}
    for line in journal.splitlines():
        try:
            entry = json.loads(line)
            found[entry["file"]] = entry["sha256"]
        except _WRONG:
            continue  # cut short
    return found
