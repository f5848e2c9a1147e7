"""The powder X-ray diffraction pattern a candidate would show, to compare with a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup, escape

from sozai.reports.svg import colour, figure, text

if TYPE_CHECKING:
    from pymatgen.core import Structure

TWO_THETA = (10.0, 80.0)
"""Range of the pattern, degrees."""

MAX_SITES = 100
"""Larger cells are left out: the sum over their reflections takes many seconds."""

FWHM = 0.3
"""Full width at half maximum of the drawn peaks, degrees (a common laboratory instrument)."""


@dataclass(frozen=True)
class Peak:
    """One reflection: angle (degrees two-theta), height (0-100), Miller indices, plane spacing (angstrom)."""

    two_theta: float
    intensity: float
    hkl: str
    spacing: float


def miller(indices: tuple[int, ...]) -> str:
    """``(1, 0, 4)`` as ``104``; with spaces as soon as a sign or a second digit could be misread."""
    separator = "" if all(0 <= index <= 9 for index in indices) else " "
    return separator.join(str(index).replace("-", "−") for index in indices)


def powder_peaks(structure: Structure) -> list[Peak]:
    """Reflections with Cu K-alpha radiation (pymatgen's ``XRDCalculator``), weakest ones (< 0.5%) left out.

    Intensities hold the structure, Lorentz and polarisation factors; no thermal motion, texture or
    instrument. Pass the conventional cell to have the usual Miller indices.
    """
    from pymatgen.analysis.diffraction.xrd import XRDCalculator

    pattern = XRDCalculator(wavelength="CuKa").get_pattern(structure, two_theta_range=TWO_THETA)
    peaks = []
    for angle, height, families, spacing in zip(pattern.x, pattern.y, pattern.hkls, pattern.d_hkls, strict=True):
        if height >= 0.5:
            strongest = max(families, key=lambda family: family["multiplicity"])
            peaks.append(Peak(float(angle), float(height), miller(tuple(strongest["hkl"])), float(spacing)))
    return peaks


def profile(peaks: list[Peak], step: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """The peaks broadened to pseudo-Voigt shapes (half Gauss, half Lorentz); highest point 100.

    Returns:
        Angles in degrees and intensities, both of shape (points,).
    """
    angles = np.arange(TWO_THETA[0], TWO_THETA[1] + step / 2, step)
    if not peaks:
        return angles, np.zeros_like(angles)
    away = (angles[:, None] - np.array([peak.two_theta for peak in peaks])) / (FWHM / 2)
    shape = 0.5 * np.exp(-np.log(2) * away**2) + 0.5 / (1 + away**2)
    total = shape @ np.array([peak.intensity for peak in peaks])
    return angles, 100 * total / total.max()


def diffraction_svg(peaks: list[Peak], label: str, standalone: bool = False, labelled: int = 7) -> Markup:
    """Broadened pattern above a row of sticks, the strongest peaks labelled with their Miller indices."""
    left, top, width, height, strip = 34.0, 30.0, 700.0, 150.0, 22.0
    low, high = TWO_THETA

    def across(angle: float) -> float:
        return left + width * (angle - low) / (high - low)

    base = top + height
    angles, values = profile(peaks)
    points = [(across(a), base - height * v / 100) for a, v in zip(angles, values, strict=True)]
    curve = _thinned(points)
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in curve)
    parts = [
        f'<path d="M{path}L{across(high):.1f} {base}L{across(low):.1f} {base}Z" '
        f'style="fill:{colour("accent-soft")};opacity:.6"/>',
        f'<path d="M{path}" fill="none" style="stroke:{colour("accent")};stroke-width:1.4;stroke-linejoin:round"/>',
    ]
    for peak in peaks:
        x = across(peak.two_theta)
        hint = f"{peak.hkl} at {peak.two_theta:.2f}°, d = {peak.spacing:.3f} Å, {peak.intensity:.0f}%"
        size = 4 + (strip - 6) * peak.intensity / 100
        parts.append(f'<path d="M{x:.1f} {base + 2}v{size:.1f}" style="stroke:{colour("ink")};stroke-width:1.2">'
                     f"<title>{escape(hint)}</title></path>")  # fmt: skip
    taken: list[tuple[float, float]] = []
    for peak in sorted(peaks, key=lambda one: -one.intensity)[:labelled]:
        x, half = across(peak.two_theta), 3.4 * len(peak.hkl) + 4
        if any(x - half < other_high and x + half > other_low for other_low, other_high in taken):
            continue  # a label on top of another can be read by nobody; the tooltip of the stick has it
        taken.append((x - half, x + half))
        summit = base - height * float(np.interp(peak.two_theta, angles, values)) / 100
        parts.append(text(x, summit - 6, peak.hkl, 12, anchor="middle"))
    floor = base + strip + 4
    parts.append(f'<path d="M{left} {floor}H{left + width}" style="stroke:{colour("soft")}"/>')
    for tick in range(int(low), int(high) + 1, 10):
        parts.append(f'<path d="M{across(tick):.1f} {floor}v5" style="stroke:{colour("soft")}"/>')
        parts.append(text(across(tick), floor + 18, f"{tick}°", 11.5, "soft", "middle"))
    parts.append(text(left + width / 2, floor + 36, "2θ (Cu Kα)", 12, "soft", "middle"))
    parts.append(text(0, 0, "intensity", 12, "soft", "middle",
                      f'transform="translate(20 {top + height / 2}) rotate(-90)"'))  # fmt: skip
    return figure(left + width + 20, floor + 44, f"Simulated powder diffraction of {label}", "".join(parts), standalone)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Drop points of flat stretches: they weigh megabytes in a long report and show nothing."""
    kept = [points[0]]
    for before, point, after in zip(points, points[1:], points[2:], strict=False):
        if abs(point[1] - kept[-1][1]) > 0.25 or abs(before[1] - 2 * point[1] + after[1]) > 0.12:
            kept.append(point)
    return [*kept, points[-1]]
