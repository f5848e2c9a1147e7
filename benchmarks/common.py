"""What the benchmarks share: reading crystals, caches that survive an interruption, markdown, machine and versions.

Import it first: it keeps every numerical library on one thread, so that timings mean one core.
"""

from __future__ import annotations

import os

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import json  # noqa: E402
import shlex  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from datetime import date  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

warnings.filterwarnings("ignore")

COLUMNS = ["material_id", "formula", "n_sites", "numbers", "lattice", "frac_coords"]
PACKAGES = ("sozai", "torch", "chgnet", "pymatgen", "spglib", "pyxtal", "smact", "numpy")


def structure_of(row: Any):
    """The pymatgen structure of a row with ``numbers``, ``lattice`` (9 floats) and ``frac_coords`` (flat)."""
    from pymatgen.core import Structure

    coordinates = np.reshape(row.frac_coords, (-1, 3)).astype(float)
    return Structure(np.reshape(row.lattice, (3, 3)).astype(float), row.numbers, coordinates)


def read_crystals(path: Path, most_sites: int, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Rows of a parquet file of crystals with at most so many sites."""
    table = pd.read_parquet(path, columns=[*COLUMNS, *columns])
    return table[table.n_sites <= most_sites].reset_index(drop=True)


def library(energies: Path | None):
    """The bundled library, with the energies (eV/atom by id) of a JSON file instead of its own if one is named."""
    from sozai.materials.known import KnownMaterials, known_materials

    known = known_materials()
    if energies is None:
        return known
    values = json.loads(energies.read_text())
    return KnownMaterials(known.table.assign(energy=[values.get(i, np.nan) for i in known.table["id"]]), known.source)


class Cache:
    """Results by key in a JSON-lines file; a line that was cut off by an interruption is computed again."""

    def __init__(self, path: Path | None):
        self.path = path
        self.entries: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            text = path.read_text()
            if text and not text.endswith("\n"):
                with path.open("a") as handle:
                    handle.write("\n")  # else the next entry would join the line that was cut off
            for line in text.splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue
                self.entries[entry.pop("key")] = entry

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def __getitem__(self, key: str) -> dict[str, Any]:
        return self.entries[key]

    def add(self, key: str, entry: dict[str, Any]) -> None:
        """Remember a result and append it to the file at once."""
        self.entries[key] = entry
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as handle:
                handle.write(json.dumps({"key": key, **entry}) + "\n")


class Ticker:
    """Prints progress with the time left, at most every ten seconds."""

    def __init__(self, what: str):
        self.what, self.started, self.last = what, time.monotonic(), time.monotonic()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self.last >= 10 or done == total:
            left = (now - self.started) / max(done, 1) * (total - done)
            print(f"{self.what}: {done}/{total}, {left / 60:.1f} min left", flush=True)
            self.last = now


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A markdown table, first column left, the others right."""
    lines = [" | ".join(head), " | ".join(["---"] + ["---:"] * (len(head) - 1))]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines) + "\n"


def spread(values: Sequence[float], form: str = "{:.1%}") -> str:
    """Mean and, of more than one value, the standard deviation."""
    known = np.asarray(values, dtype=float)
    if not np.isfinite(known).all():
        return "unknown"
    text = form.format(known.mean())
    return f"{text} ± {form.format(known.std(ddof=1))}" if len(known) > 1 else text


def command() -> str:
    """The command that is running, without folders (they are the user's)."""
    words = [Path(word).name if "/" in word and not word.startswith("docs/") else word for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])


def machine() -> str:
    """Processor and cores."""
    name = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next((t.split(":", 1)[1].strip() for t in info.read_text().splitlines() if "model name" in t), name)
    return f"{name}, {os.cpu_count()} cores"


def versions() -> str:
    """Versions of what the numbers depend on."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"Python {sys.version.split()[0]}, " + ", ".join(found)


def write_fragment(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write one section of docs/benchmarks.md with the command that made it."""
    end = f"Run: `{command()}` ({date.today().isoformat()}; {machine()})."
    text = "\n".join([f"## {title}", "", *(part.rstrip() + "\n" for part in parts), end, ""])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(text)
