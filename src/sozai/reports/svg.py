"""Small pictures drawn as SVG text: the funnel, a probability gauge, a reliability plot.

Colours are CSS variables with a fallback, so that a picture inside the report follows its light or dark
theme; ``standalone`` pictures (for a README) bring the variables, a background and their own dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from sozai.errors import UserError

_LIGHT = {
    "ink": "#1c2733", "soft": "#5b6875", "line": "#d5dce3", "surface": "#ffffff",
    "accent": "#1f6f8b", "accent-soft": "#cfe4eb", "good": "#2d7d46", "warn": "#a86a00", "bad": "#b3372f",
}  # fmt: skip
_DARK = {
    "ink": "#e6ebf0", "soft": "#9aa8b5", "line": "#37424e", "surface": "#171d24",
    "accent": "#63b6d1", "accent-soft": "#24414d", "good": "#6cc48a", "warn": "#e3b25b", "bad": "#ef8a80",
}  # fmt: skip

STAGES = {
    "generated": ("Generated", "drafts written by the generator"),
    "read": ("Read", "structures read from the files"),
    "valid": ("Sensible", "obey the rules of chemistry and the wish"),
    "unique": ("Different", "not a copy of another one in this run"),
    "novel": ("New", "not in the reference of known materials"),
    "ranked": ("Worth computing", "picked by a quick estimate, within the time"),
    "relaxed": ("Relaxed", "atoms moved until the forces on them vanish"),
    "stable": ("Stable or nearly", "hardly any energy to gain by falling apart"),
}
"""What each stage of the funnel is called, and what its survivors have in common."""


def colour(name: str) -> str:
    """A themed colour as a CSS value: the variable with its light fallback."""
    return f"var(--{name},{_LIGHT[name]})"


def text(
    x: float, y: float, content: object, size: float = 13, fill: str = "ink", anchor: str = "start", extra: str = ""
) -> str:
    """One line of SVG text; ``content`` is escaped."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" '
        f'style="fill:{colour(fill)}" {extra}>{escape(content)}</text>'
    )


def figure(width: float, height: float, label: str, body: str, standalone: bool = False) -> Markup:
    """Wrap drawn parts into an ``<svg>`` with a viewBox, a spoken label and, standalone, its own theme."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" '
    if not standalone:
        return Markup(f'{head}aria-label="{escape(label)}">{body}</svg>')
    light = ";".join(f"--{name}:{value}" for name, value in _LIGHT.items())
    dark = ";".join(f"--{name}:{value}" for name, value in _DARK.items())
    style = f"svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}"
    return Markup(
        f'{head}width="{width:g}" height="{height:g}" font-family="system-ui,-apple-system,Segoe UI,'
        f'Helvetica,Arial,sans-serif"><title>{escape(label)}</title><style>{style}</style>'
        f'<rect width="100%" height="100%" rx="8" style="fill:{colour("surface")}"/>{body}</svg>'
    )


def save_svg(picture: str, path: str | Path) -> Path:
    """Write a standalone picture, e.g. ``save_svg(funnel_svg(result, standalone=True), "funnel.svg")``.

    Raises:
        UserError: the file cannot be written.
    """
    path = Path(path)
    try:
        path.write_text(str(picture), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"the picture cannot be written ({error.strerror})", str(path), "choose a folder you may write to"
        ) from error
    return path


def stage_words(stage: str) -> tuple[str, str]:
    """Title and explanation of a funnel stage; an unknown stage keeps its name."""
    return STAGES.get(stage, (stage.replace("_", " ").capitalize(), ""))


def seconds_words(seconds: float | None) -> str:
    """A duration for people: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``1 h 5 min``."""
    if seconds is None:
        return "unknown time"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def fell_out(stage: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Reasons of a stage with their counts, most frequent first."""
    dropped = stage.get("dropped") or {}
    return sorted(((str(reason), int(count)) for reason, count in dropped.items()), key=lambda item: -item[1])


def funnel_svg(result: Mapping[str, Any], wide: bool = True, standalone: bool = False) -> Markup:
    """The funnel of a run: one bar a stage, as wide as its count, with what fell out as a tooltip.

    Args:
        result: the ``result.json`` of a run; its ``"funnel"`` is a list of stages.
        wide: stage names left of the bars (for 600 pixels and more); else above them.
        standalone: make a picture that can live in a file of its own.
    """
    stages = list(result.get("funnel") or [])
    if not stages:
        return Markup("")
    largest = max(1, *(int(stage.get("count") or 0) for stage in stages))
    row, bar = (60, 36) if wide else (54, 22)
    width, left, room = (660, 176, 350) if wide else (360, 4, 352)
    top = 18 if wide else 12
    centre = left + room / 2
    height = top * 2 + row * len(stages) - (row - bar) * wide
    parts: list[str] = []
    lower: float | None = None  # half width of the bar above, for the slanted shoulders between bars
    for position, stage in enumerate(stages):
        count = int(stage.get("count") or 0)
        half = max(1.5, room * count / largest / 2)
        y = top + position * row + (0 if wide else 24)
        title, meaning = stage_words(str(stage.get("stage", "")))
        if wide and lower is not None:
            y0 = y - row + bar
            points = (
                f"{centre - lower:.1f},{y0} {centre + lower:.1f},{y0} {centre + half:.1f},{y} {centre - half:.1f},{y}"
            )
            parts.append(f'<polygon points="{points}" style="fill:{colour("accent-soft")};opacity:.55"/>')
        lower = half
        reasons = fell_out(stage)
        hint = f"{title}: {count} left. {meaning}." + "".join(f"\n{number} × {why}" for why, number in reasons)
        last = position == len(stages) - 1
        fill = colour("good" if last else "accent")
        drawn = [f"<g><title>{escape(hint)}</title>"]
        drawn.append(
            f'<rect x="{centre - half:.1f}" y="{y}" width="{2 * half:.1f}" height="{bar}" rx="4" style="fill:{fill}"/>'
        )
        lost = sum(number for _, number in reasons)
        time = seconds_words(stage.get("seconds")) if stage.get("seconds") is not None else ""
        if wide:
            drawn.append(text(left - 20, y + 16, title, 15, anchor="end", extra='font-weight="600"'))
            drawn.append(text(left - 20, y + 33, time, 13, "soft", "end"))
            drawn.append(text(left + room + 20, y + 16, f"{count:,}", 17, extra='font-weight="700"'))
            if lost:
                drawn.append(text(left + room + 20, y + 34, f"{lost:,} fell out", 13, "soft"))
        else:
            drawn.append(text(left, y - 6, title, 14, extra='font-weight="600"'))
            note = f"{count:,}" + (f"  ·  {lost:,} fell out" if lost else "") + (f"  ·  {time}" if time else "")
            drawn.append(text(left + room, y - 6, note, 12.5, "soft", "end"))
        drawn.append("</g>")
        parts.append("".join(drawn))
    counts = ", ".join(f"{stage_words(str(s.get('stage', '')))[0]} {s.get('count')}" for s in stages)
    return figure(width, height, f"Funnel of the run: {counts}", "".join(parts), standalone)


