"""The report of a ``sozai cif`` run: rules as read, structures with pictures and verdicts, findings, transcript."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from sozai.reports.page import Section, beside, details, heading, join, paragraph, picture, render_page, table
from sozai.reports.structure_view import drawn_cell, scene, scene_svg

if TYPE_CHECKING:
    from pymatgen.core import Structure

MOST_ATOMS = 400
"""Cells with more atoms are not drawn."""
BESIDE = 14
"""Up to so many independent sites stand beside the picture."""
_WORDS = {True: "passed", False: "FAILED", None: "not decided"}
_HIDDEN = ("verdicts", "cpu_seconds")


def structures_page(
    result: Mapping[str, Any],
    structures: Sequence[Structure | None],
    manifest: Mapping[str, Any] | None = None,
) -> str:
    """The report as HTML text.

    Args:
        result: ``result.json`` of the run.
        structures: those of ``result["structures"]``, in the same order; ``None`` where there is none.
        manifest: ``manifest.json`` of the run.
    """
    items = list(result.get("structures") or [])
    sections = []
    if result.get("read"):
        read = result["read"]
        body = Markup("<pre>{}</pre>").format(read["text"])
        if read.get("impossible"):
            body = join(body, *(paragraph(reason) for reason in read["impossible"]))
        sections.append(Section("The rules", "As code understood them.", body))
    for place, (item, structure) in enumerate(zip(items, structures, strict=True)):
        best = "The best one. " if place == 0 and len(items) > 1 and result.get("kind") != "check" else ""
        sections.append(Section(item["name"], best + _lead(item), _structure(item, structure, place)))
    if result.get("transcript"):
        sections.append(_transcript(result["transcript"]))
    good = bool(result.get("passed"))
    return render_page(
        str(result.get("title") or "Crystal structures from rules"),
        sections,
        lead=str(result.get("asked") or ""),
        verdict=str(result.get("verdict") or ""),
        good=good,
        facts=_facts(items),
        manifest=manifest,
    )


def _lead(item: Mapping[str, Any]) -> str:
    if item.get("problem"):
        return f"No crystal could be read: {item['problem']}."
    if item["passed"]:
        return "Every check passed."
    parts = []
    if item["failed"]:
        parts.append(f"Failed: {', '.join(item['failed'])}.")
    if item["undecided"]:
        parts.append(f"Not decided: {', '.join(item['undecided'])}.")
    return " ".join(parts)


def _structure(item: Mapping[str, Any], structure: Structure | None, place: int) -> Markup:
    parts: list[Markup] = []
    if structure is not None and len(structure) <= MOST_ATOMS and structure.is_ordered:
        cell = drawn_cell(structure, max_sites=MOST_ATOMS)
        a, b, c, alpha, beta, gamma = cell.structure.lattice.parameters
        told = (
            f"{cell.symbol or 'no symmetry found'} ({cell.number or '-'}), "
            f"a, b, c = {a:.3f}, {b:.3f}, {c:.3f} angstrom; "
            f"{alpha:.1f}, {beta:.1f}, {gamma:.1f} degrees; {cell.structure.density:.3f} g/cm3"
        )
        if item.get("audit") is not None:
            told = _as_in_the_file(structure, cell.structure) + told
        told += _relaxation(item.get("facts") or {})
        view = scene(cell)
        drawn = picture(
            scene_svg(view, item["formula"] or item["name"], prefix=f"s{place}"),
            join(_legend(view), Markup("<br>"), escape(told)),
            True,
        )
        rows = [[site["element"], site["wyckoff"], *site["xyz"]] for site in cell.sites]
        sites = table(["element", "position", "x", "y", "z"], rows)
        if len(rows) <= BESIDE:
            parts.append(beside(drawn, join(heading("Independent sites"), sites)))
        else:
            parts += [drawn, details("Independent sites", sites)]
    if item["verdicts"]:
        rows = [[_WORDS[v["passed"]], v["rule"], v["message"]] for v in item["verdicts"]]
        parts += [heading("Verdicts"), table(["", "rule", "what was found"], rows)]
    audit = item.get("audit")
    if audit is not None:
        parts.append(heading("The file itself"))
        if audit["findings"]:
            rows = [
                [f["severity"], f["line"] or "–", f["where"], f["code"], f["message"], f["mend"]]
                for f in audit["findings"]
            ]
            parts.append(table(["", "line", "where", "code", "what was found", "how to mend it"], rows))
        else:
            parts.append(paragraph("No defect was found."))
    facts = {k: v for k, v in (item.get("facts") or {}).items() if v is not None and k not in _HIDDEN}
    if facts:
        parts.append(
            details(
                "Where it comes from", table(["", ""], [[k.replace("_", " "), _short(v)] for k, v in facts.items()])
            )
        )
    return join(*parts)


def _as_in_the_file(structure: Structure, drawn: Structure) -> str:
    """The file's own cell where the drawn one, made symmetric, is another."""
    own, other = (np.array(one.lattice.parameters) for one in (structure, drawn))
    if len(structure) == len(drawn) and np.allclose(own, other, atol=2e-3):
        return ""
    a, b, c, alpha, beta, gamma = own
    return (
        f"The file: a, b, c = {a:.3f}, {b:.3f}, {c:.3f} angstrom; {alpha:.2f}, {beta:.2f}, {gamma:.2f} degrees. "
        "Drawn, in its standard cell and made symmetric within 0.1 angstrom: "
    )


def _legend(view: Mapping[str, Any]) -> Markup:
    """The colours of the elements."""
    return Markup(" &nbsp; ").join(
        Markup('<span style="color:{}">&#9679;</span> {}').format(element["colour"], element["symbol"])
        for element in view["elements"]
    )


def _relaxation(facts: Mapping[str, Any]) -> str:
    """A cell means little without how far it was relaxed."""
    energy, force = facts.get("energy_per_atom_ev"), facts.get("max_force_ev_per_angstrom")
    if energy is None or force is None or energy != energy:
        if facts.get("relaxed_energy_ev_per_atom") is not None:
            return f"; the relaxation was {facts['relaxation']}"
        return "; not relaxed" if "misfit_angstrom" in facts else ""
    limit = facts.get("force_limit_ev_per_angstrom")
    return (
        f"; {energy:.4f} eV/atom by {facts.get('potential', 'the potential')}, largest force {force:.3f} eV/angstrom "
        f"(limit {limit:g})"
    )


def _short(value: Any) -> Any:
    return value if isinstance(value, bool | int | float) else " ".join(str(value).split())[:400]


def _facts(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "structures": len(items),
        "passed": sum(bool(item["passed"]) for item in items),
        "failed": sum(bool(item["failed"]) for item in items),
    }


def _transcript(transcript: Mapping[str, Any]) -> Section:
    parts = []
    for number, one in enumerate(transcript.get("rounds") or [], start=1):
        rows = [[_WORDS[v["passed"]], v["rule"], v["message"]] for v in one.get("verdicts") or []]
        verdicts = table(["", "rule", "what was found"], rows)
        reply = one.get("reply") or {}
        body = join(
            heading("Asked"), Markup("<pre>{}</pre>").format(one.get("asked", "")),
            heading("Answer"), Markup("<pre>{}</pre>").format(reply.get("text", one.get("problem", ""))),
            paragraph(one["problem"]) if one.get("problem") else verdicts,
        )  # fmt: skip
        word = "passed" if one.get("passed") else "failed"
        parts.append(details(f"Round {number}: {word}", body))
    lead = f"{transcript.get('model')} at {transcript.get('endpoint')}; {transcript.get('stopped')}."
    return Section("What the model was asked and answered", lead, join(*parts))
