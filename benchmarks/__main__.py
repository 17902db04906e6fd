"""Measure snn-deploy and its peers side by side; write the results.

    python -m benchmarks [N1 N2 ...] [--quick] [--minutes 12] [--only avx512,norse]

A run that was ended goes on where it was, as long as neither code nor versions have
changed; ``--fresh`` starts anew. Results: JSON, a page of tables, a picture.
"""

import argparse
import json
import os
import shutil
import time
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import bars, cases, limit, machine, plot, tables
from benchmarks.contender import AbsentError
from benchmarks.layers import layer_rates
from benchmarks.rounds import Plan, measure_case
from benchmarks.startup import startup_ms
from benchmarks.store import Json, Store

WORK = Path("build/bench")
RESULTS = Path("benchmarks/results")
QUICK = ("N1", "mnist_lif")
SHARES = {"N1": 2.0, "N2": 2.0, "N3": 4.0}  # of the time; others 1


def main() -> None:
    """Measure, then write."""
    options = _options()
    folder = WORK / "quick" if options.quick else WORK
    if options.fresh and folder.is_dir():
        shutil.rmtree(folder)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(WORK.absolute() / "compiled"))
    result = measure(options, folder)
    is_part = options.quick or options.only or options.names
    output = options.output or (folder if is_part else RESULTS)
    write(result, output)
    for bar in bars.bars(result):
        print(bar.text)
    print(f"wrote {output}")


def measure(options: argparse.Namespace, folder: Path) -> Json:
    """Return all results, measured now or found in ``folder``."""
    begun = time.monotonic()
    only = tuple(options.only.split(",")) if options.only else ()
    plan = Plan(2, 0.02, only) if options.quick else Plan(options.rounds, 0.25, only)
    run = {
        "code": machine.fingerprint(),
        "versions": machine.versions(),
        "seconds": plan.seconds,
    }
    whole = _measured_once(Store(folder / "whole.json", run), plan.seconds)
    names = options.names or (QUICK if options.quick else cases.names())
    found, absent = {}, {}
    for position, name in enumerate(names):
        left = begun + 60 * options.minutes - time.monotonic()
        shares = [SHARES.get(other, 1.0) for other in names[position:]]
        deadline = time.monotonic() + left * shares[0] / sum(shares)
        store = Store(folder / f"{name}.json", run)
        try:
            measure_case(
                cases.case(name, options.data_dir), store, plan, deadline, _say
            )
        except AbsentError as error:
            absent[name] = str(error)
            continue
        found[name] = {k: v for k, v in store.data.items() if k != "run"}
    return {
        "date": whole.known("begun"),
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "code": machine.code(),
        "machine": machine.processor(),
        "versions": machine.versions(),
        "load": _loads(found),
        "cases": found,
        "absent": absent,
        **{name: whole.known(name) for name in ("layers", "limit", "startup_ms")},
    }


def _measured_once(whole: Store, seconds: float) -> Store:
    """Measure what belongs to no network, unless that is done."""
    for name, work in (
        ("begun", lambda: datetime.now(timezone.utc).isoformat(timespec="minutes")),
        ("startup_ms", lambda: startup_ms(repeats=10)),
        ("layers", lambda: layer_rates(seconds)),
        ("limit", limit.measure),
    ):
        if whole.known(name) is None:
            _say(f"{name} ...")
            whole.keep(name, work())
    return whole


def _loads(found: Json) -> list[float]:
    """Return the lowest and the highest load of the machine while it measured."""
    loads = [
        load
        for case in found.values()
        for contender in case["contenders"].values()
        for load in contender["load"]
    ]
    return [min(loads, default=0), max(loads, default=0)]


def write(result: Json, folder: Path) -> None:
    """Write JSON, tables and picture."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=1)
    (folder / "latest.json").write_text(text + "\n", "utf-8")
    (folder / "README.md").write_text(tables.markdown(result), "utf-8")
    plot.draw(result, folder / "latest.svg")


def _say(text: str) -> None:
    print(text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = ", ".join(cases.names())
    parser.add_argument("names", nargs="*", help=f"of {known}")
    parser.add_argument("--quick", action="store_true", help="a minute or two, rough")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=12, help="for the rounds")
    parser.add_argument("--only", default="", help="programs, with commas between")
    parser.add_argument("--output", type=Path, help=f"folder (default: {RESULTS})")
    parser.add_argument(
        "--data-dir",
        type=Path,
        action="append",
        default=[],
        help="with data sets to be downloaded; several times for several folders",
    )
    parser.add_argument("--fresh", action="store_true", help="forget an ended run")
    options = parser.parse_args()
    unknown = sorted({*options.names} - {*cases.names()})
    if unknown:
        parser.error(f"no network is called {unknown[0]!r}; choose from {known}")
    return options


if __name__ == "__main__":
    main()
