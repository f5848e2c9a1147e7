"""One sentence or row against a question: which of its words it covers, of which material it speaks."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property

from sozai.assistant.answers.lexicon import COMMON_NAMES, lexicon
from sozai.assistant.answers.names import Aliases, elements, names_in
from sozai.assistant.answers.question import Question, Term
from sozai.assistant.answers.thesaurus import Says
from sozai.assistant.documents.document import Document, Span
from sozai.assistant.documents.library import Entry
from sozai.assistant.documents.pieces import Piece, column_heads, pieces
from sozai.assistant.documents.words import tokens
from sozai.assistant.extraction.quantities import Found, find_quantities
from sozai.assistant.extraction.schema import built_in
from sozai.assistant.extraction.units import factor

SENTENCE, NEAR, DOCUMENT = 1.0, 0.6, 0.3
"""How well a word is covered: by the quote (or its table's headings), by what stands around it, by the document."""

NAMED = 0.7
"""How sure the material is where the sentences before name it."""

RELATED = 0.5
"""How sure the material is where a doped composition of its family is named instead."""

SHORT = 60
"""Sentences of a text in which everything is near."""
ABSTRACT = 2500
"""Letters of title, authors and abstract."""
OFTEN = 5
"""A word that a longer text uses so often is of its subject; one that it uses less stands there by the way."""


_COMPARED = re.compile(r"\b(?:than|unlike|versus|(?:compared|in comparison) (?:to|with)|in contrast to)\b[^,;]*")
"""What a sentence compares its subject with."""


@dataclass(frozen=True)
class Column:
    """A cell of a row with the heading of its column."""

    head: str
    text: str
    span: Span


class Reading:
    """A document read for questions; what is costly is done once.

    Args:
        entry: of the library.
        document: its text.
        aliases: of the library.
    """

    def __init__(self, entry: Entry, document: Document, aliases: Aliases):
        self.entry, self.document, self.aliases = entry, document, aliases
        self.pieces = pieces(document)
        self._held: dict[Says | re.Pattern[str], bool] = {}
        self._about: dict[Says, bool] = {}

    @cached_property
    def views(self) -> list[View]:
        """Its pieces, each to be held against a question."""
        return [View(self, piece) for piece in self.pieces]

    @cached_property
    def opening(self) -> str:
        """Title, and the first words of the text, where a heading above all others stands."""
        return f"{self.document.title} {self.document.text[:200]}"

    @cached_property
    def body(self) -> str:
        """Title, sentences and rows, without the lists of references."""
        return "\n".join([self.opening, *(view.whole for view in self.views)])

    def holds(self, words: Says | re.Pattern[str]) -> bool:
        """Whether words stand anywhere in it."""
        if words not in self._held:
            self._held[words] = words.search(self.body) is not None
        return self._held[words]

    def is_about(self, words: Says) -> bool:
        """Whether words are of its subject: they stand in its abstract, or again and again; a short text is all so."""
        if words not in self._about:
            if len(self.pieces) <= SHORT:
                self._about[words] = self.holds(words)
            else:
                self._about[words] = words.search(self.abstract) is not None or words.often(self.body, self._often)
        return self._about[words]

    @property
    def _often(self) -> int:
        return max(OFTEN, len(self.pieces) // 60)

    @cached_property
    def abstract(self) -> str:
        """Title and the first sentences, as many as an abstract has."""
        return f"{self.document.title} {self.document.text[:ABSTRACT]}"

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the whole document, without its lists of references."""
        return frozenset(self._stem_counts)

    @cached_property
    def subject_stems(self) -> frozenset[str]:
        """Stems of what it is about, as ``is_about`` judges words."""
        if len(self.pieces) <= SHORT:
            return self.stems
        first = frozenset(word.lower() for word in tokens(self.abstract))
        return first | frozenset(word for word, count in self._stem_counts.items() if count >= self._often)

    @cached_property
    def _stem_counts(self) -> Counter[str]:
        texts = [self.document.quote(piece) + " " + piece.around for piece in self.pieces]
        return Counter(word.lower() for word in tokens(" ".join([self.document.title, *texts])))

    @cached_property
    def title_stems(self) -> frozenset[str]:
        """Stems of the title."""
        return frozenset(word.lower() for word in tokens(self.document.title))

    @cached_property
    def head(self) -> str:
        """Title and the first sentences: what the document is about."""
        return " ".join(
            [self.document.title, *(self.document.quote(piece) for piece in self.pieces[:3] if piece.table is None)]
        )

    @cached_property
    def _counts(self) -> Counter[str]:
        return Counter(one.text for one in names_in(self.body))

    @cached_property
    def _heads(self) -> frozenset[str]:
        return frozenset(one.text for one in names_in(self.head))

    def names_any(self, name: str) -> bool:
        """Whether a material is named anywhere in it, itself or one of its family."""
        forms = self.aliases.forms(name)
        if any(form in self._counts or _spelled(form, self.body) for form in forms):
            return True
        return any(self.aliases.same(name, other) for other in self._counts)

    def speaks_of(self, name: str) -> bool:
        """Whether a material is named again and again."""
        return sum(self._counts[form] for form in self.aliases.forms(name)) >= 3

    def is_main(self, name: str) -> bool:
        """Whether the document is about a material, rather than naming a reagent or an impurity once."""
        return _is_subject(name, self) and (
            name in self._heads or self._counts[name] >= 2 or len(self.aliases.forms(name)) > 1
        )


class View:
    """A piece of a document, seen with a question in mind.

    Args:
        reading: of its document.
        piece: the sentence or row.
    """

    def __init__(self, reading: Reading, piece: Piece):
        self.reading, self.piece = reading, piece
        self.document = reading.document
        self.text = self.document.quote(piece)

    @cached_property
    def whole(self) -> str:
        """The quote, and the headings of its table."""
        return f"{self.text} {self.piece.around}"

    @cached_property
    def beside(self) -> str:
        """The sentences before and after it in the same section."""
        if self.piece.table is not None:
            return ""
        near = [self.piece.number - 1, self.piece.number + 1]
        others = [self.reading.pieces[place] for place in near if 0 <= place < len(self.reading.pieces)]
        return " ".join(
            self.document.quote(one) for one in others if one.section == self.piece.section and one.table is None
        )

    @cached_property
    def stems(self) -> frozenset[str]:
        """Stems of the quote and of its table's headings."""
        return frozenset(word.lower() for word in tokens(f"{self.text} {self.piece.around}"))

    @cached_property
    def near(self) -> frozenset[str]:
        """Stems of the title, the heading and the sentence before."""
        before = self.document.quote(self.piece.before) if self.piece.before else ""
        return self.reading.title_stems | frozenset(word.lower() for word in tokens(f"{self.piece.section} {before}"))

    @cached_property
    def columns(self) -> list[Column]:
        """Cells of a row under their headings; empty for a sentence."""
        if self.piece.table is None:
            return []
        heads = column_heads(self.document, self.piece.table)
        cells = self.piece.table.cells[self.piece.row]
        return [Column(head, self.document.quote(cell), cell) for head, cell in zip(heads, cells, strict=True) if cell]

    @cached_property
    def quantities(self) -> list[Found]:
        """Quantities of the sentence; their places are in the document's text."""
        named = [(self.piece.start + one.start, self.piece.start + one.end) for one in names_in(self.text)]
        return find_quantities(self.document.text, self.piece.start, self.piece.end, named)

    def cover(self, term: Term) -> float:
        """How well a word of the question is covered: 0 where not at all."""
        if term.element and _has_element(f"{self.text} {self.piece.around}", term.element):
            return SENTENCE
        if term.stems & self.stems:
            return SENTENCE
        if term.element and _has_element(self.document.title, term.element):
            return NEAR
        if term.stems & self.near:
            return NEAR
        return DOCUMENT if term.stems & self.reading.subject_stems else 0.0

    def material(self, name: str) -> float:
        """How sure it is that the piece speaks of a material: 1 named in it, less where around it, 0 if of another."""
        aliases, forms = self.reading.aliases, self.reading.aliases.forms(name)
        here = names_in(self.text) + names_in(self.piece.around)
        if any(one.text in forms for one in here) or any(_spelled(form, self.text) for form in forms):
            return 1.0
        if any(aliases.same(name, one.text) for one in here):
            return RELATED
        if any(_is_subject(one.text, self.reading) for one in names_in(_COMPARED.sub("", self.whole))):
            return 0.0  # it speaks of another one
        if self.piece.table is None:
            for earlier in self._earlier(6):
                subjects = [one.text for one in names_in(earlier) if self.reading.is_main(one.text)]
                if subjects:
                    return NAMED if any(aliases.same(name, one) for one in subjects) else 0.0
        about = names_in(self.reading.head)
        if any(aliases.same(name, one.text) for one in about) or any(
            _spelled(form, self.reading.head) for form in forms
        ):
            return 0.6
        return 0.0

    def says_of(self, name: str) -> bool:
        """Whether the piece itself names a material, or its document's title does and the piece names no other."""
        aliases, forms = self.reading.aliases, self.reading.aliases.forms(name)
        here, title = [one.text for one in names_in(self.whole)], self.document.title
        if any(one in forms or aliases.same(name, one) for one in here) or any(
            _spelled(one, self.whole) for one in forms
        ):
            return True
        about = any(aliases.same(name, one.text) for one in names_in(title)) or any(
            _spelled(one, title) for one in forms
        )
        return (about or len(self.reading.pieces) <= SHORT) and self.material(name) > 0

    def property_fits(self, question: Question) -> bool:
        """Whether the property is the one asked for and no other with its head: not thermal for ionic conductivity."""
        asked = " ".join(question.phrase).lower()
        contrary = lexicon()["contrary"]
        words = f"{self.text} {self.piece.around}".lower()
        unwanted: set[str] = set()
        for qualifier, others in contrary.items():
            plain = (
                qualifier == "plain conductivity" and "conductivity" in asked and not any(q in asked for q in contrary)
            )
            if re.search(rf"\b{qualifier}\b", asked) or plain:
                unwanted |= set(others)
        head = question.phrase[-1].lower() if question.phrase else ""
        if not unwanted or not head:
            return True
        named = re.findall(rf"(\S+)\s+{re.escape(head)}", words)
        return not named or any(word not in unwanted for word in named)

    def tells_by_unit(self, question: Question) -> bool:
        """Whether a quantity's unit alone tells the property: 4.0 mS/cm is a conductivity."""
        known = built_in().get(question.schema)
        if known is None or not known.bare or self.piece.table is not None or len(known.unit) < 3:
            return False
        return any(
            one.unit and one.unit not in ("share", "degC") and factor(one.unit, known.unit) for one in self.quantities
        )

    def _earlier(self, most: int) -> list[str]:
        """The sentences before it in the same section, nearest first."""
        made = []
        for other in reversed(self.reading.pieces[max(0, self.piece.number - most) : self.piece.number]):
            if other.section != self.piece.section or other.table is not None:
                break
            made.append(self.document.quote(other))
        return made


def _is_subject(name: str, reading: Reading) -> bool:
    """Whether a name is a material that sentences are about, not a reagent: three elements or more, or a short name."""
    count = len(elements(name))
    if len(reading.aliases.forms(name) - COMMON_NAMES.keys()) > 1:
        return True
    reagent = re.search(r"CO3|NO3|OH|PO4\)?$|SO4", name) is not None
    return (count >= 3 and not reagent) or (count == 0 and name.isupper() and len(name) >= 4)


def _has_element(text: str, symbol: str) -> bool:
    """Whether an element stands in a text by its symbol alone: ``Sr``, ``Sr2+``, ``Ta-doped``, ``x (Ta)``."""
    if len(symbol) == 1:  # I-V curves hold no iodine
        return re.search(rf"(?<![A-Za-z\d]){symbol}(?:\d?[+-](?!\w)|[- ](?:co-)?(?:dop|subst)|\))", text) is not None
    return re.search(rf"(?<![A-Za-z\d]){symbol}(?:\d?[+-])?(?![A-Za-z\d])", text) is not None


def _spelled(form: str, text: str) -> bool:
    return form.islower() and re.search(rf"\b{re.escape(form)}\b", text, re.I) is not None
