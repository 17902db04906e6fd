"""Write a profile: ``inputs.parquet``, ``summary.json``, ``report.html``."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from snn_deploy.files import write_together
from snn_deploy.profile import COLUMNS, Profile, Row
from snn_deploy.report.html import render
from snn_deploy.summary import summarize
from snn_deploy.verify.result import Verification


def write_profile(
    profile: Profile, folder: Path, verification: Verification | None = None
) -> None:
    """Write all files of ``profile`` into ``folder``, or none of them.

    ``fixed.parquet`` holds the rows without cutoff, if there is one;
    ``verification.json`` the comparison with the trained model, if it was made.
    """
    summary = summarize(profile)
    text = _json(summary)
    page = render(profile, summary, verification)
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Callable[[Path], None]] = {
        "inputs.parquet": lambda path: write_rows(profile.rows, path),
        "summary.json": lambda path: _write_text(path, text + "\n"),
        "report.html": lambda path: _write_text(path, page),
    }
    if profile.has_cutoff:
        writers["fixed.parquet"] = lambda path: write_rows(profile.fixed_rows, path)
    if verification is not None:
        verified = _json(verification.as_json())
        writers["verification.json"] = lambda path: _write_text(path, verified + "\n")
    write_together(folder, writers)
    for name in {"fixed.parquet", "verification.json"} - set(writers):
        (folder / name).unlink(missing_ok=True)  # of an earlier profile


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False)


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
    pq.write_table(table, path)


def _type(name: str) -> object:
    import pyarrow as pa

    if name == "stopped_early":
        return pa.bool_()
    return pa.float64() if name.endswith(("_j", "_s")) else pa.int64()
