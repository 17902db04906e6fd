"""compare: each input with itself where both profiles hold it, else means."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.costs.energy import parts_within
from snn_deploy.errors import DataError
from snn_deploy.profile.diff import SavedProfile, compare, read_profile
from snn_deploy.profile.rows import Row, Rows
from snn_deploy.profile.tables import read_rows, write_rows
from tests.build import rng
from tests.report.profiles import changed, row


def rows(n: int = 30, **changes: Any) -> list[Row]:
    """Return inputs that stop after 1 to 4 timesteps, nine tenths right."""
    draw = rng(1)
    stops = draw.integers(1, 5, n)
    found = [row(i, int(t), **changes) for i, t in enumerate(stops)]
    return [changed(r, prediction=2) if r.index % 10 == 3 else r for r in found]


def later(before: Sequence[Row]) -> list[Row]:
    """Return the inputs a timestep later, which makes a wrong one right."""
    return [
        row(r.index, r.timesteps + 1, prediction=2 if r.index == 3 else 1)
        for r in before
    ]


def saved(found: Sequence[Row]) -> SavedProfile:
    return SavedProfile(folder="p", summary={}, rows=Rows.of(found))


def test_each_input_is_compared_with_itself() -> None:
    one = rows()

    diff = compare(saved(one), saved(later(one)))

    assert diff.is_paired
    assert (diff.n_before, diff.n_after, diff.note) == (30, 30, "")
    timesteps = diff.changes["timesteps"].difference
    assert timesteps is not None
    assert (timesteps.mean, timesteps.low, timesteps.high) == (1.0, 1.0, 1.0)
    accuracy = diff.changes["accuracy"]
    assert accuracy.before == pytest.approx(27 / 30)
    assert accuracy.after == pytest.approx(29 / 30)
    assert accuracy.difference is not None
    assert accuracy.difference.mean == pytest.approx(2 / 30)


def test_the_parts_of_the_energy_add_up_to_all_of_it() -> None:
    one = rows()

    changes = compare(saved(one), saved(later(one))).changes

    parts = [changes[f"energy_{p}"] for p in parts_within("board")]
    means = [part.difference.mean for part in parts if part.difference is not None]
    assert changes["energy"].difference is not None
    assert sum(means) == pytest.approx(changes["energy"].difference.mean)
    assert changes["energy"].difference.mean == pytest.approx(10e-6)
    assert changes["latency"].difference is not None
    assert changes["latency"].difference.mean == pytest.approx(1e-3)


def test_the_order_of_the_rows_does_not_matter() -> None:
    one, two = rows(), later(rows())

    shuffled = compare(saved(one), saved(two[::-1]))

    assert shuffled == compare(saved(one), saved(two))


def test_inputs_that_one_lacks_are_left_out() -> None:
    one = rows()

    diff = compare(saved(one), saved(later(one)[:20]))

    assert diff.is_paired
    assert (diff.n_before, diff.n_after) == (20, 20)
    assert diff.note == "10 inputs that only one of them holds are left out"
    before = np.mean([r.timesteps for r in one[:20]])
    assert diff.changes["timesteps"].before == pytest.approx(before)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"input_hash": 99}, "2 of 30 inputs at the same position differ"),
        ({"label": 9}, "2 of 30 labels at the same position differ"),
        ({"label": None}, "2 of 30 labels at the same position differ"),
    ],
)
def test_other_inputs_are_compared_by_their_means(
    changes: dict[str, Any], note: str
) -> None:
    one, two = rows(), later(rows())
    two[4:6] = [changed(r, **changes) for r in two[4:6]]

    diff = compare(saved(one), saved(two))

    assert not diff.is_paired
    assert diff.note == note
    timesteps = diff.changes["timesteps"].difference
    assert timesteps is not None
    assert timesteps.low is not None
    assert timesteps.low < timesteps.mean == pytest.approx(1.0)


def test_no_common_position_leaves_the_means() -> None:
    one = rows()
    two = [changed(r, index=r.index + 100) for r in later(one)[:10]]

    diff = compare(saved(one), saved(two))

    assert not diff.is_paired
    assert (diff.n_before, diff.n_after) == (30, 10)
    assert diff.note == "no input has the same position in both"


def test_what_one_of_them_does_not_know_is_unknown() -> None:
    one = rows()
    two = [changed(r, energy_static_j=None) for r in one]
    two = [changed(r, label=None) for r in two]
    one = [changed(r, label=None) for r in one]

    changes = compare(saved(one), saved(two)).changes

    for name in ("energy", "energy_static"):
        assert changes[name].before is not None
        assert changes[name].after is None
        assert changes[name].difference is None
    assert changes["accuracy"].before is None
    assert changes["energy_neurocores"].difference is not None


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    one = [*rows(), row(30, 2, label=None, energy_static_j=None)]

    write_rows(Rows.of(one), tmp_path / "rows.parquet")

    assert list(read_rows(tmp_path / "rows.parquet")) == one


def test_what_holds_no_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: no such folder; give one"):
        read_profile(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no summary.json; give a folder"):
        read_profile(tmp_path)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(DataError, match=r"summary.json: no JSON"):
        read_profile(tmp_path)
    (tmp_path / "summary.json").write_text('{"n_inputs": 3}')
    with pytest.raises(DataError, match=r"inputs.parquet: no such file"):
        read_profile(tmp_path)
    (tmp_path / "inputs.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1")
    with pytest.raises(DataError, match=r"inputs.parquet: damaged, or no Parquet"):
        read_profile(tmp_path)
    write_rows(Rows.of(rows()), tmp_path / "inputs.parquet")
    with pytest.raises(DataError, match=r"not of the 30 inputs in inputs.parquet"):
        read_profile(tmp_path)


def test_columns_of_another_version_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"index": [0, 1]}), tmp_path / "rows.parquet")

    with pytest.raises(DataError, match=r"not those of this version; run snn-deploy"):
        read_rows(tmp_path / "rows.parquet")
