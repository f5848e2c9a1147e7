"""Verdicts on coordination polyhedra and on how they are connected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sozai.knowledge.crystals.contacts import Contacts
from sozai.knowledge.crystals.structure.polyhedra import (
    Around,
    around,
    bond_vectors,
    default_polyhedron,
    listed,
    shared,
    site_name,
)
from sozai.knowledge.crystals.structure.rules import Connection, Polyhedron, Sharing, StructureRules
from sozai.knowledge.crystals.structure.shapes import CLEARER, CLOSE, deviation, shapes_of
from sozai.knowledge.crystals.wish import SYMBOLS
from sozai.knowledge.verdict import Verdict

if TYPE_CHECKING:
    from pymatgen.core import Structure

CLOSENESS: tuple[Sharing, ...] = ("none", "corner", "edge", "face")
"""From sharing nothing to sharing most."""


@dataclass
class Polyhedra:
    """What was found around the centres.

    Attributes:
        verdicts: one a rule.
        around: by centre: ligands of each of its atoms, of all rules together.
        sound: centres whose rules all hold.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    around: dict[str, list[Around]] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)


def polyhedron_verdicts(structure: Structure, contacts: Contacts, rules: StructureRules) -> Polyhedra:
    """Whether each centre has the ligands it shall have.

    Rules of one centre and the same ligands are alternatives; see ``Polyhedron``.
    """
    found = Polyhedra()
    groups: dict[tuple[str, tuple[str, ...]], list[Polyhedron]] = {}
    for rule in rules.polyhedra:
        groups.setdefault((rule.centre, tuple(sorted(rule.ligands))), []).append(rule)
    merged: dict[str, dict[int, list[Around]]] = {}
    failed: set[str] = set()
    for (centre, _), alternatives in groups.items():
        taken = [around(contacts, rule) for rule in alternatives]
        fits = [
            {one.site for one in each if len(one.vertices) == rule.coordination and one.clear}
            for rule, each in zip(alternatives, taken, strict=True)
        ]
        good = set().union(*fits)
        for place, (rule, each) in enumerate(zip(alternatives, taken, strict=True)):
            others = len(alternatives) > 1
            verdict = _polyhedron(structure, contacts, rule, each, fits[place], good if others else None)
            found.verdicts.append(verdict)
            if verdict.passed is not True:
                failed.add(centre)
            if rule.shape is not None:
                found.verdicts.append(_shape(structure, rule, [one for one in each if one.site in fits[place]]))
            for one in each:
                if one.site in fits[place] or (one.site not in good and place == 0):
                    merged.setdefault(centre, {}).setdefault(one.site, []).append(one)
    for centre, by_site in merged.items():
        found.around[centre] = [_union(parts) for parts in by_site.values()]
    found.sound = set(found.around) - failed
    return found


def _union(parts: Sequence[Around]) -> Around:
    vertices = dict.fromkeys(vertex for part in parts for vertex in part.vertices)
    return Around(parts[0].site, tuple(vertices), (), min(part.beyond for part in parts))


