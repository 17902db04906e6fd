"""``snn-deploy run``: inputs one after the other, timestep by timestep."""

import argparse
import re
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snn_deploy.backends.registry import BACKENDS, DEFAULT
from snn_deploy.cli.console import add_json_option
from snn_deploy.cli.reading import add_head, positive
from snn_deploy.errors import DataError

if TYPE_CHECKING:
    from snn_deploy.arrays import AnyArray, FloatArray
    from snn_deploy.artifact import Artifact
    from snn_deploy.backends.protocol import Backend, Program
    from snn_deploy.backends.results import RunResult
    from snn_deploy.cutoff.rules.rule import Calibration
    from snn_deploy.data.data import Data

REGISTERS = "where the chip's registers end and the trained network goes on"
FAILED = 4  # exit status: the machine failed at an input, twice, and went on


def add_to(commands: Any) -> None:
    """Add this command to the parser's."""
    parser = commands.add_parser(
        "run",
        help="run inputs and show their outputs at every timestep",
        description="Run inputs and show their outputs at every timestep.",
    )
    parser.add_argument("network", type=Path, help="a compiled network, .snn")
    add_head(parser, "the outputs that are shown")
    parser.add_argument("--data", type=Path, required=True, help="inputs, .npz")
    parser.add_argument(
        "--index",
        type=_indices,
        metavar="LIST",
        help="which inputs: 7, or 0,3,5-8 (default: the first; --record: all)",
    )
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="auto is cpu (default); reference: the same in NumPy, slowly",
    )
    parser.add_argument(
        "--no-cutoff", action="store_true", help="run all timesteps, whatever happens"
    )
    parser.add_argument(
        "--poll", type=positive, metavar="K", help="read the outputs every K timesteps"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--watch", action="store_true", help="show the outputs while they grow"
    )
    add_json_option(shown)
    recording = parser.add_argument_group("recording what every neuron does")
    recording.add_argument(
        "--record",
        metavar="LIST",
        type=_quantities,
        help="spikes, current, voltage, or several with commas; the data may be raw "
        "(spikes, bias)",
    )
    recording.add_argument(
        "-o", "--output", type=Path, default=Path("trace.npz"), help="(trace.npz)"
    )
    recording.add_argument(
        "--timesteps", type=positive, help="(default: as many as the data have)"
    )
    recording.add_argument(
        "--reset-every",
        type=positive,
        metavar="N",
        help="return every layer to rest every N timesteps of its own",
    )
    recording.add_argument(
        "--chip-time",
        action="store_true",
        help="as the chip sees it, each layer later than the one before",
    )
    parser.set_defaults(call=call)


