"""Write a profile: ``inputs.parquet``, ``summary.json``, ``report.html``."""

import json
from collections.abc import Sequence
from pathlib import Path

from snn_deploy.files import write_whole
from snn_deploy.profile import COLUMNS, Profile, Row
from snn_deploy.report.html import render
from snn_deploy.summary import summarize


def write_profile(profile: Profile, folder: Path) -> None:
    """Write all files of ``profile`` into ``folder``, each whole or not at all.

    ``fixed.parquet`` holds the rows without cutoff, if there is one.
    """
    summary = summarize(profile)
    text = json.dumps(summary, indent=2, sort_keys=True, allow_nan=False)
    page = render(profile, summary)
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(profile.rows, folder / "inputs.parquet")
    if profile.has_cutoff:
        write_rows(profile.fixed_rows, folder / "fixed.parquet")
    else:  # one of an earlier profile would belong to other inputs
        (folder / "fixed.parquet").unlink(missing_ok=True)
    write_whole(folder / "summary.json", lambda path: _write_text(path, text + "\n"))
    write_whole(folder / "report.html", lambda path: _write_text(path, page))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write one row for each input as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            name: pa.array([getattr(row, name) for row in rows], type=_type(name))
            for name in COLUMNS
        }
    )
    write_whole(path, lambda temporary: pq.write_table(table, temporary))


def _type(name: str) -> object:
    import pyarrow as pa

    if name == "stopped_early":
        return pa.bool_()
    return pa.float64() if name.endswith(("_j", "_s")) else pa.int64()