def _polyhedron(
    structure: Structure,
    contacts: Contacts,
    rule: Polyhedron,
    each: Sequence[Around],
    fit: set[int],
    good: set[int] | None,
) -> Verdict:
    """One rule's verdict; ``good``: sites that fit some alternative, when there are alternatives."""
    name, unit = f"polyhedron {rule.centre}-{','.join(rule.ligands)} {rule.coordination}", "ligands"
    what = f"{rule.centre}({','.join(rule.ligands)}){rule.coordination}"
    if not each:
        return Verdict(name, None, f"Not judged: the structure has no {rule.centre}.", unit=unit)
    if not contacts.complete:
        return Verdict(name, None, "Not judged: the atoms lie too densely.", unit=unit)
    counted = "in the range" if rule.high is not None else "before the widest gap"
    wrong = [one for one in each if one.site not in (fit if good is None else good)]
    if good is not None and not fit and not wrong:
        return Verdict(name, False, f"No {rule.centre} has this surrounding ({what}).", 1.0, unit)
    if not wrong:
        lengths = [d for one in each if one.site in fit for d in one.distances]
        message = (
            f"{len(fit)} of {len(each)} {rule.centre} have it, " if good is not None else f"All {len(each)} have it, "
        )
        message += f"at {min(lengths):.3f} to {max(lengths):.3f} angstrom"
        beyond = min(one.beyond for one in each if one.site in fit)
        message += f"; the next ligand is at {beyond:.2f}" if beyond < contacts.cutoff else ""
        fitting = [one for one in each if one.site in fit]
        if rule.shape is None and (nearest := _nearest_shapes(structure, fitting)):
            message += f"; shape: {nearest}"
        message += "."
        return Verdict(name, True, message, 0.0, unit)
    blurred = [one for one in wrong if len(one.vertices) == rule.coordination and not one.clear]
    told = {}
    for one in wrong:
        reached = [*one.distances, *([one.beyond] if one.beyond < contacts.cutoff else [])]
        lengths_told = " ".join(f"{d:.2f}" for d in reached[:9])
        told[site_name(structure, one.site)] = f"{len(one.vertices)} {counted} (ligands at {lengths_told or 'none'})"
    if len(blurred) == len(wrong):
        message = f"Not clear at {len(wrong)} of {len(each)} sites without a bond range: {listed(told)}."
        return Verdict(name, None, message, unit=unit)
    off = max(abs(len(one.vertices) - rule.coordination) for one in wrong)
    message = f"{len(wrong)} of {len(each)} {rule.centre} are not {what}: {listed(told)}."
    return Verdict(name, False, message, float(off), unit)


def _deviations(structure: Structure, each: Sequence[Around]) -> dict[int, dict[str, float]]:
    """By site: deviation from each shape of so many ligands; congruent polyhedra are measured once."""
    known: dict[tuple[float, ...], dict[str, float]] = {}
    found = {}
    for one in each:
        shapes = shapes_of(len(one.vertices))
        if not shapes:
            continue
        ligands = bond_vectors(structure, one)
        apart = np.linalg.norm(ligands[:, None] - ligands[None], axis=2)
        key = (*np.round(np.sort(np.linalg.norm(ligands, axis=1)), 3), *np.round(np.sort(apart, axis=None), 3))
        if key not in known:
            known[key] = {shape.name: deviation(ligands, shape) for shape in shapes}
        found[one.site] = known[key]
    return found


def _nearest_shapes(structure: Structure, each: Sequence[Around]) -> str:
    """The shapes that the polyhedra come nearest to, with the largest deviation of each."""
    worst: dict[str, float] = {}
    for measured in _deviations(structure, each).values():
        name = min(measured, key=lambda shape: measured[shape])
        worst[name] = max(worst.get(name, 0.0), measured[name])
    return ", ".join(f"{name} (deviation {off:.1f} of 100)" for name, off in worst.items())


def _shape(structure: Structure, rule: Polyhedron, each: Sequence[Around]) -> Verdict:
    """Whether polyhedra have the shape they shall have: near it, and no other one clearly nearer."""
    name = f"shape {rule.centre}-{','.join(rule.ligands)} {rule.shape}"
    unit = "continuous shape measure"
    if not each:
        told = f"Unknown: no {rule.centre} has the {rule.coordination} ligands it shall have."
        return Verdict(name, None, told, unit=unit)
    assert rule.shape is not None
    measured = _deviations(structure, each)
    wrong, unclear = {}, {}
    for site, shapes in measured.items():
        other = min(shapes, key=lambda one: shapes[one])
        told = f"deviation {shapes[rule.shape]:.1f} of 100"
        if shapes[rule.shape] > CLOSE or shapes[rule.shape] - shapes[other] > CLEARER:
            told += f", nearer to {other} ({shapes[other]:.1f})" if other != rule.shape else ""
            wrong[site_name(structure, site)] = told
        elif other != rule.shape:
            unclear[site_name(structure, site)] = f"{told}, {other} {shapes[other]:.1f}"
    most = max(shapes[rule.shape] for shapes in measured.values())
    if wrong:
        told = f"{len(wrong)} of {len(each)} {rule.centre} are no {rule.shape}: {listed(wrong)}."
        return Verdict(name, False, told, most, unit)
    if unclear:
        told = f"Between two shapes at {len(unclear)} of {len(each)} {rule.centre}: {listed(unclear)}."
        return Verdict(name, None, told, most, unit)
    told = f"{len(each)} {rule.centre} have it; deviation at most {most:.1f} of 100 (allowed: {CLOSE:g})."
    return Verdict(name, True, told, most, unit)


