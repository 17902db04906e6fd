"""Rows: the same whether columns lie in memory or in files."""

from pathlib import Path

import numpy as np
import pytest

from snn_deploy.cutoff.rules.risk import risk
from snn_deploy.profile import rows
from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.tables import read_rows, write_rows
from tests.profile.test_profile import data, profiled


def test_more_rows_than_memory_holds_lie_in_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_memory = profiled(risk(20), data(60))
    monkeypatch.setattr(rows, "IN_MEMORY", 100)

    in_files: Profile = profiled(risk(20), data(60))

    assert isinstance(in_files.rows.table, np.memmap)
    assert not isinstance(in_memory.rows.table, np.memmap)
    assert summarize(in_files) == summarize(in_memory)
    write_rows(in_files.rows, tmp_path / "rows.parquet")
    assert list(read_rows(tmp_path / "rows.parquet")) == list(in_memory.rows)
