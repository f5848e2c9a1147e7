"""Equations known by name, in the letters of a text: their unknowns, parameters, sources."""

from __future__ import annotations

import math
import re

from sozai.assistant.equations.draft import Draft
from sozai.assistant.equations.known import Known
from sozai.assistant.equations.round_body import in_radius
from sozai.assistant.equations.units import quantity


def dimension_of(draft: Draft) -> int:
    """Dimension that was said, or that the coordinates show."""
    if not draft.dimension:
        axes = [axis for axis in "xyz" if axis in draft.ranges]
        texts = " ".join([*draft.equations, *(c.source for c in draft.conditions), *draft.values.values()])
        axes += [axis for axis in "yz" if re.search(rf"(?<![A-Za-z_]){axis}(?![A-Za-z_])", texts)]
        draft.dimension = max([1, *("xyz".index(axis) + 1 for axis in axes)])
    return draft.dimension


def template(draft: Draft, known: Known) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """The equations known by name in the letters of the text, its unknowns, and parameters that became others."""
    dimension = dimension_of(draft) if known.partial else 1
    names = list(known.unknowns(dimension))
    texts = list(known.equations(dimension))
    if draft.source and not known.source and "f" in " ".join(texts):
        draft.values["f"] = draft.source
    elif draft.source:
        texts[0] += f" + ({draft.source})"
    for other in known.also:
        if not draft.uses(names[0]) and names[0] not in draft.values and (draft.uses(other)):
            texts = [re.sub(rf"(?<![A-Za-z]){names[0]}(?=_|\W|$)", other, text) for text in texts]
            names[0] = other
            break
    renamed = _parameter_names(draft, known, " ".join(texts))
    for axis in "xyz"[:dimension]:
        if re.search(rf"\bb{axis}\b", " ".join(texts)) and f"b{axis}" not in draft.values:
            texts = [re.sub(rf"\bb{axis}\b", "0", text) for text in texts]
            draft.notes.append(f"No body force was given: b{axis} = 0.")
    if draft.round:
        texts = [in_radius(text, draft.round) for text in texts]
    return tuple(texts), tuple(names), renamed


def _parameter_names(draft: Draft, known: Known, texts: str) -> dict[str, str]:
    """Numbers under other letters or words become those of the known equation."""
    renamed: dict[str, str] = {}
    if known.name == "linear-elasticity":
        for words, value in list(draft.spoken):
            if re.fullmatch(r"young\w*\s+modulus|elastic\s+modulus|poisson\w*\s+ratio", words):
                draft.values["nu" if "ratio" in words else "E"] = value
                draft.spoken.remove((words, value))
        if {"E", "nu"} <= set(draft.values) and not {"lam", "mu"} & set(draft.values):
            draft.values["lam"] = "E*nu/((1 + nu)*(1 - 2*nu))"
            draft.values["mu"] = "E/(2*(1 + nu))"
    for name, pattern in known.words.items():
        if name in draft.values:
            continue
        for words, value in list(draft.spoken):
            if re.fullmatch(rf"(?:{pattern}|{name})", words, re.IGNORECASE):
                draft.values[name] = value
                draft.spoken.remove((words, value))
        for other in list(draft.values):
            if name not in draft.values and re.fullmatch(pattern, other) and not re.search(rf"\b{other}\b", texts):
                draft.values[name] = draft.values.pop(other)
                draft.notes.append(f"{other} was read as {name}.")
    if known.name in ("allen-cahn", "cahn-hilliard") and "M" not in draft.values:
        draft.values["M"] = "1"
        draft.notes.append("No mobility was given: M = 1, so that time is counted in units of it.")
    if known.name == "beam" and "EI" not in draft.values and {"E", "I"} <= set(draft.values):
        draft.values["EI"] = "E*I"
    if known.name == "decay":
        for words, value in [pair for pair in draft.spoken if pair[0] == "halflife"]:
            found = quantity(value)
            if found and found[0] > 0:
                draft.values["k"] = f"{math.log(2) / found[0]!r}" + (" 1/s" if found[1] else "")
                draft.spoken.remove((words, value))
    if known.name == "heat" and "D" not in draft.values:
        letters = {
            r"(?:thermal\s+)?conductivity": "k",
            r"(?:mass\s+)?density": "rho",
            r"(?:specific\s+)?heat(?:\s+capacity)?": "cp",
        }
        for words, value in list(draft.spoken):
            for pattern, letter in letters.items():
                if re.fullmatch(pattern, words) and letter not in draft.values:
                    draft.values[letter] = value
                    draft.spoken.remove((words, value))
        heat = [name for name in ("k", "rho") if name in draft.values]
        capacity = next((name for name in ("cp", "c", "C") if name in draft.values), None)
        if len(heat) == 2 and capacity:
            draft.values["D"] = f"k/(rho*{capacity})"
            renamed |= dict.fromkeys(("k", "rho", capacity), "D")
    return renamed
