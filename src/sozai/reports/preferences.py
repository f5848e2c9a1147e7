"""The page of a tuning run: before and after, by a judge that had no part in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sozai.reports import page


def write_report(result: Mapping[str, Any], manifest: Mapping[str, Any], path: Path) -> Path:
    """Write the page for a ``result.json`` of ``design.preferences.run.tune``."""
    judged = result["comparison"]
    before, after = judged["before"], judged["after"]

    def change(name: str, share: bool = False) -> str:
        found = judged[name]
        if found["mean"] is None or found["mean"] != found["mean"]:
            return "–"
        form = "{:+.1%}" if share else "{:+.3f}"
        return f"{form.format(found['mean'])} ({form.format(found['low'])} to {form.format(found['high'])})"

    rows = [
        ["mean energy of the draws, eV/atom", before["energy"], after["energy"], change("energy")],
        ["lowest energy of a formula, eV/atom", before["best"], after["best"], change("best")],
        *(
            [words, f"{before[name]:.0%}", f"{after[name]:.0%}", change(name, True)]
            for words, name in (
                ("distinct draws of a formula", "unique"),
                ("crystals that are not known", "novel"),
                ("draws that are sound (built, no hard rule broken, relaxed)", "sound"),
            )
        ),
    ]
    rounds = [
        [each["number"], each["crystals"], each["failed"], each["learned"],
         None if each["ordered"] is None else f"{each['ordered']:.0%}",
         f"{each['unique']:.2f}", f"{each['drift']:.2f}", each["note"] or "kept"]
        for each in result["rounds"]
    ]  # fmt: skip
    sections = [
        page.Section(
            "Before and after",
            f"Judged by {judged['judge']} on {judged['formulas']} formulas of chemical systems that tuning has not "
            "seen; after minus before with its 95% interval over formulas. Energies are relaxed; lower is better.",
            page.table(["", "before", "after", "change"], rows),
        ),
        page.Section(
            "Rounds",
            "Guards: a round after which the model repeats itself or has drifted too far is taken back. Energies are "
            "compared within a formula only, so that no element can be favoured.",
            page.table(
                ["round", "crystals", "failed", "pairs or genes", "ordered right, held out", "distinct, of before",
                 "drift, nats", "outcome"],
                rounds,
            ),
        ),
    ]  # fmt: skip
    if result["choices"]:
        chosen = [[each["better"], each["worse"], each["why"], each["run"]] for each in result["choices"]]
        sections.append(
            page.Section("Your choices", "", page.table(["better", "worse", "why", "where"], chosen, most=50))
        )
    made = page.render_page(
        "Preferences", sections, lead=f"wyckoff-gpt tuned by {result['by']}", verdict=result["sentence"],
        good=judged["energy"]["high"] is not None and judged["energy"]["high"] < 0,
        facts={"formulas learned from": len(result["learned_from"]), "formulas judged on": judged["formulas"]},
        manifest=manifest,
    )  # fmt: skip
    return page.write_page(path, made)