def connection_verdicts(
    structure: Structure, contacts: Contacts, rules: StructureRules, polyhedra: Polyhedra
) -> list[Verdict]:
    """Whether polyhedra share ligands as they shall; open where the polyhedra are missing or wrong."""
    elements = [SYMBOLS[number - 1] for number in sorted(set(contacts.numbers.tolist()))]
    stated = {rule.centre for rule in rules.polyhedra}
    for centre in dict.fromkeys(c for rule in rules.connections for c in (rule.first, rule.second)):
        if centre in stated or centre not in elements:
            continue
        rule = default_polyhedron(centre, rules, elements)
        if rule is not None:
            polyhedra.around[centre] = around(contacts, rule)
            if all(one.clear and one.vertices for one in polyhedra.around[centre]):
                polyhedra.sound.add(centre)
    return [_connection(structure, rule, rules, polyhedra) for rule in rules.connections]


def _connection(structure: Structure, rule: Connection, rules: StructureRules, polyhedra: Polyhedra) -> Verdict:
    name = f"connection {rule.first}-{rule.second} {rule.how}"
    unit = "polyhedra"
    for centre in dict.fromkeys((rule.first, rule.second)):
        if centre not in polyhedra.sound:
            why = "are not as the rules say or not clear" if polyhedra.around.get(centre) else "are missing"
            return Verdict(name, None, f"Unknown: the polyhedra around {centre} {why}.", unit=unit)
    ways = shared(polyhedra.around[rule.first], polyhedra.around[rule.second])
    allowed = {c.how for c in rules.connections if {c.first, c.second} == {rule.first, rule.second}}
    closest = max(CLOSENESS.index(how) for how in allowed)
    wrong: dict[int, tuple[str, int]] = {}
    for site, counted in ways.items():
        number = sum(counted.values()) if rule.how == "none" else counted[rule.how]
        closer = {how: n for how, n in counted.items() if CLOSENESS.index(how) > closest and n}
        if rule.how == "none":
            off = number
        else:
            off = abs(number - rule.count) if rule.count is not None else int(number == 0)
            off += sum(closer.values())
        if off:
            wrong[site] = (_spell(counted), off)
    wanted = "nothing" if rule.how == "none" else f"{'at least 1' if rule.count is None else rule.count} {rule.how}"
    if not wrong:
        told = ", ".join(sorted({_spell(counted) for counted in ways.values()}))
        message = f"Each of {len(ways)} {rule.first} polyhedra shares with {rule.second}: {told} (wanted: {wanted})."
        return Verdict(name, True, message, 0.0, unit)
    sites = {site_name(structure, site): told for site, (told, _) in wrong.items()}
    message = (
        f"{len(wrong)} of {len(ways)} {rule.first} polyhedra do not share with {rule.second} as wanted ({wanted}): "
        f"{listed(sites)}."
    )
    return Verdict(name, False, message, float(max(off for _, off in wrong.values())), unit)


def _spell(counted: Counter[Sharing]) -> str:
    parts = [f"{counted[how]} {how}" for how in CLOSENESS if counted[how]]
    return " and ".join(parts) or "nothing"
