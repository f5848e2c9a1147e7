"""Charts as SVG text that follow the page's light or dark theme: points, lines with bands, bars, histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from sozai.reports.svg import colour, figure, text

WIDTH, HEIGHT = 520, 340
LEFT, RIGHT, TOP, BOTTOM = 66, 16, 14, 50
SERIES = ("accent", "warn", "good", "bad", "soft", "ink")
"""Colours in the order in which series take them."""


class Axis:
    """One axis: from data to pixels, and where its ticks are.

    Args:
        values: all that is to be shown on it; what is not finite is passed over.
        start, end: pixels of its two ends.
        label: written beside it.
        log: in powers of ten; all values must then be positive.
    """

    def __init__(self, values: Any, start: float, end: float, label: str = "", log: bool = False):
        seen = np.asarray(values, float).ravel()
        seen = seen[np.isfinite(seen) & ((seen > 0) | (not log))]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0 if not log else 1.0, 1.0)
        self.log, self.start, self.end, self.label = log, start, end, label
        if log:
            low, high = math.log10(low), math.log10(high)
        if high - low < 1e-12 * max(1.0, abs(high)):
            low, high = low - 0.5, high + 0.5
        margin = 0.04 * (high - low)
        self.low, self.high = low - margin, high + margin

    def place(self, value: Any) -> np.ndarray:
        """Pixels of values."""
        raw = np.asarray(value, float)
        raw = np.log10(raw) if self.log else raw
        return self.start + (raw - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """(pixel, words) of round values."""
        span = self.high - self.low
        if self.log:
            values = self._powers()
            words = [f"{10**v:g}" if -3 <= v <= 5 else f"1e{round(v)}" for v in values]
        else:
            size = 10 ** math.floor(math.log10(span / 7))
            step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= span / 7)
            values = [step * place for place in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
            digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (step / size == 2.5)
            words = [_short(v, digits) for v in values]
        where = [self.start + (v - self.low) / span * (self.end - self.start) for v in values]
        return list(zip(where, words, strict=True))

    def _powers(self) -> list[float]:
        """Logarithms of round values: whole powers, of a short range also 2 and 5 times them."""
        span = self.high - self.low
        factors = (1, 2, 5) if span < 2.5 else (1,)
        every = max(1, round(span / 7))
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        values = [power + math.log10(factor) for power in powers if power % every == 0 for factor in factors]
        return [value for value in values if self.low <= value <= self.high]


def scatter(
    points: Mapping[str, tuple[Any, Any]],
    x: str,
    y: str,
    *,
    hints: Mapping[str, Sequence[str]] | None = None,
    diagonal: bool = False,
    line: bool = False,
    log_x: bool = False,
    log_y: bool = False,
) -> Markup:
    """Points of one or more series.

    Args:
        points: xs and ys by series name.
        x, y: labels of the axes.
        hints: words shown on pointing at each point, by series.
        diagonal: draw where x = y, and use one range for both axes (a parity plot).
        line: join the last series by a line (a front).
        log_x, log_y: axes in powers of ten.
    """
    xs = [np.asarray(pair[0], float) for pair in points.values()]
    ys = [np.asarray(pair[1], float) for pair in points.values()]
    both = [*xs, *ys] if diagonal else None
    across = Axis(_all(both or xs), LEFT, WIDTH - RIGHT, x, log_x)
    up = Axis(_all(both or ys), HEIGHT - BOTTOM, TOP, y, log_y)
    parts = [frame(across, up)]
    if diagonal:
        parts.append(polyline([across.start, across.end], [up.start, up.end], "soft", dash=True))
    for place, (name, px, py) in enumerate(zip(points, xs, ys, strict=True)):
        shade = SERIES[place % len(SERIES)]
        radius = 2.2 if len(px) > 400 else 3.2
        notes = (hints or {}).get(name)
        ax, ay = across.place(px), up.place(py)
        if line and place == len(points) - 1:
            order = np.argsort(px)
            parts.append(polyline(ax[order], ay[order], shade))
        for spot, (cx, cy) in enumerate(zip(ax, ay, strict=True)):
            if np.isfinite(cx) and np.isfinite(cy):
                hint = f"<title>{escape(notes[spot])}</title>" if notes else ""
                parts.append(
                    f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="{radius}" '
                    f'style="fill:{colour(shade)};opacity:.7">{hint}</circle>'
                )
    parts.append(legend(list(points)))
    return figure(WIDTH, HEIGHT, f"{y} against {x}", "".join(parts))


def lines(
    series: Mapping[str, tuple[Any, Any]],
    x: str,
    y: str,
    *,
    bands: Mapping[str, tuple[Any, Any]] | None = None,
    log_x: bool = False,
    log_y: bool = False,
) -> Markup:
    """Lines with markers, and bands around them.

    Args:
        series: xs and ys by name.
        x, y: labels of the axes.
        bands: lower and upper ys by name of the series.
        log_x, log_y: axes in powers of ten.
    """
    xs = {name: np.asarray(pair[0], float) for name, pair in series.items()}
    ys = {name: np.asarray(pair[1], float) for name, pair in series.items()}
    edges = {name: tuple(np.asarray(edge, float) for edge in pair) for name, pair in (bands or {}).items()}
    across = Axis(_all(list(xs.values())), LEFT, WIDTH - RIGHT, x, log_x)
    up = Axis(_all([*ys.values(), *(edge for pair in edges.values() for edge in pair)]), HEIGHT - BOTTOM, TOP, y, log_y)
    parts = [frame(across, up)]
    for place, name in enumerate(series):
        shade = SERIES[place % len(SERIES)]
        ax = across.place(xs[name])
        if name in edges:
            low, high = (up.place(edge) for edge in edges[name])
            corners = [*zip(ax, low, strict=True), *zip(ax[::-1], high[::-1], strict=True)]
            spots = " ".join(f"{cx:.1f},{cy:.1f}" for cx, cy in corners)
            parts.append(f'<polygon points="{spots}" style="fill:{colour(shade)};opacity:.14"/>')
        ay = up.place(ys[name])
        parts.append(polyline(ax, ay, shade))
        for spot, (cx, cy) in enumerate(zip(ax, ay, strict=True)):
            if np.isfinite(cx) and np.isfinite(cy):
                hint = f"{name}: {xs[name][spot]:.4g}, {ys[name][spot]:.4g}"
                parts.append(
                    f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="3" style="fill:{colour(shade)}">'
                    f"<title>{escape(hint)}</title></circle>"
                )
    parts.append(legend(list(series)))
    return figure(WIDTH, HEIGHT, f"{y} against {x}", "".join(parts))


def bars(
    values: Mapping[str, float], label: str, *, spread: Mapping[str, float] | None = None, zero: bool = True
) -> Markup:
    """Horizontal bars, one a name, with their number; ``spread`` draws a whisker of plus and minus.

    Args:
        values: by name, in order.
        label: of the axis.
        spread: half widths of the whiskers by name.
        zero: begin the axis at zero.
    """
    row, left = 26, min(240, 20 + 7 * max((len(name) for name in values), default=0))
    height = TOP + row * len(values) + BOTTOM
    wide = spread or {}
    ends = [v + s * wide.get(name, 0.0) for name, v in values.items() for s in (-1, 1)]
    across = Axis([*ends, *([0.0] if zero else [])], left, WIDTH - 70, label)
    parts = [_ticks_below(across, height - BOTTOM)]
    origin = float(across.place(0.0)) if zero else float(across.start)
    # No digit that the eye could not see on the axis: noise about 0 is not 6.6e-05.
    extent = max(float(np.ptp([0.0, *ends])), 1e-300)
    finest = math.ceil(-math.log10(extent / 500))
    for place, (name, value) in enumerate(values.items()):
        y, end = TOP + row * place, float(across.place(value))
        shade = "accent" if value >= 0 else "bad"
        parts.append(text(left - 8, y + 16, name[:34], 12, anchor="end"))
        parts.append(
            f'<rect x="{min(origin, end):.1f}" y="{y + 5}" width="{max(1.0, abs(end - origin)):.1f}" height="14" '
            f'rx="3" style="fill:{colour(shade)};opacity:.85"><title>{escape(name)}: {value:.4g}</title></rect>'
        )
        if name in wide:
            low, high = across.place([value - wide[name], value + wide[name]])
            parts.append(polyline([low, high], [y + 12, y + 12], "ink"))
        told = value if abs(value) > extent / 100 else round(value, finest)
        parts.append(text(WIDTH - 62, y + 16, f"{told:.3g}", 12, "soft"))
    return figure(WIDTH, height, label, "".join(parts))


def histogram(samples: Mapping[str, Any], label: str, bins: int = 24) -> Markup:
    """Outlines of the shares of values in equal bins, one a series."""
    clean = {name: _finite(values) for name, values in samples.items()}
    whole = _all(list(clean.values()))
    edges = np.histogram_bin_edges(whole, bins) if whole.size else np.linspace(0, 1, bins + 1)
    counted = {name: np.histogram(v, edges)[0] / max(1, len(v)) for name, v in clean.items()}
    across = Axis(edges, LEFT, WIDTH - RIGHT, label)
    up = Axis([0.0, *(share for each in counted.values() for share in each)], HEIGHT - BOTTOM, TOP, "share of rows")
    parts = [frame(across, up)]
    for place, (_, shares) in enumerate(counted.items()):
        shade = SERIES[place % len(SERIES)]
        xs = across.place(np.repeat(edges, 2))
        ys = up.place(np.concatenate([[0.0], np.repeat(shares, 2), [0.0]]))
        spots = " ".join(f"{cx:.1f},{cy:.1f}" for cx, cy in zip(xs, ys, strict=True))
        parts.append(
            f'<polygon points="{spots}" style="fill:{colour(shade)};fill-opacity:.16;stroke:{colour(shade)};'
            'stroke-width:1.5"/>'
        )
    parts.append(legend(list(samples)))
    return figure(WIDTH, HEIGHT, f"How {label} is spread", "".join(parts))


def frame(across: Axis, up: Axis) -> str:
    """Grid, ticks and labels."""
    parts = [_ticks_below(across, HEIGHT - BOTTOM, TOP)]
    for y, words in up.ticks():
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" style="stroke:{colour("line")};stroke-width:.7"/>'
            + text(LEFT - 7, y + 4, words, 11, "soft", "end")
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        text(0, 0, up.label[:52], 12.5, anchor="middle", extra=f'transform="translate(14 {middle}) rotate(-90)"')
    )
    return "".join(parts)


def _ticks_below(across: Axis, bottom: float, top: float = TOP) -> str:
    parts = []
    for x, words in across.ticks():
        parts.append(
            f'<path d="M{x:.1f} {top}V{bottom}" style="stroke:{colour("line")};stroke-width:.7"/>'
            + text(x, bottom + 17, words, 11, "soft", "middle")
        )
    parts.append(text((across.start + across.end) / 2, bottom + 40, across.label[:64], 12.5, anchor="middle"))
    return "".join(parts)


def legend(names: Sequence[str]) -> str:
    """Names with their colours, in the upper left corner; one series needs none."""
    if len(names) < 2:
        return ""
    parts = []
    for place, name in enumerate(names):
        y = TOP + 16 + 17 * place
        shade = SERIES[place % len(SERIES)]
        parts.append(
            f'<rect x="{LEFT + 10}" y="{y - 9}" width="10" height="10" rx="2" style="fill:{colour(shade)}"/>'
            + text(LEFT + 26, y, name[:40], 12)
        )
    return "".join(parts)


def polyline(xs: Any, ys: Any, shade: str, dash: bool = False) -> str:
    """A line through points in pixels; those that are not finite are passed over."""
    spots = [f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    dashes = ' stroke-dasharray="5 4"' if dash else ""
    return f'<path d="M{"L".join(spots)}" fill="none"{dashes} style="stroke:{colour(shade)};stroke-width:1.6"/>'


def _short(value: float, digits: int) -> str:
    if value and (abs(value) >= 1e6 or abs(value) < 1e-4):
        return f"{value:.3g}"
    return f"{value + 0.0:,.{digits}f}"


def _finite(values: Any) -> np.ndarray:
    raw = np.asarray(values, float).ravel()
    return raw[np.isfinite(raw)]


def _all(arrays: Sequence[Any]) -> np.ndarray:
    return np.concatenate([_finite(each) for each in arrays]) if arrays else np.zeros(0)
