"""``snn-deploy serve``: decide inputs as they arrive, and watch whether they drift."""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from snn_deploy.backends.registry import BACKENDS, DEFAULT
from snn_deploy.cli.reading import positive
from snn_deploy.cli.run import FAILED

if TYPE_CHECKING:
    from io import BufferedReader

    from snn_deploy.cutoff.drift import StreamWatch
    from snn_deploy.cutoff.serve import Decision, Undecided
    from snn_deploy.data.data import Data
    from snn_deploy.ir.quantized import QuantizedGraph

DRIFTED = 3  # exit status


@dataclass
class _StreamSums:
    """Sums over the inputs that were decided."""

    n_timesteps: int = 0
    n_labels: int = 0
    n_right: int = 0

    def add(self, found: "Decision") -> None:
        self.n_timesteps += found.timesteps
        self.n_labels += found.label is not None
        self.n_right += found.label == found.prediction


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "serve",
        help="decide inputs as they arrive, and watch whether they drift",
        description="Decide inputs as they arrive; write a line of JSON for each.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    parser.add_argument(
        "--data",
        required=True,
        help="inputs, .npz; a folder of such files; or - for .npy arrays on standard "
        "input",
    )
    parser.add_argument(
        "--follow", action="store_true", help="wait for further files in the folder"
    )
    parser.add_argument("--backend", choices=tuple(BACKENDS), default=DEFAULT)
    parser.add_argument(
        "--poll", type=positive, metavar="K", help="read the outputs every K timesteps"
    )
    add_drift_options(parser)
    parser.set_defaults(call=call)


def add_drift_options(parser: argparse.ArgumentParser) -> None:
    """Add what watches whether inputs are still like the calibration's."""
    parser.add_argument(
        "--audit",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="run this share of the inputs for all timesteps, to see what is lost",
    )
    parser.add_argument(
        "--fail-on-drift",
        action="store_true",
        help=f"exit status {DRIFTED} once the inputs differ from the calibration's",
    )


def call(options: argparse.Namespace) -> None:
    """Serve until the stream ends, or drifts and that is to fail."""
    from snn_deploy.artifact import read_artifact
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.cli.console import note
    from snn_deploy.cli.reading import read_calibration
    from snn_deploy.cutoff.drift import StreamWatch, in_words
    from snn_deploy.cutoff.restarting import Restarting
    from snn_deploy.cutoff.serve import Undecided, serve

    artifact = read_artifact(options.network)
    network = artifact.network
    calibration = read_calibration(artifact, options.network, poll=options.poll)
    arrivals = _arrivals(options, network.graph)
    watch = StreamWatch(calibration)
    machine = Restarting(partial(open_backend(options.backend).load, network))
    served, failed = _StreamSums(), list[Undecided]()
    try:
        machine.start()  # before anything arrives
        decisions = serve(machine, network, calibration, arrivals, audit=options.audit)
        for found in _labels_missed(_decided(decisions, failed)):
            print(_as_json(found), flush=True)
            served.add(found)
            is_new_alarm = watch.add(found.first_score, found.is_lost)
            if is_new_alarm:
                note(f"alarm: {in_words(watch.drift)}")
            if is_new_alarm and options.fail_on_drift:
                break
    except KeyboardInterrupt:  # the way out of an endless stream
        note(_summary(watch, served))
        raise
    finally:
        machine.close()
    note(_summary(watch, served))
    if failed:
        note(f"{len(failed)} more failed twice, the first: {failed[0].failed}")
        raise SystemExit(FAILED)
    if options.fail_on_drift and watch.is_alarm:
        raise SystemExit(DRIFTED)


def _decided(
    found: "Iterable[Decision | Undecided]", failed: "list[Undecided]"
) -> "Iterator[Decision]":
    """Yield the decisions; tell, and collect, the inputs that failed."""
    import json

    from snn_deploy.cutoff.serve import Undecided

    for one in found:
        if isinstance(one, Undecided):
            failed.append(one)
            print(json.dumps(vars(one)), flush=True)
        else:
            yield one


def _labels_missed(decisions: "Iterable[Decision]") -> "Iterator[Decision]":
    """Yield the decisions; say once if an audited one cannot be judged."""
    from snn_deploy.cli.console import note

    is_said = False
    for found in decisions:
        if found.is_audited and found.is_lost is None and not is_said:
            is_said = True
            note(
                f"{found.source}: audited, but without a label it is unknown what is "
                "lost; calibrate without labels to audit the answers that change"
            )
        yield found


def _summary(watch: "StreamWatch", served: _StreamSums) -> str:
    from snn_deploy.cutoff.drift import in_words
    from snn_deploy.report.units import percent

    mean, right = served.n_timesteps / max(watch.n_inputs, 1), ""
    if served.n_labels:
        few = "" if served.n_labels == watch.n_inputs else " where there is a label"
        right = f", {percent(served.n_right / served.n_labels)} right{few}"
    return (
        f"served {watch.n_inputs} inputs in {mean:.2f} timesteps on average{right}; "
        f"{in_words(watch.drift)}"
    )


def _arrivals(
    options: argparse.Namespace, graph: "QuantizedGraph"
) -> "Iterator[tuple[str, Data]]":
    from snn_deploy.data.streams import from_files, from_pipe

    if options.data == "-":
        return _remarked(from_pipe(cast("BufferedReader", sys.stdin.buffer), graph))
    return _remarked(from_files(Path(options.data), graph, follow=options.follow))


def _remarked(arrivals: "Iterable[tuple[str, Data]]") -> "Iterator[tuple[str, Data]]":
    """Yield what arrives; say of the first odd one what the network does not get."""
    from snn_deploy.cli.reading import note_remarks

    is_said = False
    for name, data in arrivals:
        remarks = [] if is_said else data.remarks()
        note_remarks(remarks, Path(name))
        is_said = is_said or bool(remarks)
        yield name, data


def _as_json(found: "Decision") -> str:
    import json

    shown = dict(vars(found))
    del shown["first_score"], shown["is_lost"]
    return json.dumps({"audited": shown.pop("is_audited"), **shown})
