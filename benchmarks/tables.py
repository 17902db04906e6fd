"""The results as Markdown."""

from collections.abc import Sequence

from benchmarks.bars import bars, cutoff_fractions, ratios, times
from benchmarks.store import Json

HEAD = """# Results of `make bench`

Written by `python -m benchmarks` from `latest.json`; do not edit.

Microseconds per input and timestep, the median of the rounds. In brackets: how many
times as long as the engine's first line, worst and best round. One thread: CPU time of
the thread; two threads and Lava: wall time. All inputs are different. Engine and Lava
take one input after the other. The peers compute in float; they are not exact.
"""


def markdown(result: Json) -> str:
    """Return the whole page."""
    cases: Json = result["cases"]
    parts = [
        HEAD,
        _origin(result),
        _table(["", *cases], _rows(cases)),
        "## Per input, to its decision\n",
        _table(["", *cases], _decisions(cases)),
        "## Networks\n",
        _table(["", *cases], _facts(cases)),
        "## Bars\n",
        _bars(result),
        *_layers(result),
        *_startup(result),
        *_absent(result),
    ]
    return "\n".join(parts)


def _origin(result: Json) -> str:
    machine, versions = result["machine"], result["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    low, high = min(result["load"]), max(result["load"])
    return (
        f"{result['date']}, commit {result['code']}, {machine['name']}, "
        f"{machine['cores']} cores, load {low:.1f} to {high:.1f}. {packages}.\n"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _rows(cases: Json) -> list[list[str]]:
    keys = dict.fromkeys(key for case in cases.values() for key in case["contenders"])
    shown = [key for key in keys if not key.endswith("cutoff")]
    return [[key, *(_cell(case, key) for case in cases.values())] for key in shown]


def _cell(case: Json, key: str) -> str:
    found = times(case, key)
    if not found:
        return "absent"
    first = next(iter(case["contenders"]))
    ratio = ratios(case, [found], first)
    text = _short(median(found))
    batch = case["contenders"][key]["notes"][-1].get("batch", 1)
    size = f" at {batch:g}" if key.endswith("best") else ""
    if key == first or not ratio:
        return f"**{text}**"
    return f"{text}{size} ({_short(min(ratio))}..{_short(max(ratio))})"


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return (ordered[half] + ordered[-half - 1]) / 2


def _decisions(cases: Json) -> list[list[str]]:
    rows: dict[str, list[str]] = {}
    for case in cases.values():
        whole = case["facts"]["timesteps"]
        first = next(iter(case["contenders"]))
        chosen = {
            "engine, all timesteps [ms]": (first, whole),
            "engine, cutoff [ms]": (f"{first}, cutoff", whole),
            "Lava, all timesteps [ms]": ("lava, 1 thread", whole),
            "Lava backend, all timesteps [ms]": ("lava backend, 1 thread", whole),
        }
        for program in ("norse", "snntorch", "spikingjelly", "torch.compile"):
            key = f"{program}, 1 thread, batch 1"
            chosen[f"{program}, all timesteps, batch 1 [ms]"] = (key, whole)
        for title, (key, n) in chosen.items():
            found = times(case, key)
            n += case["facts"]["depth"] if title.startswith("Lava") else 0
            text = _short(median(found) * n / 1e3) if found else "absent"
            rows.setdefault(title, []).append(text)
        fraction = cutoff_fractions(case)
        steps = f"{fraction[0][1] * whole:.2f} of {whole}" if fraction else "absent"
        rows.setdefault("timesteps with the cutoff", []).append(steps)
        spent = f"{median([t for t, _ in fraction]):.3f}" if fraction else "absent"
        rows.setdefault("time with the cutoff, of all", []).append(spent)
        taken = f"{fraction[0][1]:.3f}" if fraction else "absent"
        rows.setdefault("timesteps with the cutoff, of all", []).append(taken)
    return [[title, *texts] for title, texts in rows.items()]


def _facts(cases: Json) -> list[list[str]]:
    every = list(cases.values())
    rows = [
        [name, *(_short(case["facts"][name]) for case in every)]
        for name in (every[0]["facts"] if every else ())
    ]
    rows.append(["load [ms]", *(_short(1e3 * case["load_s"]) for case in every)])
    programs = dict.fromkeys(name for case in every for name in case["memory_mib"])
    for name in programs:
        peaks = [case["memory_mib"].get(name) for case in every]
        cells = ["" if peak is None else _short(peak) for peak in peaks]
        rows.append([f"peak memory, {name} [MiB]", *cells])
    for program in every[0]["agreement"] if every else ():
        shares = [case["agreement"].get(program) for case in every]
        cells = ["absent" if s is None else f"{100 * s:.0f} %" for s in shares]
        rows.append([f"same answers, {program}", *cells])
    return rows


def _bars(result: Json) -> str:
    rows = [
        [
            bar.name,
            bar.network,
            f"{bar.found:.4g}",
            f"{'<=' if bar.is_upper else '>='} {bar.wanted:g}",
            "met" if bar.is_met else "**missed**",
        ]
        for bar in bars(result)
    ]
    return _table(["bar", "", "worst round", "wanted", ""], rows)


def _layers(result: Json) -> list[str]:
    layers: Json = result["layers"]
    if not layers:
        return []
    rates = list(next(iter(layers.values())))
    rows = [
        [name, *(_short(found[rate]) for rate in rates)]
        for name, found in layers.items()
    ]
    title = "## Giga synaptic operations per second, by activity of the input\n"
    return [title, _table(["", *rates], rows)]


def _startup(result: Json) -> list[str]:
    rows = [
        [name, f"{found['least']:.0f}", f"{found['median']:.0f}"]
        for name, found in result["startup_ms"].items()
    ]
    return ["## Start\n", _table(["", "least [ms]", "median [ms]"], rows)]


def _absent(result: Json) -> list[str]:
    lines = [f"- {name}: {why}\n" for name, why in result["absent"].items()]
    lines += [
        f"- {program} on {name}: {why}\n"
        for name, case in result["cases"].items()
        for program, why in case["absent"].items()
    ]
    return ["## Absent\n", "".join(lines)] if lines else []


def _short(value: float) -> str:
    """Return three digits, or all of a larger number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