def gauge_svg(probability: float) -> Markup:
    """A half-circle gauge from 0 to 1 with its percentage in the middle."""
    share = min(1.0, max(0.0, float(probability)))
    radius, cx, cy = 52, 70, 66

    def arc(start: float, end: float, name: str, thickness: int) -> str:
        (x0, y0), (x1, y1) = (
            (cx - radius * math.cos(math.pi * t), cy - radius * math.sin(math.pi * t)) for t in (start, end)
        )
        return (
            f'<path d="M{x0:.2f} {y0:.2f}A{radius} {radius} 0 0 1 {x1:.2f} {y1:.2f}" fill="none" '
            f'stroke-width="{thickness}" stroke-linecap="round" style="stroke:{colour(name)}"/>'
        )

    name = "good" if share >= 0.6 else "warn" if share >= 0.3 else "bad"
    body = arc(0, 1, "line", 12) + (arc(0, share, name, 12) if share > 0.005 else "")
    body += text(cx, cy - 6, percent(share), 24, anchor="middle", extra='font-weight="700"')
    return figure(140, 80, f"Calibrated probability {percent(share)}", body)


def percent(share: float) -> str:
    """A probability as a percentage that never rounds to certainty."""
    if 0 < share < 0.01:
        return "< 1%"
    if 0.99 < share < 1:
        return "> 99%"
    return f"{share:.0%}"


def reliability_svg(table: list[Mapping[str, Any]], standalone: bool = False) -> Markup:
    """Predicted probability against how often it came true; dot areas follow the number of materials.

    Args:
        table: rows with ``predicted`` and ``observed`` in 0..1 and ``count``.
        standalone: make a picture that can live in a file of its own.
    """
    left, top, side = 58, 16, 270
    ticks = (0, 0.25, 0.5, 0.75, 1)
    parts = [f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" '
             f'style="stroke:{colour("line")}"/>']  # fmt: skip
    for tick in ticks:
        x, y = left + side * tick, top + side * (1 - tick)
        parts.append(f'<path d="M{left} {y}H{left + side}M{x} {top}V{top + side}" '
                     f'style="stroke:{colour("line")};stroke-width:.6"/>')  # fmt: skip
        parts.append(text(x, top + side + 17, f"{tick:.0%}", 11, "soft", "middle"))
        parts.append(text(left - 8, y + 4, f"{tick:.0%}", 11, "soft", "end"))
    parts.append(f'<path d="M{left} {top + side}L{left + side} {top}" stroke-dasharray="5 4" '
                 f'style="stroke:{colour("soft")}"/>')  # fmt: skip
    rows = [r for r in table if r.get("predicted") is not None and r.get("observed") is not None]
    largest = max([float(r.get("count") or 1) for r in rows], default=1)
    spots = []
    for row in rows:
        x = left + side * min(1.0, max(0.0, float(row["predicted"])))
        y = top + side * (1 - min(1.0, max(0.0, float(row["observed"]))))
        size = 2.5 + 6.5 * math.sqrt(float(row.get("count") or 1) / largest)
        spots.append((x, y))
        hint = f"said {float(row['predicted']):.0%}, came true {float(row['observed']):.0%}"
        if row.get("count"):
            hint += f" ({int(row['count']):,} materials)"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}" '
                     f'style="fill:{colour("accent")};opacity:.85"><title>{escape(hint)}</title></circle>')  # fmt: skip
    if len(spots) > 1:
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
        parts.append(f'<path d="M{line}" fill="none" style="stroke:{colour("accent")};stroke-width:1.5"/>')
    parts.append(text(left + side / 2, top + side + 38, "probability sozai states", 12.5, anchor="middle"))
    parts.append(text(0, 0, "how often it came true", 12.5, anchor="middle",
                      extra=f'transform="translate(14 {top + side / 2}) rotate(-90)"'))  # fmt: skip
    label = "Reliability of the stated probability"
    return figure(left + side + 22, top + side + 48, label, "".join(parts), standalone)
