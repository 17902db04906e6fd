"""Write a profile: ``inputs.parquet``, ``summary.json``, ``report.html``."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from snn_deploy.files import text_writer, write_together
from snn_deploy.profile.closeups import Closeups
from snn_deploy.profile.profile import Profile, Schedule
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.tables import write_rows
from snn_deploy.profile.targets import OnTarget
from snn_deploy.report.html import render
from snn_deploy.verify.result import Verification

# the other schedules' rows, where there are some
FILES = {
    Schedule.SERIAL: "fixed.parquet",
    Schedule.STREAMED: "streamed.parquet",
    Schedule.SERIAL_FIXED: "fewer.parquet",
    Schedule.STREAMED_FIXED: "fewer_streamed.parquet",
}


def write_profile(
    profile: Profile,
    folder: Path,
    verification: Verification | None = None,
    targets: Sequence[OnTarget] = (),
    closeups: Closeups | None = None,
    neurobench: dict[str, Any] | None = None,
) -> None:
    """Write all files of ``profile`` into ``folder``, or none of them.

    ``FILES`` names those with the rows of other schedules than ``inputs.parquet``;
    ``verification.json`` the comparison with the trained model, if it was made. The
    report shows ``closeups``.
    """
    summary = summarize(profile, targets, neurobench)
    text = _json(summary)
    page = render(profile, summary, verification, closeups)
    folder.mkdir(parents=True, exist_ok=True)
    writers: dict[str, Callable[[Path], None]] = {
        "inputs.parquet": lambda path: write_rows(profile.rows, path),
        "summary.json": text_writer(text + "\n"),
        "report.html": text_writer(page),
    }
    for schedule, name in FILES.items():
        rows = profile.runs.get(schedule)
        if rows is not None and rows is not profile.rows:
            writers[name] = partial(write_rows, rows)
    if verification is not None:
        verified = _json(verification.as_json())
        writers["verification.json"] = text_writer(verified + "\n")
    write_together(folder, writers)
    for name in {*FILES.values(), "verification.json"} - set(writers):
        (folder / name).unlink(missing_ok=True)  # of an earlier profile


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False)
