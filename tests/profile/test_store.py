"""Stored parts: a profile that goes on gives what an unbroken one does."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.data.data import Data
from snn_deploy.errors import DataError
from snn_deploy.profile import meter as meter_module
from snn_deploy.profile.measured import Measured, Run
from snn_deploy.profile.profile import Profile, profile_inputs
from snn_deploy.profile.rows import COLUMNS
from snn_deploy.profile.store import JOURNAL, Folder, Store, Unfinished
from tests.profile.test_profile import artifact, data
from tests.profile.test_retry import calibrated

N = 23
RULES: dict[str, Callable[[], Calibration | None]] = {
    "retry": lambda: calibrated(3, 0),
    "none": lambda: None,
}


class EndedError(Exception):
    """What ends a run here, as a kill would."""


class Stopping(Folder):
    """A folder that takes so many parts, and then ends the run."""

    def __init__(self, path: Path, n: int) -> None:
        super().__init__(path)
        self.left = n

    def keep(self, run: Run, places: range, found: Measured) -> None:
        if not self.left:
            raise EndedError
        self.left -= 1
        super().keep(run, places, found)


@pytest.fixture(autouse=True)
def parts_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "BATCH", 4)


def profiled(rule: Calibration | None, store: Store | None = None) -> Profile:
    return profile_inputs(
        artifact(),
        open_backend("cpu"),
        data(N),
        cutoff=None if rule is None else rule.cutoff,
        calibration=rule,
        store=store,
    )


def assert_same(one: Profile, two: Profile) -> None:
    assert list(one.runs) == list(two.runs)
    for schedule, rows in one.runs.items():
        for name in COLUMNS:
            mine, other = rows.column(name), two.runs[schedule].column(name)
            assert mine.tobytes() == other.tobytes(), (schedule, name)
    for name in ("cores", "chip"):
        mine, other = getattr(one.totals, name), getattr(two.totals, name)
        assert np.array_equal(mine, other)
    assert np.array_equal(one.accuracy_at, two.accuracy_at)
    assert np.array_equal(one.agreement_at, two.agreement_at)
    assert repr(one.drift) == repr(two.drift)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [1, 5, 23])
def test_the_size_of_the_parts_changes_nothing(
    rule: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = profiled(RULES[rule]())

    monkeypatch.setattr(meter_module, "BATCH", size)

    assert_same(whole, profiled(RULES[rule]()))


@pytest.mark.parametrize("rule", RULES)
def test_a_run_that_is_ended_again_and_again_gives_what_an_unbroken_one_does(
    rule: str, tmp_path: Path
) -> None:
    whole = profiled(RULES[rule]())
    n_ended = 0

    while True:
        store = Stopping(tmp_path / "parts", n=1)
        try:
            found = profiled(RULES[rule](), store)
            break
        except EndedError:
            n_ended += 1

    assert n_ended >= 5
    assert_same(whole, found)


def test_nothing_is_run_that_is_stored(tmp_path: Path) -> None:
    rule = calibrated(3, 0)
    whole = profiled(rule, Folder(tmp_path))

    again = profiled(rule, Stopping(tmp_path, n=0))

    assert_same(whole, again)


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("harm", [damaged, cut_short, Path.unlink])
def test_parts_that_are_not_whole_are_measured_again(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    rule = calibrated(3, 0)
    whole = profiled(rule, Folder(tmp_path))
    files = sorted(tmp_path.glob("*.parquet"))
    harm(files[2])

    store = Stopping(tmp_path, n=1)

    assert_same(whole, profiled(rule, store))
    assert store.left == 0


@pytest.mark.parametrize("line", ['{"file": "all', "null", '["file"]', "\x00", "{}"])
def test_a_line_that_was_cut_short_is_no_line(line: str, tmp_path: Path) -> None:
    rule = calibrated(3, 0)
    whole = profiled(rule, Folder(tmp_path))
    journal = tmp_path / JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:3]) + line)

    store = Stopping(tmp_path, n=len(lines) - 3)

    assert_same(whole, profiled(rule, store))
    assert store.left == 0
    assert_same(whole, profiled(rule, Stopping(tmp_path, n=0)))


def test_a_part_of_another_shape_is_measured_again(tmp_path: Path) -> None:
    """A file of a stranger, with a line in the journal that fits it."""
    whole = profiled(None, Folder(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / JOURNAL).read_text().splitlines()]
    short = next(
        line for line in lines if line["file"].endswith("020-000000023.parquet")
    )
    (tmp_path / lines[0]["file"]).write_bytes((tmp_path / short["file"]).read_bytes())
    lines[0]["sha256"] = short["sha256"]
    (tmp_path / JOURNAL).write_text("\n".join(map(json.dumps, lines)) + "\n")

    assert_same(whole, profiled(None, Folder(tmp_path)))


def place(
    unfinished: Unfinished,
    inputs: Data,
    rule: Calibration | None,
    *,
    output_threshold: int = 60,
    n: int = N,
    backend: str = "cpu",
    monitor: str = "embedded",
) -> Folder:
    mine = artifact(output_threshold)
    return unfinished.place(mine, inputs, rule, n=n, backend=backend, monitor=monitor)


def test_other_inputs_labels_thresholds_or_machines_have_another_place(
    tmp_path: Path,
) -> None:
    rule, mine = calibrated(3, 0), Unfinished(tmp_path)
    places = [
        place(mine, data(N), rule),
        place(mine, data(N), None),
        place(mine, data(N), calibrated(3, 1)),
        place(mine, data(N + 1), rule),
        place(mine, data(N, labelled=False), rule),
        place(mine, data(N), rule, output_threshold=61),
        place(mine, data(N), rule, n=5),
        place(mine, data(N), rule, backend="lava"),
        place(mine, data(N), rule, monitor="host"),
    ]

    assert len({place.path for place in places}) == len(places)
    assert place(mine, data(N), calibrated(3, 0)).path == places[0].path


def test_only_what_is_finished_is_removed(tmp_path: Path) -> None:
    first, second = Unfinished(tmp_path), Unfinished(tmp_path)
    one = place(first, data(N), None)
    other = place(second, data(N), calibrated(3, 0))
    for store in (one, other):
        with pytest.raises(EndedError):
            profiled(None, Stopping(store.path, n=2))

    first.remove()

    assert not one.path.exists()
    assert len(Folder(other.path).hashes) == 2
    second.remove()
    assert not second.path.exists()


def test_a_journal_that_is_a_link_is_replaced_not_followed(tmp_path: Path) -> None:
    precious, folder = tmp_path / "precious", tmp_path / "parts"
    precious.write_text("mine\n")
    folder.mkdir()
    (folder / JOURNAL).symlink_to(precious)

    assert_same(profiled(None), profiled(None, Folder(folder)))

    assert precious.read_text() == "mine\n"
    assert not (folder / JOURNAL).is_symlink()
    assert Folder(folder).hashes


@pytest.mark.parametrize("is_inner", [False, True])
def test_nothing_is_kept_behind_a_link_to_a_folder(
    tmp_path: Path, is_inner: bool
) -> None:
    elsewhere, mine = tmp_path / "elsewhere", Unfinished(tmp_path)
    elsewhere.mkdir()
    link = place(mine, data(N), None).path if is_inner else mine.path
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(elsewhere)

    with pytest.raises(DataError, match=r"a link to .*elsewhere, where nothing is"):
        place(mine, data(N), None)
