"""The report of ``sozai check`` on a table: what each column is, what looks wrong and why, what was changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from sozai.knowledge.tables.quality.detector import THRESHOLD
from sozai.knowledge.tables.quality.finding import STEPS, Finding
from sozai.reports.charts import bars, scatter
from sozai.reports.page import Section, beside, bullets, details, heading, join, paragraph, picture, render_page, table

if TYPE_CHECKING:
    from sozai.knowledge.tables.propose import Proposal
    from sozai.knowledge.tables.quality.changes import Change
    from sozai.knowledge.tables.quality.examine import Examination
    from sozai.materials.tables.table import Table

PLOTS, ROWS, POINTS = 6, 200, 1500


def check_page(
    checked: Table,
    examined: Examination,
    proposals: Sequence[Proposal],
    changes: Sequence[Change],
    manifest: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML.

    Args:
        checked: the table as read.
        examined: what was found in it.
        proposals: rules that the rows suggest.
        changes: what differs in the cleaned table.
        manifest: of the run.
    """
    told = examined.told
    rows = {finding.row for finding in told}
    verdict = (
        f"{len(rows)} of {len(checked):,} rows have something to look at; "
        f"{len(changes)} cells are repaired in cleaned.csv, the file itself is as it was."
        if told
        else "Nothing was found that is likely an error."
    )
    sections = [
        Section("The findings", "", _overview(examined)),
        *(
            Section(
                f"Step {number}: {words}",
                _LEADS[step],
                _step([finding for finding in examined.findings if finding.step == step]),
            )
            for number, (step, words) in enumerate(STEPS.items(), start=1)
        ),
        Section("The strongest in pictures", "Each row as a point; the doubtful ones are marked.", _plots(examined)),
        Section(
            "What each column is",
            "This is a guess from headings and values. schema.yaml holds it: correct it there and give it by --schema.",
            _columns(checked),
        ),
        Section(
            "Rules that the rows suggest",
            "None of them is applied before you accept it: keep the lines you believe in proposed_rules.yaml, and give "
            "the file by --rules.",
            _rules(proposals),
        ),
        Section(
            "What was changed",
            "changes.csv holds the same. By default only repairs that undo an evident slip are made; --apply all makes "
            "all proposed ones.",
            table(
                ["row", "column", "old", "new", "why"],
                [[each.row, each.column, each.old, "blank" if each.new is None else each.new, each.why]
                 for each in changes],
                ROWS,
            ) if changes else paragraph("Nothing."),
        ),
        Section("How this was done", "", _method(examined)),
    ]  # fmt: skip
    return render_page(
        f"Check of {checked.source}",
        sections,
        lead=f"{len(checked):,} rows and {len(checked.columns)} columns"
        + (f"; {examined.target} is taken as the measured column" if examined.target else ""),
        verdict=verdict,
        good=not told,
        facts={
            "rows": f"{len(checked):,}",
            "findings": len(told),
            "rows with one": len(rows),
            "repaired cells": len(changes),
            "rules suggested": len(proposals),
        },
        manifest=manifest,
    )


_LEADS = {
    "value": "Codes for missing values, slips of unit, sign or hand, impossible values, values far from all others.",
    "descriptors": "Exchanged columns, broken rules and sums, values that do not fit the rest of their row.",
    "sample": "Rows that stand twice, rows that contradict each other, rows that stand alone.",
}


def _overview(examined: Examination) -> Markup:
    told = examined.told
    if not told:
        return paragraph(
            "No finding reaches the confidence from which one is told. Weaker doubts, if any, stand in the steps below."
        )
    kinds = Counter(finding.kind for finding in told)
    columns = Counter(name for finding in told for name in finding.columns)
    names = [kind for kind, _ in kinds.most_common()]
    parts = [picture(bars({name: kinds[name] for name in names}, "findings"), "What was found")]
    if columns:
        most = [name for name, _ in columns.most_common(12)]
        parts.append(picture(bars({name: columns[name] for name in most}, "findings"), "In which columns"))
    return beside(*parts)


def _step(findings: Sequence[Finding]) -> Markup:
    told = [finding for finding in findings if finding.confidence >= THRESHOLD]
    weaker = [finding for finding in findings if finding.confidence < THRESHOLD]
    parts = [_findings(told) if told else paragraph("Nothing.")]
    if weaker:
        parts.append(details(f"{len(weaker)} weaker doubts", _findings(weaker)))
    return join(*parts)


