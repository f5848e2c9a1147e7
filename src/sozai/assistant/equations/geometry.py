"""What a clause says of the body: its dimension and its lengths."""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft


def take_dimension(text: str, draft: Draft) -> str:
    """Take ``in 2-D`` and its like from a text."""
    for pattern, dimension in (
        (r"(?<![=*+/(-]\s)(?<![=*+/(^])\b(?:1-?[dD]|one[\s-]dimension(?:al|s)?)\b", 1),
        (r"(?<![=*+/(-]\s)(?<![=*+/(^])\b(?:2-?[dD]|two[\s-]dimension(?:al|s)?)\b", 2),
        (r"(?<![=*+/(-]\s)(?<![=*+/(^])\b(?:3-?[dD]|three[\s-]dimension(?:al|s)?)\b", 3),
    ):
        if re.search(pattern, text):
            draft.dimension = dimension
            text = re.sub(rf"(?:in\s+)?{pattern}", " ", text)
    return text


def take_geometry(clause: str, draft: Draft) -> str:
    """Take from a clause what it says of the body: its dimension and lengths."""
    number = r"(\d[\d.eE+-]*\s*(?:[a-zµμ]+)?)"
    bodies = (
        (r"rod|bar|wire|line|interval|slab|film|foil|layer|wall|string|beam|cantilever|pipe|channel", 1),
        (r"square|plate|rectangle|sheet|membrane", 2),
        (r"cube|box|block|brick", 3),
    )
    for words, dimension in bodies:
        by = rf"{number}\s*(?:by|x|\*)\s*{number}(?:\s*(?:by|x|\*)\s*{number})?\s+(?:{words})\b"
        product = rf"{number}\s+by\s+{number}(?:\s+by\s+{number})?"
        patterns = (
            rf"(?:on|in|into|along|through|across|of|over)?\s*\b(?:a|an|the)?\s*(?:{words})\s+of\s+{product}",
            rf"(?:on|in|into|along|through|across|of|over)?\s*\b(?:a|an|the)?\s*unit\s+(?:{words})\b",
            rf"(?:on|in|into|along|through|across|of|over)?\s*(?:a|an|the)?\s*{by}",
            rf"(?:on|in|into|along|through|across|of|over)?\s*\b(?:a|an|the)?\s*\b{number}(?:[\s-]+(?:long|thick|"
            rf"wide))?\s+(?:{words})\b",
            rf"(?:on|in|into|along|through|across|of|over)?\s*\b(?:a|an|the)?\s*(?:{words})\s+(?:of\s+|with\s+)?(?:length|"
            rf"side|thickness|width|edge|size)?\s*(?:of\s+|=\s*)?{number}(?:\s+(?:long|thick|wide))?(?=\s|$)",
        )
        for pattern in patterns:
            match = re.search(pattern, clause)
            if match:
                sizes = [size for size in match.groups() if size] or ["1"]
                through = re.search(r"\bthick(?:ness)?\b", match[0]) or re.search(r"\b(?:sheet|membrane)\b", match[0])
                if len(sizes) == 1 and not through and _is_thickness(match[0], draft):
                    through = match
                    draft.notes.append("The length of the plate was read as its thickness; say 'square plate' for two.")
                if len(sizes) == 1 and not (through and "unit" not in match[0] and draft.dimension < 2):
                    sizes *= dimension
                draft.dimension = len(sizes)
                for axis, size in zip("xyz", sizes, strict=False):
                    draft.ranges[axis] = ("0", size.strip())
                clause = clause[: match.start()] + " " + clause[match.end() :]
                return clause.strip()
        plain = re.search(rf"(?:on|in|into|along|through|across|of|over)?\s*\b(?:a|an|the)\s+(?:{words})\b", clause)
        if plain and not draft.dimension:
            draft.dimension = dimension
            clause = (clause[: plain.start()] + " " + clause[plain.end() :]).strip()
    return clause.strip()


def _is_thickness(words: str, draft: Draft) -> bool:
    """Whether the one length of a plate is its thickness: who speaks of diffusion into a plate means that."""
    diffuses = draft.known is not None and draft.known.name in ("heat", "fick")
    return diffuses and bool(re.search(r"\bplate\b", words)) and not re.search(r"\b(?:side|edge|width|wide)\b", words)
