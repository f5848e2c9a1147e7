"""One HTML page a person can read: a verdict first, then sections of words, tables and pictures; no network.

page = render_page("Concrete", sections=[Section("What was found", "", join(paragraph("..."), table(["row"], [[3]])))])
write_page("run/report.html", page)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from sozai.files import atomic, plain

_TEMPLATES = Path(__file__).parent / "templates"
SHORT = 26
"""Letters in a table's cell up to which it is kept on one line: an interval such as 71.43 (61.67 to 81.2)."""


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        title: its heading, also in the list of contents.
        lead: a sentence or two on what is to be seen, or nothing.
        body: HTML, from the functions of this module and of ``reports.charts``.
    """

    title: str
    lead: str
    body: Markup

    @property
    def anchor(self) -> str:
        """Its place in the page's address."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-")


def render_page(
    title: str,
    sections: Sequence[Section],
    *,
    lead: str = "",
    verdict: str = "",
    good: bool = True,
    facts: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML text.

    Args:
        title: its heading.
        sections: in order.
        lead: one line below the title.
        verdict: the one sentence that a reader should take away.
        good: whether the verdict is a good one (its mark is green, not amber).
        facts: a few numbers by name, shown as tiles.
        manifest: ``manifest.json`` of the run.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    origin = plain(manifest or {})
    return environment.get_template("page.html.j2").render(
        title=title,
        sections=sections,
        lead=lead,
        verdict=verdict,
        good=good,
        facts=facts or {},
        version=str(origin.get("versions", {}).get("sozai") or ""),
        command=str(origin.get("command") or ""),
        manifest_text=json.dumps(origin, indent=1, ensure_ascii=False),
        style=Markup((_TEMPLATES / "report.css").read_text(encoding="utf-8")),
    )


def write_page(path: str | Path, page: str) -> Path:
    """Write the page, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic(path) as stream:
        stream.write(page)
    return Path(path)


def paragraph(words: object, quiet: bool = False) -> Markup:
    """One paragraph; plain text is escaped."""
    return Markup('<p class="quiet">{}</p>').format(words) if quiet else Markup("<p>{}</p>").format(words)


def heading(words: object) -> Markup:
    """A heading within a section."""
    return Markup("<h3>{}</h3>").format(words)


def bullets(items: Sequence[object]) -> Markup:
    """A list."""
    return Markup("<ul>{}</ul>").format(join(*(Markup("<li>{}</li>").format(item) for item in items)))


def table(heads: Sequence[object], rows: Sequence[Sequence[Any]], most: int | None = None) -> Markup:
    """A table; numbers are set right with at most four digits, ``None`` as a dash.

    Args:
        heads: headings.
        rows: cells; Markup stays as it is, all else is escaped.
        most: rows to show; below them stands how many are left out.
    """
    kinds = [_kind([row[place] for row in rows]) for place in range(len(heads))]
    shown = rows if most is None else rows[:most]
    made = Markup('<div class="scroll"><table><thead>{}</thead><tbody>{}</tbody></table></div>').format(
        _row("th", heads, [kind.replace("nowrap", "") for kind in kinds]),
        join(*(_row("td", [cell_text(cell) for cell in row], kinds) for row in shown)),
    )
    left_out = len(rows) - len(shown)
    return made + paragraph(f"{left_out:,} more rows are in the files of this run.", True) if left_out else made


def _kind(cells: Sequence[Any]) -> str:
    """Classes of a column: numbers to the right, what is short on one line."""
    numeric = all(_number(cell) for cell in cells) and any(cell is not None for cell in cells)
    short = all(len(str(cell_text(cell))) <= SHORT for cell in cells)
    return " ".join([*(["right"] if numeric else []), *(["nowrap"] if short else [])])


def _row(tag: str, cells: Sequence[Any], kinds: Sequence[str]) -> Markup:
    made = (
        Markup('<{} class="{}">{}</{}>').format(Markup(tag), kind, cell, Markup(tag))
        for cell, kind in zip(cells, kinds, strict=True)
    )
    return Markup("<tr>{}</tr>").format(join(*made))


def cell_text(value: Any) -> Any:
    """A table's cell: numbers with at most four digits, nothing as a dash."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _number(value):
        number = float(value)
        return f"{number:,.0f}" if number == round(number) and abs(number) < 1e9 else f"{number:.4g}"
    return value


def details(summary: object, body: Markup, is_open: bool = False) -> Markup:
    """Something to unfold."""
    return Markup("<details{}><summary>{}</summary>{}</details>").format(
        Markup(" open") if is_open else Markup(""), summary, body
    )


def picture(drawn: Markup, caption: object = "", small: bool = False) -> Markup:
    """A chart with its caption; a small one does not fill the page's width."""
    kind = Markup(' class="small"') if small else Markup("")
    return Markup("<figure{}>{}<figcaption>{}</figcaption></figure>").format(kind, drawn, caption)


def beside(*parts: Markup) -> Markup:
    """Parts side by side where there is room, two to a line."""
    return Markup('<div class="split even">{}</div>').format(join(*(Markup("<div>{}</div>").format(p) for p in parts)))


def join(*parts: Markup) -> Markup:
    """One after the other."""
    return Markup("").join(escape(part) for part in parts)


def _number(value: Any) -> bool:
    return value is None or (hasattr(value, "__float__") and not isinstance(value, bool | str))