def _findings(findings: Sequence[Finding]) -> Markup:
    rows = []
    for each in findings:
        new = "" if each.repair is None else ", ".join("blank" if v is None else _short(v) for v in each.repair)
        where = ", ".join(map(str, (each.row, *each.others[:3])))
        rows.append(
            [
                where,
                ", ".join(each.columns),
                each.kind,
                f"{each.confidence:.0%}",
                each.why[:1].upper() + each.why[1:],
                new,
            ]
        )
    return table(["row", "column", "what", "confidence", "why", "proposed"], rows, ROWS)


def _plots(examined: Examination) -> Markup:
    """Observed against expected values of the columns with the most certain findings."""
    judged, numbers = examined.judged, examined.numbers
    if judged is None:
        return paragraph("The table is too small to predict columns from each other.")
    best: dict[str, list[Finding]] = {}
    for finding in sorted(examined.told, key=lambda each: -each.confidence):
        for name in finding.columns:
            if name in numbers.names and not finding.rule and finding.kind not in ("duplicate", "isolated"):
                best.setdefault(name, []).append(finding)
    if not best:
        return paragraph("There are none.")
    index = examined.index
    place = {int(label): at for at, label in enumerate(index)}
    drawn = []
    for name in sorted(best, key=lambda each: -len(best[each]))[:PLOTS]:
        column = numbers.names.index(name)
        expected = numbers.scales[column].back(judged.measured.expected[:, column])
        observed = numbers.raw[:, column]
        marked = sorted({place[finding.row] for finding in best[name]})
        known = np.setdiff1d(np.flatnonzero(np.isfinite(expected) & np.isfinite(observed)), marked)
        if len(known) > POINTS:
            known = np.sort(np.random.default_rng(0).choice(known, POINTS, replace=False))
        log = numbers.scales[column].logarithm and bool((observed[[*known, *marked]] > 0).all())
        chart = scatter(
            {"rows": (expected[known], observed[known]), "doubtful": (expected[marked], observed[marked])},
            f"{name}, from the other columns",
            f"{name}, as written",
            hints={"rows": [f"row {index[at]}" for at in known], "doubtful": [f"row {index[at]}" for at in marked]},
            diagonal=not _far(observed[known], observed[marked]),
            log_x=log,
            log_y=log,
        )
        drawn.append(picture(chart, f"{name}: rows {', '.join(str(index[at]) for at in marked[:12])}"))
    return beside(*drawn)


def _far(usual: np.ndarray, marked: np.ndarray) -> bool:
    """Whether marked values would squeeze the others into a corner of a common range."""
    return bool(np.ptp(np.concatenate([usual, marked])) > 4 * max(np.ptp(usual), 1e-12))


def _columns(checked: Table) -> Markup:
    from sozai.materials.tables.read import description

    rows = []
    for each in description(checked):
        span = " to ".join(map(_short, each["range"])) if each["range"] else ", ".join(each["levels"][:6])
        rows.append([each["column"], each["kind"], each["unit"], span, each["missing"] or None, each["why"]])
    made = table(["column", "kind", "unit", "values", "missing", "guessed from"], rows)
    if checked.notes:
        notes = [f"{note.column}{', row ' + str(note.row) if note.row else ''}: {note.what}".lstrip(": ")
                 for note in checked.notes[:ROWS]]  # fmt: skip
        made = join(made, heading("Met while reading"), bullets(notes))
    return made


def _rules(proposals: Sequence[Proposal]) -> Markup:
    if not proposals:
        return paragraph("None.")
    rows = [[each.rule.words(), each.rule.severity, each.sentence] for each in proposals]
    return table(["rule", "", "evidence"], rows, 60)


def _method(examined: Examination) -> Markup:
    share = f" It takes about {examined.judged.share:.0%} of the rows for wrong." if examined.judged else ""
    words = (
        "Each number is compared with those of rows that are alike in all other columns, and explanations (another "
        "unit, a slip of the hand, two columns exchanged) are tried on the whole row. How much evidence makes an error "
        "is learnt on copies of this very table with errors planted in it. The confidence is the share of such "
        f"findings that were planted errors there; from {THRESHOLD:.0%} on a finding is told.{share} A "
        f"finding is a reason "
        "to look into the laboratory book, no proof: a true discovery also looks unlike everything before it."
    )
    parts = [paragraph(words)]
    if examined.notes:
        parts.append(bullets(examined.notes))
    return join(*parts)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