def _indices(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(-?\d+)(?:-(\d+))?", part.strip())
        if match is None:
            raise argparse.ArgumentTypeError(
                f"{part!r} is not an input; give positions from 0, such as 0,3,5-8"
            )
        first = int(match[1])
        found.extend(range(first, int(match[2] or first) + 1))
    return found


def _quantities(text: str) -> tuple[str, ...]:
    from snn_deploy.verify.recording import parse_quantities

    try:
        return parse_quantities(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def call(options: argparse.Namespace) -> None:
    """Run the input and print what the monitor saw, or record all neurons."""
    if options.record:
        _record(options)
    else:
        _run(options)


def _record(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from snn_deploy.artifact import read_artifact
    from snn_deploy.backends.protocol import LIMITED
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.backends.results import limited_in_words
    from snn_deploy.cli.console import give_json, note, out
    from snn_deploy.cli.reading import note_remarks
    from snn_deploy.front.progress import with_progress
    from snn_deploy.verify.recording import read_raw, record, take_limited, write_trace

    network = read_artifact(options.network).network
    inputs = read_raw(options.data, network.graph, options.timesteps)
    note_remarks(inputs.remarks, options.data)
    if options.index is not None:
        _check_indices(options, len(inputs.stimuli))
        chosen = tuple(inputs.stimuli[i] for i in options.index)
        ends = tuple(inputs.ends[i] for i in options.index)
        inputs = replace(inputs, stimuli=chosen, lengths=ends)
    program = open_backend(backend_name(options.backend)).load(network)
    limited: dict[str, dict[str, int]] = {}
    try:
        recordings = record(
            program,
            network.graph,
            inputs,
            (*options.record, *LIMITED),
            reset_every=options.reset_every,
            chip_time=options.chip_time,
        )
        n = len(inputs.stimuli)
        shown = with_progress(take_limited(recordings, limited), n, "recording")
        write_trace(shown, options.output)
    finally:
        program.close()
    for name, counts in limited.items():
        if any(counts.values()):
            note(f"{name}: {limited_in_words(**counts)}, {REGISTERS}")
    shortest = min(inputs.ends)
    if shortest < inputs.n_timesteps:
        note(f"inputs end after {shortest} timesteps or later; rows behind them are 0")
    out(f"{n} inputs of {inputs.n_timesteps} timesteps; wrote {options.output}")
    written = {"file": str(options.output), "n_inputs": n}
    give_json(options, {**written, "timesteps": inputs.n_timesteps})


def backend_name(asked: str) -> str:
    """Return the backend that ``--backend`` asks for."""
    return DEFAULT if asked == "auto" else asked


def _check_indices(options: argparse.Namespace, n: int) -> None:
    for index in options.index:
        if not 0 <= index < n:
            raise DataError(
                f"{options.data}: there is no input {index}; choose 0 to {n - 1}"
            )


def _run(options: argparse.Namespace) -> None:
    from snn_deploy.backends.registry import open_backend
    from snn_deploy.cli.reading import (
        asked_calibration,
        note_overlap,
        read_inputs,
        read_network,
    )
    from snn_deploy.cli.watch import watch_inputs

    artifact = read_network(options)
    data = read_inputs(options.data, artifact.network.graph)
    options.index = options.index or [0]
    _check_indices(options, len(data))
    calibration = asked_calibration(artifact, options, data)
    if calibration is not None:
        note_overlap(calibration, data.take(options.index), options.data)
    backend = open_backend(backend_name(options.backend))
    if not options.watch:
        _show_all(options, artifact, backend, data, calibration)
        return
    program = backend.load(artifact.network)
    try:
        watch_inputs(artifact, program, data, options.index, calibration)
    finally:
        program.close()


def _show_all(
    options: argparse.Namespace,
    artifact: "Artifact",
    backend: "Backend",
    data: "Data",
    calibration: "Calibration | None",
) -> None:
    from snn_deploy.backends.results import Failure
    from snn_deploy.cli.console import give_json, note
    from snn_deploy.cutoff.decision import never
    from snn_deploy.cutoff.monitor import run_inputs
    from snn_deploy.cutoff.restarting import Restarting

    cutoff = never if calibration is None else calibration.cutoff
    network, indices = artifact.network, options.index

    def attempt(program: "Program", place: int) -> "Iterator[RunResult]":
        stimuli = ((index, data.stimulus(index)) for index in indices[place:])
        return run_inputs(program, network, stimuli, cutoff)

    has_failed = False
    with closing(Restarting(partial(backend.load, network))) as machine:
        for result in machine.run(indices, attempt):
            if isinstance(result, Failure):
                has_failed = True
                note(f"input {result.index} failed twice: {result.reason}")
                continue
            if not options.json:  # for many inputs tables take their time
                _show(result, artifact, data, calibration)
                _show_limited(result)
            backend_used = backend_name(options.backend)
            give_json(options, _as_json(result, artifact, data, backend_used))
    if has_failed:
        raise SystemExit(FAILED)


def _show_limited(result: "RunResult") -> None:
    from snn_deploy.backends.results import limited_in_words
    from snn_deploy.cli.console import out

    limited = limited_in_words(result.activity.saturations, result.activity.wraps)
    if limited:
        out(f"{limited}, {REGISTERS}")


def _as_json(
    result: "RunResult", artifact: "Artifact", data: "Data", backend: str
) -> dict[str, Any]:
    is_class = _is_class(artifact, data)
    targets = data.targets
    return {
        "index": result.index,
        "label": _label(result, data),
        "targets": None if targets is None else targets[result.index].tolist(),
        "prediction": result.prediction if is_class else None,
        "timesteps": result.timesteps,
        "chip_timesteps": result.chip_timesteps,
        "stopped_early": result.stopped_early,
        "gap": result.gap if is_class else None,
        "scores": result.scores.tolist(),
        "values": _values(result, artifact).tolist(),
        "saturations": result.activity.saturations,
        "wraps": result.activity.wraps,
        "backend": backend,
    }


def _label(result: "RunResult", data: "Data") -> int | None:
    return None if data.y is None else int(data.y[result.index])


def _is_class(artifact: "Artifact", data: "Data") -> bool:
    """Return whether the largest output is the answer; else each one is a value."""
    from snn_deploy.ir.heads import HeadKind

    kind = artifact.network.graph.head.kind
    return data.targets is None and kind is HeadKind.CLASS


def _values(result: "RunResult", artifact: "Artifact") -> "FloatArray":
    """Return what the outputs are at the stop, in the trained network's units."""
    graph = artifact.network.graph
    return graph.in_units(result.scores[-1], result.timesteps)


def _show_values(result: "RunResult", artifact: "Artifact", data: "Data") -> None:
    """Print what the outputs give: no class, so nothing to stop at."""
    import numpy as np

    from snn_deploy.cli.console import out, show_table

    graph = artifact.network.graph
    after = np.arange(1, result.timesteps + 1)
    rows = [
        (t, _row(scores), _row(values))
        for t, scores, values in zip(
            after, result.scores, graph.in_units(result.scores, after), strict=True
        )
    ]
    many = "" if result.scores.shape[1] == 1 else "s"
    columns = ("timestep", f"accumulated output{many}", "in the network's units")
    show_table(f"input {result.index}", columns, rows)
    is_one = "a value" if not many else "values"
    truth = ""
    if data.targets is not None:
        truth = f" (should be {_row(data.targets[result.index])})"
    out(
        f"output{many} {rows[-1][1]}, {is_one} and no class, after {result.timesteps} "
        f"timesteps: {rows[-1][2]}{truth} in the network's units; "
        f"{result.chip_timesteps} chip timesteps with the pipeline's {graph.depth}"
    )


def _row(numbers: "AnyArray") -> str:
    return " ".join(f"{number:.6g}" for number in numbers)


def _show(
    result: "RunResult",
    artifact: "Artifact",
    data: "Data",
    calibration: "Calibration | None",
) -> None:
    from snn_deploy.cli.console import out, show_table
    from snn_deploy.cli.watch import threshold_at, threshold_text
    from snn_deploy.cutoff.oracle import answers, gaps

    graph = artifact.network.graph
    if not _is_class(artifact, data):
        _show_values(result, artifact, data)
        return
    label = _label(result, data)
    rows = []
    for t, scores in enumerate(result.scores, start=1):
        beta = threshold_text(threshold_at(calibration, t))
        best = " ".join(str(score) for score in scores)
        rows.append((t, int(answers(scores)), int(gaps(scores)), beta, best))
    columns = ("timestep", "answer", "gap", "threshold", "accumulated outputs")
    show_table(f"input {result.index}", columns, rows)
    early = "stopped early" if result.stopped_early else "ran to the end"
    truth = "" if label is None else f" (label {label})"
    out(
        f"answer {result.prediction}{truth} after {result.timesteps} of "
        f"{graph.training.timesteps} timesteps, {early}; {result.chip_timesteps} chip "
        f"timesteps with the pipeline's {graph.depth}"
    )
    if artifact.calibration is None:
        out("no cutoff: snn-deploy calibrate finds its threshold")
