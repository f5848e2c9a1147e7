"""Ranges of coordinates and of time."""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft
from sozai.assistant.equations.tokens import same_name
from sozai.assistant.equations.vocabulary import NAME
from sozai.errors import UserError


def read_range(clause: str, draft: Draft) -> bool:
    """``0 < x < 1``, ``t = 0..10``, ``x in [0, 1]``, ``x from 0 to 1``, ``for 1 h``, ``until t = 5``."""
    chain = re.fullmatch(rf"(.+?)\s*<=?\s*({NAME}(?:\s*,\s*{NAME})*)\s*<=?\s*(.+)", clause)
    if chain and not re.search(r"[<=>]", chain[1] + chain[3]):
        return set_ranges(draft, chain[2], chain[1], chain[3], clause)
    dots = re.fullmatch(rf"({NAME})\s*=\s*(.+?)\s*\.\.+\s*(.+)", clause)
    if dots:
        return set_ranges(draft, dots[1], dots[2], dots[3], clause)
    inside = re.fullmatch(
        rf"\(?({NAME}(?:\s*,\s*{NAME})*)\)?\s+in\s*[\[(]\s*(.+?)\s*,\s*(.+?)\s*[\])](?:\s*\^\s*\d)?(.*)", clause
    )
    if inside:
        unit = inside[4].strip()
        return set_ranges(draft, inside[1], f"{inside[2]} {unit}", f"{inside[3]} {unit}", clause)
    span = re.fullmatch(rf"(?:for\s+)?({NAME})\s+(?:from|=)\s+(.+?)\s+to\s+(.+)", clause)
    if span:
        return set_ranges(draft, span[1], span[2], span[3], clause)
    whole = re.fullmatch(r"\[([^,\]]+),([^,\]]+)\]", clause)
    if whole:
        return set_ranges(draft, "x", whole[1], whole[2], clause)
    end = re.fullmatch(
        r"(?:(?:run\s+)?(?:for|until|up\s+to|over|during|to)\s+(?:a\s+time\s+(?:of\s+)?)?)?(?:(t|time)\s*(?:=|"
        r"<=?|up\s+to|until|to)\s*)?(\d[\d.eE+-]*\s*[a-z]*)",
        clause,
    )
    if (
        end
        and (
            end[1]
            or re.fullmatch(
                r"[\d.eE+-]+\s*(?:s|sec|seconds?|ms|us|ns|min|minutes?|h|hr|hours?|d|days?|weeks?|months?|years?|yr)",
                end[2],
            )
        )
        and clause != end[2]
    ):
        return set_ranges(draft, "t", "0", end[2], clause)
    until = re.fullmatch(r"(?:for|until|up\s+to)\s+(\d[\d.eE+-]*\s*[a-z]*)", clause)
    if until:
        return set_ranges(draft, "t", "0", until[1], clause)
    short = re.fullmatch(r"(\d[\d.eE+-]*)\s*(s|sec|seconds?|ms|min|minutes?|h|hr|hours?|days?|weeks?|years?)", clause)
    if short:
        return set_ranges(draft, "t", "0", clause, clause)
    return False


def set_ranges(draft: Draft, names: str, low: str, high: str, clause: str) -> bool:
    """Give names their range; two different ones are refused."""
    for name in re.split(r"\s*,\s*", names):
        pair = (low.strip(), high.strip())
        if re.search(r"[A-Za-z%°]", pair[1]) and re.fullmatch(r"[-+.\deE]+", pair[0]):
            unit = re.sub(r"^[-+.\d\s]+(?:[eE][-+]?\d+)?", "", pair[1])
            pair = (f"{pair[0]} {unit}", pair[1]) if float(pair[0]) else pair
        if draft.ranges.get(same_name(name), pair) != pair:
            raise UserError(f"two ranges are given for {name}", f"'{clause}'", "leave one")
        draft.ranges[same_name(name)] = pair
    return True
