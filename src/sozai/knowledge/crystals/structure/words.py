"""Read plain words about one crystal structure into rules; what is not understood is refused, never dropped.

"NaZr2(PO4)3, R-3c, Na on 6b, Zr on 12c, P on 18e, O on 36f twice; ZrO6 octahedra share all corners with PO4 tetrahedra"

Each kind of statement is a pattern that takes its words out of the text; words that no pattern has taken and that carry
meaning are quoted back.
"""

from __future__ import annotations

import re
from dataclasses import replace
from math import inf

from sozai.errors import UserError
from sozai.knowledge.crystals.element_names import symbols_for_names
from sozai.knowledge.crystals.structure.parts import ABOUT
from sozai.knowledge.crystals.structure.reading import EXAMPLE, SIGNS, TAKEN, Reading
from sozai.knowledge.crystals.structure.rules import Site, StructureRules
from sozai.knowledge.crystals.structure.words_crystal import (
    take_formula,
    take_group,
    take_names,
    take_sites,
    take_systems,
    take_units,
)
from sozai.knowledge.crystals.structure.words_numbers import take_charges, take_ranges
from sozai.knowledge.crystals.structure.words_shapes import take_polyhedra

_FILLER = frozenset(
    [
        "a",
        "an",
        "the",
        "with",
        "is",
        "are",
        "in",
        "of",
        "and",
        "has",
        "have",
        "having",
        "that",
        "which",
        "where",
        "at",
        "on",
        "as",
        "it",
        "its",
        "to",
        "be",
        "for",
        "there",
        "each",
        "structure",
        "structures",
        "crystal",
        "crystals",
        "compound",
        "material",
        "phase",
        "sites",
        "site",
        "atoms",
        "atom",
        "ions",
        "ion",
        "cations",
        "anions",
        "space",
        "group",
        "wyckoff",
        "position",
        "positions",
        "formula",
        "composition",
        "please",
        "make",
        "build",
        "want",
        "i",
        "need",
        "we",
        "charges",
        "charge",
        "oxidation",
        "states",
        "state",
        "angstrom",
        "consists",
        "consisting",
        "built",
        "made",
        "up",
        "from",
        "contains",
        "containing",
        "cell",
        "unit",
        "lattice",
        "parameter",
        "parameters",
        "constants",
        "occupied",
        "occupies",
        "occupy",
        "sits",
        "sit",
        "respectively",
        "bonds",
        "bond",
        "distances",
        "distance",
        "lengths",
        "length",
        "ordered",
    ]
)


def rules_of_words(text: str, where: str = "words") -> StructureRules:
    """The rules that plain English words state.

    Args:
        text: statements on formula, space group (any symbol or number), sites ("Zr on 12c", "two O on 36f"),
            polyhedra ("ZrO6 octahedra", "P is 4-coordinated by O"), how they share ("edge-sharing MnO6 octahedra"),
            distances, density, charges ("Zr4+"), cell and bond valence.
        where: for messages.

    Raises:
        UserError: a part is not understood (it is quoted), or two parts contradict each other.
    """
    words = " ".join(symbols_for_names(text.translate(SIGNS).replace("\u0305", "\u0304")).split())
    if not words:
        raise UserError("there are no words to read", where, f"write for instance: {EXAMPLE}")
    reading = Reading(words, where, words)
    take_formula(reading)
    take_group(reading)
    take_ranges(reading)
    take_charges(reading)
    take_sites(reading)
    take_polyhedra(reading)
    take_systems(reading)
    take_names(reading)
    take_units(reading)
    _refuse_rest(reading)
    return _rules(reading)


def _refuse_rest(reading: Reading) -> None:
    """Quote the first stretch of words that nothing has taken, with what stands around it."""
    for piece in re.finditer(rf"[^;,{TAKEN}]+", reading.rest):
        words = re.findall(r"[^\s:()'\"]+", piece[0])
        if any(word.lower().strip(".,;:!?-") not in _FILLER and re.search(r"[\w<>=%]", word) for word in words):
            start = max(reading.words.rfind(sign, 0, piece.start() + 1) for sign in ";,") + 1
            whole = re.split("[;,]", reading.words[start:], maxsplit=1)[0].strip(" .")
            quote = " ".join(piece[0].split()).strip(" .")
            inside = f" in '{whole}'" if whole != quote else ""
            understood = "formula, space group, sites, polyhedra, sharing, charges, distances, density, cell"
            mend = f"say it another way or leave it out (understood: {understood})"
            raise UserError(f"'{quote}'{inside} is not understood", reading.where, mend)


def _rules(reading: Reading) -> StructureRules:
    if reading.group is not None and not reading.group.standard:
        reading.sites = [_standard(site, reading) for site in reading.sites]
        if reading.cell:
            mend = "give the cell in the standard setting, and name the space group so"
            reading.refuse("cell", "is given in another setting than the Tables'", mend)
    polyhedra = []
    for rule in reading.polyhedra:
        keys = ["-".join(sorted((rule.centre, ligand))) for ligand in rule.ligands]
        limits = [reading.distances[key] for key in keys if key in reading.distances]
        length = next((reading.lengths[key] for key in keys if key in reading.lengths), rule.length)
        low, high = rule.low, rule.high
        if limits and len(limits) == len(keys) and all(top < inf for _, top in limits):
            low, high = min(one for one, _ in limits), max(top for _, top in limits)
        polyhedra.append(replace(rule, low=low, high=high, length=length))
    used = {"-".join(sorted((rule.centre, ligand))) for rule in polyhedra for ligand in rule.ligands}
    for pair, value in reading.lengths.items():  # a length of no polyhedron is a distance
        if pair not in used:
            reading.distances.setdefault(pair, (value * (1 - ABOUT), value * (1 + ABOUT)))
    return StructureRules(
        reading.formula,
        reading.group.number if reading.group else None,
        tuple(reading.sites),
        tuple(dict.fromkeys(polyhedra)),
        tuple(dict.fromkeys(reading.connections)),
        reading.oxidation,
        reading.density,
        reading.distances,
        reading.bond_valence,
        reading.cell,
        reading.where,
    )


def _standard(site: Site, reading: Reading) -> Site:
    assert reading.group
    if site.coordinates is not None:
        told = "are coordinates in another setting of the space group than the Tables'"
        reading.refuse(str(site.coordinates), told, "state them in the standard setting, or leave them")
    if reading.group.choice == "R" and site.multiplicity:
        return Site(site.element, 3 * site.multiplicity, site.letter)
    return site
