"""Write a profile: ``inputs.parquet``, ``summary.json``, ``report.html``."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from snn_deploy.files.writing import text_writer, write_together
from snn_deploy.profile.closeups import Closeups
from snn_deploy.profile.detail import Detail
from snn_deploy.profile.profile import Profile, Schedule
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.tables import write_detail, write_rows
from snn_deploy.profile.targets import OnTarget
from snn_deploy.report.html import Origin, render
from snn_deploy.verify.result import Verification

# the rows of each schedule, where there are some
TABLES = {
    None: "inputs",  # the cutoff, else all timesteps one by one
    Schedule.SERIAL: "fixed",
    Schedule.STREAMED: "streamed",
    Schedule.SERIAL_FIXED: "fewer",
    Schedule.STREAMED_FIXED: "fewer_streamed",
    Schedule.SERIAL_ONE: "one_timestep",
    Schedule.STREAMED_ONE: "one_timestep_streamed",
    Schedule.ONE_PASS: "one_pass",
    Schedule.STREAMED_ONE_PASS: "one_pass_streamed",
}
FORMS = ("parquet", "csv")
OPTIONAL = (
    *(f"{name}.{form}" for name in (*TABLES.values(), "detail") for form in FORMS),
    "verification.json",
)
Writers = dict[str, Callable[[Path], None]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Additions:
    """What stands beside a profile in its files, if it was asked for."""

    verification: Verification | None = None
    targets: Sequence[OnTarget] = ()
    closeups: Closeups | None = None
    neurobench: dict[str, Any] | None = None
    detail: Detail | None = None
    has_csv: bool = False  # each table as CSV as well
    command: str = ""  # that was given


def write_profile(
    profile: Profile, folder: str | os.PathLike[str], additions: Additions | None = None
) -> list[str]:
    """Write all files of ``profile`` into ``folder``, or none; return their names.

    docs/profile.md says what is in them.
    """
    folder = Path(folder)
    beside = Additions() if additions is None else additions
    summary = summarize(profile, beside.targets, beside.neurobench)
    text = _json(summary)
    origin = Origin.now(beside.command)
    page = render(profile, summary, beside.verification, beside.closeups, origin)
    folder.mkdir(parents=True, exist_ok=True)
    writers = {
        **_tables(profile, beside),
        "summary.json": text_writer(text + "\n"),
        "report.html": text_writer(page),
    }
    if beside.verification is not None:
        verified = _json(beside.verification.as_json())
        writers["verification.json"] = text_writer(verified + "\n")
    write_together(folder, writers)
    for name in {*OPTIONAL} - set(writers):
        (folder / name).unlink(missing_ok=True)  # of an earlier profile
    return list(writers)


def _tables(profile: Profile, beside: Additions) -> Writers:
    """Return what writes each table, in each form."""
    writers: Writers = {}
    for form in FORMS if beside.has_csv else FORMS[:1]:
        for schedule, name in TABLES.items():
            rows = profile.rows if schedule is None else profile.runs.get(schedule)
            if rows is not None and (schedule is None or rows is not profile.rows):
                writers[f"{name}.{form}"] = partial(
                    write_rows, rows, form=form, failed=profile.failed
                )
        if beside.detail is not None:
            writers[f"detail.{form}"] = partial(write_detail, beside.detail, form=form)
    return writers


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False)
