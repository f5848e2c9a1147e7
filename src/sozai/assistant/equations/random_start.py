"""Random initial data said in words; the numbers are drawn from the seed when the problem is solved."""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft

AMPLITUDE = "0.05"
"""Where none is given; it is told."""
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NAMED = re.compile(
    r"(?:with\s+|from\s+|starting\s+(?:from|with)\s+|initially\s+|a\s+|small\s+|uniform(?:ly)?\s+)*"
    r"(?:random(?:ly)?(?:\s+(?:small|uniform))*(?:\s+(?:start|noise|perturbations?|fluctuations?|initial\s+(?:conditions?|states?|data|"
    r"fields?|values?|compositions?|concentrations?|start)))?|noise|noisy\s+start|initial\s+noise)\b",
    re.IGNORECASE,
)
_AROUND = re.compile(rf"(?:around|about|near|(?:with|of)\s+(?:a\s+)?mean(?:\s+of)?|mean)\s+({_NUMBER})", re.IGNORECASE)
_HEIGHT = re.compile(
    rf"(?:(?:with|of|and)\s+)?(?:an?\s+)?(?:amplitude|height|strength|noise)(?:\s+(?:of|=))?\s*({_NUMBER})|"
    rf"(?:±|\+/?-)\s*({_NUMBER})|of\s+({_NUMBER})",
    re.IGNORECASE,
)
_WITHIN = re.compile(rf"(?:in|from)\s+\[?\s*({_NUMBER})\s*(?:,|to)\s*({_NUMBER})\s*\]?", re.IGNORECASE)


def random_start(clause: str, draft: Draft) -> str | None:
    """``random start around 0.1 with amplitude 0.05`` as a formula with ``noise``; ``None`` where it is none.

    The amplitude that was not given is told in the draft's notes. A word that is left over makes it none.
    """
    match = _NAMED.match(clause)
    if match is None:
        return None
    rest = re.sub(r"\b(?:at|in)\s+the\s+(?:start|beginning)\b|\bat\s+t\s*=\s*0\b", "", clause[match.end() :]).strip(
        " :"
    )
    middle, height = "0", ""
    within, around = _WITHIN.search(rest), _AROUND.search(rest)
    if within:
        low, high = float(within[1]), float(within[2])
        middle, height = f"{(low + high) / 2:.12g}", f"{(high - low) / 2:.12g}"
        rest = rest.replace(within[0], "")
    if around:
        middle, rest = around[1], rest.replace(around[0], "")
    tall = _HEIGHT.search(rest)
    if tall:
        height, rest = next(part for part in tall.groups() if part), rest.replace(tall[0], "")
    if rest.strip():
        return None
    if not height:
        height = AMPLITUDE
        draft.notes.append(f"No amplitude of the random start was given: it is {height}.")
    return f"{middle} + noise({height})"
