"""Profile inputs, with progress bars and remarks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snn_deploy.artifact import Artifact
    from snn_deploy.cutoff.rules.rule import Calibration
    from snn_deploy.data.data import Data
    from snn_deploy.profile.profile import Profile
    from snn_deploy.profile.store import Unfinished
    from snn_deploy.profile.workers import Workers

MOST_TOLD = 5  # inputs that failed; the files have all


def make_profile(
    artifact: "Artifact",
    data: "Data",
    calibration: "Calibration | None",
    *,
    backend: str,
    audit: float = 0.0,
    limit: int | None = None,
    monitor: str = "embedded",
    n_cross_checked: int = 2,
    unfinished: "Unfinished | None" = None,
    workers: "Workers | None" = None,
) -> "Profile":
    """Return the profile, with progress bars, and say what else was done.

    It goes on with what lies in ``unfinished``, and keeps there what is done.
    """
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.cli.console import note, out, with_progress
    from snn_deploy.profile.profile import profile_inputs
    from snn_deploy.verify.crosscheck import cross_check

    cutoff = None if calibration is None else calibration.cutoff
    if n_cross_checked > 0:
        out(cross_check(artifact, data, cutoff, n_cross_checked))
    name = "cpu" if backend == "auto" else backend
    store = None
    if unfinished is not None:
        store = unfinished.place(
            artifact,
            data,
            calibration,
            n=min(limit or len(data), len(data)),
            backend=name,
            monitor=monitor,
        )
        if store.hashes:
            out(f"goes on where it stopped: {len(store.hashes)} parts are done")
    profile = profile_inputs(
        artifact,
        open_backend(name),
        data,
        cutoff=cutoff,
        calibration=calibration,
        audit=audit,
        monitor=monitor,
        limit=limit,
        store=store,
        workers=workers,
        progress=with_progress,
    )
    for failed in profile.failed[:MOST_TOLD]:
        note(f"input {failed.index} failed twice: {failed.reason}")
    return profile
