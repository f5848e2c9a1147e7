"""Which line is a heading, and which sections are not the authors' own findings."""

from __future__ import annotations

import re

_NAMES = (
    r"abstract|summary|introduction|background|experimental(?: (?:section|methods?|procedures?|details?))?|"
    r"(?:materials? and )?methods?(?: and materials?)?|materials|synthesis|sample preparation|preparation|"
    r"characteri[sz]ation|measurements?|results?|results? and discussions?|discussions?|conclusions?|outlook|"
    r"(?:summary and )?conclusions?|acknowledge?ments?|references|bibliography|literature cited|supporting information|"
    r"supplementary (?:material|information)|author contributions|conflicts? of interest|data availability|appendix|"
    r"highlights|keywords|theory|computational (?:methods?|details)|funding"
)
_NUMBER = re.compile(r"^(?:\d{1,2}(?:\.\d{1,2}){0,3}\.?|[IVX]{1,4}\.|[A-Z]\.)\s+")
_KNOWN = re.compile(rf"(?:{_NAMES})\s*:?", re.I)
BACK_MATTER = re.compile(
    r"references|bibliography|literature cited|acknowledge?ments?|author contributions|conflicts? of interest|funding",
    re.I,
)
"""Names of sections in which others' titles stand, or thanks: no evidence."""


def word_set(text: str) -> frozenset[str]:
    """The words of a text parted by blanks."""
    return frozenset(text.split())


def strip_number(text: str) -> str:
    """A heading without its number."""
    return _NUMBER.sub("", text.strip())


def is_heading(line: str) -> bool:
    """Whether a line by itself reads as a heading: a known name, or a number and a few words without a full stop."""
    line = line.strip()
    words = strip_number(line)
    if not words or len(line) > 90:
        return False
    if _KNOWN.fullmatch(words):
        return True
    return bool(
        words != line
        and re.match(r"[A-Z][a-z]|[A-Z]{2}", words)
        and not re.search(r"[.;,:!?=]$", words)
        and len(words.split()) <= 10
        and not re.search(r"\d\s*(?:°|%|[kKMG]?Pa\b|mS\b|S\b|h\b)", words)
    )


def is_known_heading(line: str) -> bool:
    """Whether a line is one of the usual names of a section, and nothing else."""
    return bool(_KNOWN.fullmatch(strip_number(line)))


def is_back_matter(section: str) -> bool:
    """Whether the section holds references, thanks and the like."""
    return bool(BACK_MATTER.fullmatch(strip_number(section).rstrip(":").strip()))
