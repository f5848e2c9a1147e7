"""Pictures of a solved equation: curves, profiles, maps, and films of them that need no network."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from sozai.reports import charts
from sozai.reports.page import Section, beside, heading, join, picture

if TYPE_CHECKING:
    from sozai.assistant.equations.problem import Solution

SHADES = np.array(
    [
        (68, 1, 84),
        (72, 36, 117),
        (65, 68, 135),
        (53, 95, 141),
        (42, 120, 142),
        (33, 145, 140),
        (34, 168, 132),
        (68, 191, 112),
        (122, 209, 81),
        (189, 223, 38),
        (253, 231, 37),
    ]
)
"""Colours from low to high that keep their order in grey and for colour-blind eyes (viridis)."""
PIXELS = 300
"""Longest side of a map."""
PROFILES = 6
"""Times shown in one chart."""


def unit_of(solution: Solution, name: str) -> str:
    """The unit of an unknown, coordinate or parameter; empty where it has none."""
    return str(solution.problem.units.get(name, ""))


def _label(solution: Solution, name: str) -> str:
    unit = unit_of(solution, name)
    return f"{name} ({unit})" if unit else name


def pictures(solution: Solution) -> list[Section]:
    """The solution drawn: curves of one coordinate, profiles of two, else maps."""
    axes = list(solution.axes)
    time = str(solution.problem.time) if solution.problem.time is not None else ""
    time = time if time in axes else "t" if "t" in axes and solution.problem.time is not None else ""
    space = [name for name in axes if name != time]
    if len(axes) == 1:
        return [_curves(solution, axes[0])]
    if len(space) == 1 and time:
        return [_profiles(solution, time, space[0])]
    if len(space) >= 2:
        return [_maps(solution, time, space)]
    return []


def _curves(solution: Solution, axis: str) -> Section:
    """Unknowns against one coordinate; those of another size get a chart of their own."""
    at = np.asarray(solution.axes[axis], float)
    cut = slice(None, None, max(1, len(at) // 300))
    groups: list[dict[str, tuple[np.ndarray, np.ndarray]]] = []
    sizes: list[float] = []
    for name, values in solution.values.items():
        values = np.asarray(values, float)
        size = float(np.nanmax(np.abs(values))) or 1.0
        place = next((i for i, s in enumerate(sizes) if 0.1 < size / s < 10 and len(groups[i]) < 6), None)
        if place is None:
            groups.append({})
            sizes.append(size)
            place = len(groups) - 1
        groups[place][name] = (at[cut], values[cut])
    drawn = [
        picture(_plain_lines(g, _label(solution, axis), ", ".join(_label(solution, n) for n in g))) for g in groups
    ]
    return Section("The solution", "The error bar is narrower than the line where it cannot be seen.", beside(*drawn))


def _plain_lines(series: Mapping[str, tuple[Any, Any]], x: str, y: str) -> Markup:
    """Lines without markers."""
    from sozai.reports.svg import figure

    across = charts.Axis(np.concatenate([p[0] for p in series.values()]), charts.LEFT, charts.WIDTH - charts.RIGHT, x)
    up = charts.Axis(np.concatenate([p[1] for p in series.values()]), charts.HEIGHT - charts.BOTTOM, charts.TOP, y)
    parts = [charts.frame(across, up)]
    for place, (xs, ys) in enumerate(series.values()):
        parts.append(charts.polyline(across.place(xs), up.place(ys), charts.SERIES[place % len(charts.SERIES)]))
    parts.append(charts.legend(list(series)))
    return figure(charts.WIDTH, charts.HEIGHT, f"{y} against {x}", "".join(parts))


def _profiles(solution: Solution, time: str, axis: str) -> Section:
    """Profiles at some times, and a film of all."""
    times, at = np.asarray(solution.axes[time], float), np.asarray(solution.axes[axis], float)
    chosen = np.unique(np.linspace(0, len(times) - 1, PROFILES).round().astype(int))
    parts = []
    for name, values in solution.values.items():
        unit = unit_of(solution, time)
        words = [f"{time} = {times[n]:.3g}{f' {unit}' if unit else ''}" for n in chosen]
        series = {word: (at, np.asarray(values[n])) for word, n in zip(words, chosen, strict=True)}
        still = picture(_plain_lines(series, _label(solution, axis), _label(solution, name)), "Profiles at some times.")
        film = _line_film(np.asarray(values, float), at, times, _label(solution, axis), _label(solution, name), time)
        parts.append(beside(still, film))
    return Section("The solution", "", join(*parts))


_FILM = """<figure class="film" id="{id}"><div>{first}</div>
<p><button type="button" aria-label="play or stop">&#9654;</button>
<input type="range" min="0" max="{last}" value="{last}" step="1" aria-label="frame" style="width:60%">
<output></output></p><figcaption>{caption}</figcaption></figure>
<script>(function(){{
var all={data},box=document.getElementById("{id}"),bar=box.querySelector("input"),out=box.querySelector("output"),
what=box.querySelector("[data-film]"),button=box.querySelector("button"),run=null;
function show(n){{bar.value=n;what.setAttribute(all.attribute,all.frames[n]);out.textContent=all.labels[n];}}
function stop(){{clearInterval(run);run=null;button.innerHTML="&#9654;";}}
bar.addEventListener("input",function(){{stop();show(+bar.value);}});
button.addEventListener("click",function(){{if(run){{stop();return;}}button.innerHTML="&#9632;";
run=setInterval(function(){{show((+bar.value+1)%all.frames.length);}},120);}});
show({last});}})();</script>"""


def _film(name: str, first: str, attribute: str, frames: Sequence[str], labels: Sequence[str], caption: str) -> Markup:
    """Frames of one attribute with a slider and a button, open at the last one; no network, no library."""
    data = json.dumps({"attribute": attribute, "frames": list(frames), "labels": list(labels)}).replace("</", "<\\/")
    made = _FILM.format(
        id=f"film-{zlib.crc32(f'{name} {caption}'.encode())}",
        first=first,
        last=len(frames) - 1,
        data=data,
        caption=escape(caption),
    )
    return Markup(made)


def _line_film(values: np.ndarray, at: np.ndarray, times: np.ndarray, x: str, y: str, time: str) -> Markup:
    from sozai.reports.svg import colour, figure

    across = charts.Axis(at, charts.LEFT, charts.WIDTH - charts.RIGHT, x)
    up = charts.Axis(values, charts.HEIGHT - charts.BOTTOM, charts.TOP, y)
    px = across.place(at)
    frames = ["M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(px, up.place(frame), strict=True)) for frame in values]
    curve = f'<path data-film="" d="{frames[-1]}" fill="none" style="stroke:{colour("accent")};stroke-width:2"/>'
    first = figure(charts.WIDTH, charts.HEIGHT, f"{y} in time", charts.frame(across, up) + curve)
    labels = [f"{time} = {t:.4g}" for t in times]
    return _film(y, str(first), "d", frames, labels, f"{y} in time: press play or move the slider.")


def _maps(solution: Solution, time: str, space: list[str]) -> Section:
    """Maps of two coordinates; of three, the middle planes."""
    parts = []
    times = np.asarray(solution.axes[time], float) if time else np.zeros(1)
    for name, values in solution.values.items():
        field = np.asarray(values, float) if time else np.asarray(values, float)[None]
        low, high = float(np.nanmin(field)), float(np.nanmax(field))
        shown = (
            [(space[0], space[1], field)]
            if len(space) == 2
            else [
                (space[a], space[b], np.take(field, field.shape[c + 1] // 2, axis=c + 1))
                for a, b, c in ((0, 1, 2), (0, 2, 1))
            ]
        )
        drawn = [_map_film(solution, name, across, up, planes, times, time, low, high) for across, up, planes in shown]
        parts += [heading(_label(solution, name)), beside(*drawn) if len(drawn) > 1 else join(*drawn)]
    lead = "" if len(space) == 2 else "Planes through the middle of the box."
    return Section("The solution", lead, join(*parts))


def _map_film(
    solution: Solution,
    name: str,
    across: str,
    up: str,
    planes: np.ndarray,
    times: np.ndarray,
    time: str,
    low: float,
    high: float,
) -> Markup:
    from sozai.reports.svg import figure, text

    xs, ys = np.asarray(solution.axes[across], float), np.asarray(solution.axes[up], float)
    wide, tall = xs[-1] - xs[0], ys[-1] - ys[0]
    scale = PIXELS / max(wide, tall)
    width, height = max(wide * scale, 60.0), max(tall * scale, 60.0)
    frames = [_image(plane, low, high) for plane in planes]
    left, top = 62, 12
    ax = charts.Axis(xs, left, left + width, _label(solution, across))
    ay = charts.Axis(ys, top + height, top, _label(solution, up))
    ax.low, ax.high, ay.low, ay.high = xs[0], xs[-1], ys[0], ys[-1]
    parts = [
        f'<image data-film="" href="{frames[-1]}" x="{left}" y="{top}" width="{width:.1f}" height="{height:.1f}" '
        'preserveAspectRatio="none"/>'
    ]
    for x, words in ax.ticks():
        parts.append(text(x, top + height + 16, words, 11, "soft", "middle"))
    for y, words in ay.ticks():
        parts.append(text(left - 6, y + 4, words, 11, "soft", "end"))
    parts.append(text(left + width / 2, top + height + 36, ax.label[:40], 12.5, anchor="middle"))
    parts.append(
        text(
            0,
            0,
            ay.label[:40],
            12.5,
            anchor="middle",
            extra=f'transform="translate(14 {top + height / 2}) rotate(-90)"',
        )
    )
    bar = left + width + 22
    for place in range(48):
        shade = _shade(np.array(1 - (place + 0.5) / 48))
        parts.append(
            f'<rect x="{bar}" y="{top + height * place / 48:.1f}" width="14" height="{height / 48 + 0.5:.1f}" '
            f'style="fill:rgb({shade[0]},{shade[1]},{shade[2]})"/>'
        )
    for part in (0.0, 0.5, 1.0):
        value = low + part * (high - low)
        parts.append(text(bar + 20, top + height * (1 - part) + 4, f"{value:.3g}", 11, "soft"))
    whole = figure(bar + 84, top + height + 46, f"map of {name}", "".join(parts))
    sized = Markup('<div style="max-width:{}px">{}</div>').format(int(bar + 84) * 5 // 4, whole)
    if len(frames) == 1:
        return picture(sized, f"{name}, lowest {low:.4g}, highest {high:.4g}.")
    labels = [f"{time} = {t:.4g}" for t in times]
    caption = f"{name} over {across} and {up} in time: press play or move the slider."
    return _film(name + across + up, str(sized), "href", frames, labels, caption)


def _shade(share: np.ndarray) -> np.ndarray:
    place = np.clip(np.nan_to_num(share), 0, 1) * (len(SHADES) - 1)
    below = np.minimum(place.astype(int), len(SHADES) - 2)
    part = (place - below)[..., None]
    return ((1 - part) * SHADES[below] + part * SHADES[below + 1]).round().astype(np.uint8)


def _image(plane: np.ndarray, low: float, high: float) -> str:
    """A map as an embedded PNG, the second coordinate upward."""
    from PIL import Image

    shares = (plane - low) / ((high - low) or 1.0)
    image = Image.fromarray(_shade(shares.T[::-1]))
    factor = max(1, PIXELS // max(image.size))
    image = image.resize((image.size[0] * factor, image.size[1] * factor), Image.Resampling.BILINEAR)
    image = image.quantize(64)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
