"""Energy that a run used, measured where the machine lets us and estimated otherwise."""

from __future__ import annotations

import os
import time
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_CORE = 8.0
"""Watts of one busy core with its share of memory and power supply: a server of 2020 to 2025 at 250 W for
32 cores. Set the environment variable SOZAI_WATTS_PER_CORE to your machine's."""
_HIGHEST_WATTS = 1000.0  # of one processor package; tells how soon its counter can run round


class EnergyMeter:
    """Watt-hours since it was made: from the processor's own counters (RAPL), else from CPU seconds.

    RAPL counts the whole processor package, so other programs on the machine are in it; the estimate counts
    this program and its children only. Neither counts a GPU.

    Args:
        counters: folder of the kernel's powercap counters.
    """

    def __init__(self, counters: Path = POWERCAP):
        self._zones = {zone: _number(zone / "max_energy_range_uj") for zone in _packages(counters)}
        self._start = {zone: _number(zone / "energy_uj") for zone in self._zones}
        self._since = time.monotonic()

    def watt_hours(self, cpu_seconds: float) -> tuple[float, str]:
        """Energy since the start in Wh, and one sentence on how it was found.

        Args:
            cpu_seconds: CPU time of the program and its children since the start, for the estimate.
        """
        seconds = time.monotonic() - self._since
        joules = 0.0
        for zone, wrap in self._zones.items():
            start, end = self._start[zone], _number(zone / "energy_uj")
            if start is None or end is None or wrap is None or seconds * _HIGHEST_WATTS > wrap * 1e-6:
                break  # unreadable, or the counter may have run round more than once
            joules += (end - start + (wrap if end < start else 0)) * 1e-6
        else:
            if self._zones:
                return joules / 3600, "measured by the processor's RAPL counters: the whole processor, no GPU"
        watts = _watts_per_core()
        return cpu_seconds * watts / 3600, f"estimated: CPU seconds times {watts:g} W per busy core, no GPU"


def _packages(folder: Path) -> list[Path]:
    """Counters of whole packages (``intel-rapl:0``), not of their parts (``intel-rapl:0:1``)."""
    try:
        zones = sorted(zone for zone in folder.iterdir() if zone.name.count(":") == 1 and "mmio" not in zone.name)
    except OSError:
        return []
    return [zone for zone in zones if _number(zone / "energy_uj") is not None]


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _watts_per_core() -> float:
    try:
        return max(float(os.environ["SOZAI_WATTS_PER_CORE"]), 0.0)
    except (KeyError, ValueError):
        return WATTS_PER_CORE
