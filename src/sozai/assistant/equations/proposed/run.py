"""A proposed script run in the sandbox on three grids, and the numbers it leaves, read as what they are: untrusted."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sozai.assistant.equations.proposed.grid import Axes
from sozai.assistant.sandbox import Ran, run_script
from sozai.errors import UserError

GRID = "grid.json"
NUMBERS = "solution.npz"
_LARGEST = 256 * 2**20


@dataclass(frozen=True)
class Runs:
    """What became of a script on the grids.

    Attributes:
        numbers: on each grid by unknown; fewer than grids where it failed.
        ran: of each run, what the sandbox says, as plain data.
        problem: why it failed; empty otherwise.
    """

    numbers: tuple[Mapping[str, np.ndarray], ...]
    ran: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    problem: str = ""


def grid_file(axes: Axes) -> str:
    """The text of ``grid.json``: coordinates by name."""
    return json.dumps({name: places.tolist() for name, places in axes.items()})


def run_on(
    script: str,
    grids: Sequence[Axes],
    unknowns: Sequence[str],
    *,
    seconds: float,
    memory_mb: int = 3072,
    execute: Callable[..., Ran] = run_script,
) -> Runs:
    """Run a script once for each grid, each time in an empty folder with that grid's file alone.

    Args:
        script: Python text.
        grids: coarse to fine.
        unknowns: whose numbers it must leave.
        seconds: for each run.
        memory_mb: for each run.
        execute: the sandbox.

    Raises:
        UserError: this machine has no sandbox.
    """
    numbers: list[Mapping[str, np.ndarray]] = []
    told: list[dict[str, Any]] = []
    for place, axes in enumerate(grids):
        ran = execute(script, seconds=seconds, memory_mb=memory_mb, disk_mb=256, files={GRID: grid_file(axes)})
        said = ran.to_dict()
        said["stdout"], said["stderr"] = ran.stdout[-2000:], ran.stderr[-2000:]
        told.append(said)
        on = f"on grid {place + 1} of {len(grids)}"
        if not ran.ok:
            return Runs(tuple(numbers), tuple(told), f"{on} {_printable(ran.problem())}")
        try:
            numbers.append(read_numbers(ran.files, axes, unknowns))
        except UserError as error:
            return Runs(tuple(numbers), tuple(told), f"{on} {error.what}")
    return Runs(tuple(numbers), tuple(told))


def _printable(text: str) -> str:
    """What a script said goes to a terminal: no control characters."""
    return "".join(c if c.isprintable() else " " for c in text)


def read_numbers(files: Mapping[str, bytes], axes: Axes, unknowns: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of ``solution.npz``; nothing in it is unpickled, and nothing larger than the grid is unpacked.

    Raises:
        UserError: the file is missing or broken, an array is missing, of another shape, not real or not finite.
    """
    if NUMBERS not in files:
        left = ", ".join(sorted(files)[:5]) or "nothing"
        raise UserError(f"the script did not write {NUMBERS} (it wrote {_printable(left)})")
    shape = tuple(len(places) for places in axes.values())
    wanted = 16 * int(np.prod(shape)) + 65536
    made: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(files[NUMBERS])) as archive:
            for name in unknowns:
                if f"{name}.npy" not in archive.namelist():
                    raise UserError(f"{NUMBERS} has no array '{name}'")
                if archive.getinfo(f"{name}.npy").file_size > min(wanted, _LARGEST):
                    raise UserError(f"the array '{name}' is larger than the grid")
                with archive.open(f"{name}.npy") as stream:
                    content = stream.read(min(wanted, _LARGEST))
                array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
                if array.shape != shape:
                    raise UserError(f"the array '{name}' has the shape {array.shape}, not {shape} of {tuple(axes)}")
                if array.dtype.kind not in "fiu":
                    raise UserError(f"the array '{name}' does not hold real numbers ({array.dtype})")
                made[name] = np.asarray(array, float)
                if not np.isfinite(made[name]).all():
                    raise UserError(f"the array '{name}' holds values that are not finite")
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, RuntimeError, SyntaxError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{NUMBERS} cannot be read as arrays of numbers: {reason}") from error
    return made
