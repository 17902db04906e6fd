"""On what a run was done: processor, load, versions, code."""

import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "numpy",
    "torch",
    "norse",
    "snntorch",
    "spikingjelly",
    "lava-nc",
    "nanobind",
)
ROOT = Path(__file__).parent.parent


def versions() -> dict[str, str]:
    """Return the versions of what takes part, ``absent`` where it is not installed."""
    return {"python": platform.python_version()} | {
        name: _version(name) for name in PACKAGES
    }


def processor() -> dict[str, object]:
    """Return what is known of the processor."""
    return {
        "name": _processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "instructions": _instructions(),
        "system": f"{platform.system()} {platform.release()}",
    }


def code() -> str:
    """Return the commit, and whether the files differ from it."""
    commit = _git("rev-parse", "--short", "HEAD") or "unknown"
    changed = _git("status", "--porcelain", "--", "snn_deploy", "benchmarks/*.py")
    return f"{commit} with changes" if changed else commit


def fingerprint() -> str:
    """Return a hash of all code that takes part, the compiled engine included."""
    digest = hashlib.sha256()
    for folder in ("snn_deploy", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    engine = importlib.util.find_spec("snn_deploy.backends.engine._engine")
    if engine is not None and engine.origin is not None:
        digest.update(Path(engine.origin).read_bytes())
    return digest.hexdigest()[:16]


def _instructions() -> list[str]:
    from snn_deploy.backends.engine.compiled import available

    return available()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _processor_name() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return done.stdout.strip()
