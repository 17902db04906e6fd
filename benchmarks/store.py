"""What was measured, on disk as it comes, so that a run that was ended goes on."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.contender import Sample, Setting
from snn_deploy.files.writing import write_whole

Json = dict[str, Any]


class Store:
    """The results of one case, in a file.

    Parameters
    ----------
    path : Path
    run : dict
        What a run is about: code, versions, settings. Results of another are dropped.
    """

    def __init__(self, path: Path, run: Json) -> None:
        self.path = path
        found = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        self.data: Json = found if found.get("run") == run else {"run": run}
        self.data.setdefault("contenders", {})

    def known(self, name: str) -> Any:
        """Return what was kept under ``name``, ``None`` if nothing was."""
        return self.data.get(name)

    def keep(self, name: str, value: object) -> None:
        """Write down anything that is measured once."""
        self.data[name] = value
        self._write()

    def has(self, setting: Setting, turn: int) -> bool:
        """Whether a contender's round ``turn``, counted from 0, is done."""
        found = self.data["contenders"].get(setting.key, {"us": []})
        return len(found["us"]) > turn

    def add(self, setting: Setting, sample: Sample) -> None:
        """Write down one round of a contender."""
        empty = {**asdict(setting), "us": [], "load": [], "notes": []}
        found = self.data["contenders"].setdefault(setting.key, empty)
        found["us"].append(sample.us)
        found["load"].append(round(os.getloadavg()[0], 2))
        found["notes"].append(sample.notes)
        self._write()

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.data, indent=1)
        write_whole(self.path, lambda to: _fill(to, text))


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
