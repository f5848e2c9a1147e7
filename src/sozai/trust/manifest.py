"""What a run was: settings, versions, hashes, time and energy, in ``manifest.json`` beside its results.

with Manifest("run/", settings={"count": 200}, seeds={"generator": 0}, data=["mine.cif"]) as manifest:
    ...
    manifest.record("weights", {"wyckoff-gpt": sha256(path)})
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import sozai
from sozai.files import output_folder, sha256, write_json
from sozai.trust.energy import EnergyMeter
from sozai.trust.ledger import LEDGER

FILE_NAME = "manifest.json"
PACKAGES = (
    "torch", "chgnet", "sevenn", "pymatgen", "spglib", "pyxtal", "smact", "ase", "numpy", "scipy", "pandas", "pyarrow",
    "scikit-learn", "sympy", "pint", "scikit-fem", "pypdf", "gemmi",
)  # fmt: skip
"""Packages whose versions can change a result."""


class Manifest:
    """Records a run while it goes on; a context manager.

    It is written when the block starts (``"status": "running"``), so that a killed run leaves one too, and
    when it ends: ``"finished"``, ``"interrupted"`` (Ctrl-C) or ``"failed"`` with the error. When the
    folder holds the manifest of an earlier attempt, that one's times are kept under ``"earlier"`` and are in
    ``"total"``, so that a resumed run tells its whole cost. ``"language_models"`` tells which endpoints this
    process sent text to meanwhile (and, where answers were kept, the attempts before), and whether any of it left the
    machine.

    Args:
        folder: the run's folder; made when missing.
        settings: what decides the result, JSON types.
        command: the command line; by default this process's own.
        seeds: seeds by use.
        data: input files or folders, hashed.
        weights: weight files, hashed.
        device: ``"cpu"``, ``"cuda: NVIDIA H100"``, ...
        resume: whether an earlier manifest in the folder belongs to this run.

    Raises:
        UserError: the folder cannot be written in, or a file to hash cannot be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        settings: Mapping[str, Any] | None = None,
        command: str | None = None,
        seeds: Mapping[str, int] | None = None,
        data: Iterable[str | os.PathLike[str]] = (),
        weights: Iterable[str | os.PathLike[str]] = (),
        device: str = "cpu",
        resume: bool = False,
    ):
        self.path = output_folder(folder) / FILE_NAME
        self.content: dict[str, Any] = {
            "sozai": sozai.__version__,
            "status": "running",
            "command": command if command is not None else command_line(),
            "settings": dict(settings or {}),
            "seeds": dict(seeds or {}),
            "data": {os.fspath(path): sha256(path) for path in data},
            "weights": {os.fspath(path): sha256(path) for path in weights},
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "device": device,
            "versions": versions(),
        }
        self._earlier = self._attempts() if resume else []

    def __enter__(self) -> Manifest:
        self._begun, self._wall, self._cpu = _now(), time.monotonic(), cpu_seconds()
        self._mark = LEDGER.mark()
        self._meter = EnergyMeter()
        self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.content["status"] = "finished"
        elif issubclass(kind, KeyboardInterrupt):
            self.content["status"] = "interrupted"
        else:
            self.content["status"] = "failed"
            self.content["error"] = " ".join(str(error).split()) or kind.__name__
        self._write()

    def record(self, key: str, value: Any) -> None:
        """Add something learned on the way, such as a weight file's hash; dictionaries are merged."""
        if isinstance(self.content.get(key), dict) and isinstance(value, Mapping):
            self.content[key].update(value)
        else:
            self.content[key] = value

    def cost(self) -> dict[str, Any]:
        """Time, memory and energy of this attempt until now."""
        used = cpu_seconds() - self._cpu
        energy, how = self._meter.watt_hours(used)
        return {
            "start": self._begun,
            "end": _now(),
            "seconds": round(time.monotonic() - self._wall, 3),
            "cpu_seconds": round(used, 3),
            "energy_wh": round(energy, 6),
            "energy_how": how,
            "peak_memory_mib": round(_peak_memory(resource.RUSAGE_SELF), 1),
            "peak_memory_mib_of_a_child": round(_peak_memory(resource.RUSAGE_CHILDREN), 1),
        }

    def _write(self) -> None:
        cost = self.cost()
        attempts = [*self._earlier, {"status": self.content["status"], **cost}]
        total = {
            key: round(sum(attempt.get(key) or 0 for attempt in attempts), 6)
            for key in ("seconds", "cpu_seconds", "energy_wh")
        }
        models = {"language_models": LEDGER.summary(self._mark)}
        write_json(self.path, self.content | cost | models | {"total": total, "earlier": self._earlier})

    def _attempts(self) -> list[dict[str, Any]]:
        try:
            old = json.loads(self.path.read_text(encoding="utf-8"))
            keys = ("status", "start", "end", "seconds", "cpu_seconds", "energy_wh", "energy_how")
            return [*old.get("earlier", []), {key: old.get(key) for key in keys}]
        except (OSError, ValueError, AttributeError):
            return []  # no manifest, or a damaged one: the attempts before are not known


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str | None]:
    """Installed version by package, ``None`` where it is not installed; nothing is imported."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def command_line() -> str:
    """This process's command line as one would type it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else "python"


def cpu_seconds() -> float:
    """CPU time of this process, of its ended children, and (on Linux) of those that still run."""
    ended = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return ended + _running_children(os.getpid())


def _running_children(pid: int) -> float:
    """CPU seconds of the living descendants of a process, with those of their own ended children."""
    total = 0.0
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (OSError, ValueError):
        return 0.0  # not Linux, or the process has just ended
    for child in children:
        try:
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            continue
        total += _running_children(child)
    return total


def _peak_memory(who: int) -> float:
    """Largest resident memory in MiB; the kernel gives kilobytes on Linux and bytes on macOS."""
    return resource.getrusage(who).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
