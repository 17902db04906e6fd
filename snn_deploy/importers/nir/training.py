"""What a NIR file says, or leaves out, of time, resets and the input.

The format has no place for it, but room for notes: ``metadata`` of the graph may hold
``dt`` and the rest of ``Training``, ``metadata`` of neurons ``reset``, as
``exporters/nir.py`` writes them. What is missing must be given, since a guess would
compute something else; what is given may not contradict the file.
"""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.errors import ModelError
from snn_deploy.importers.nir.file import Primitives
from snn_deploy.importers.nir.neurons import Timing
from snn_deploy.ir.graph import Functional, Training
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.stimuli import Encoding

RESETTING = ("LIF", "CubaLIF", "IF")
TIMED = (*RESETTING, "I", "LI", "CubaLI", "Delay")
TIMELESS_DT = 1.0  # of a network that no time constant is in


def ask(
    path: Path, network: Primitives, dt: float | None, reset: Reset | None
) -> Timing:
    """Return the timing of ``network``, from its file or as given.

    Raises
    ------
    ModelError
        If something is missing, or given in contradiction to the file.
    """
    noted = _scalar(network.metadata, "dt")
    dt = _agreed(path, "dt", None if noted is None else float(noted), dt)
    resets, missing = {}, []
    for name, primitive in network.nodes.items():
        if primitive.kind not in RESETTING:
            continue
        mine = _reset(path, name, _scalar(primitive.metadata, "reset"))
        found = _agreed(path, "reset", mine, reset)
        if found is None:
            missing.append(name)
        else:
            resets[name] = found
    needs = []
    if dt is None and any(p.kind in TIMED for p in network.nodes.values()):
        needs.append("how long a timestep is (--dt SECONDS; most tools take 1e-4)")
    if missing:
        needs.append(
            "what a spike does to the voltage (--reset hard: set to v_reset, as NIR's "
            "equations say; --reset soft: lowered by the threshold)"
        )
    if needs:
        raise ModelError(f"{path}: does not say {', nor '.join(needs)}; give it")
    if dt is not None and not (np.isfinite(dt) and dt > 0):
        raise ModelError(f"{path}: a timestep of {dt} s; it must be over 0")
    return Timing(dt=TIMELESS_DT if dt is None else dt, resets=resets)


def read_training(
    path: Path,
    metadata: dict[str, Any],
    dt: float,
    timesteps: int,
    encoding: Encoding | None,
) -> tuple[Training, bool]:
    """Return what the file notes of the training, and whether it holds integers."""
    kinds: dict[str, Any] = {
        "timesteps": int,
        "encoding": Encoding,
        "input_scale": float,
        "input_offset": float,
        "functional": Functional,
    }
    assert set(kinds) < {item.name for item in fields(Training)}
    values: dict[str, Any] = {"timesteps": timesteps}
    for key, kind in kinds.items():
        noted = _scalar(metadata, key)
        if noted is None:
            continue
        try:
            values[key] = kind(noted)
        except ValueError as error:
            raise ModelError(
                f"{path}: notes {key} {noted!r} ({error}); write the file again"
            ) from None
    kind = _agreed(path, "encoding", values.get("encoding"), encoding)
    values["encoding"] = kind or Encoding.EVENTS
    is_on_grid = bool(_scalar(metadata, "is_on_grid"))
    return Training(dt=dt, **values), is_on_grid


def _reset(path: Path, name: str, noted: Any) -> Reset | None:
    if noted is None:
        return None
    if noted not in [reset.value for reset in Reset]:
        raise ModelError(
            f"{path}: {name}: notes reset {noted!r}; hard and soft are known, write "
            "the file again"
        )
    return Reset(noted)


def _agreed(path: Path, key: str, noted: Any, given: Any) -> Any:
    """Return what the file notes, or what is given."""
    if noted is None or given is None or noted == given:
        return given if noted is None else noted
    told = [getattr(value, "value", value) for value in (noted, given)]
    raise ModelError(
        f"{path}: notes {key} {told[0]}, --{key} says {told[1]}; leave it out"
    )


def _scalar(metadata: dict[str, Any], key: str) -> Any:
    value = metadata.get(key)
    return value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
