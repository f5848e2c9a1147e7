"""What the tables of a library show: how the asked property moves with one column, from rows that can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from sozai.assistant.answers.evidence import Citation, Effect, cite
from sozai.assistant.answers.finding import Shelf
from sozai.assistant.answers.question import Question
from sozai.assistant.answers.values import amount_in, number_in, same_unit, unit_of_head
from sozai.assistant.answers.view import Column, Reading, View
from sozai.assistant.documents.document import Document, Span
from sozai.assistant.documents.words import tokens


@dataclass(frozen=True)
class Row:
    """A row with numbers for the property and the factors."""

    view: View
    value: float
    written: str
    factors: dict[str, float]
    texts: dict[str, str]


@dataclass(frozen=True)
class Trend:
    """How a property moves with one column of a table.

    Attributes:
        document: whose table.
        factor, prop: headings of the columns.
        direction: +1 when the largest factor has a greater value than the least, else -1.
        best_inside: the best value lies between the ends of the factor.
        low, best: rows of the least factor and of the best value.
        tried: values of the factor, as written.
        own: it is a table of the person's own.
        how: which rows were compared.
    """

    document: Document
    factor: str
    prop: str
    direction: int
    best_inside: bool
    low: Row
    best: Row
    tried: tuple[str, ...]
    own: bool
    how: str

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The two rows, and the headings above them."""
        rows = [cite(self.document, row.view.piece) for row in (self.low, self.best)]
        table = self.best.view.piece.table
        heads = [cell for row in table.cells[: table.header_rows] for cell in row if cell] if table else []
        return (*rows, *([cite(self.document, Span(heads[0].start, heads[-1].end))] if heads else []))

    @property
    def told(self) -> str:
        """In words."""
        return f"{self.factor} from {self.low.texts[self.factor]} to {self.best.texts[self.factor]}"

    def effect(self, goal: int) -> Effect:
        """As an effect, cited by the row of the best value."""
        factor = self.best.value / self.low.value if self.low.value > 0 and self.best.value > 0 else None
        low, best, *heads = self.citations
        return Effect(goal, self.low.written, self.best.written, factor, best, (low, *heads))


def trends(question: Question, shelf: Shelf) -> list[Trend]:
    """Trends of the asked property toward the goal in all tables about the asked material."""
    made = []
    for reading in shelf.readings:
        for number, table in enumerate(reading.document.tables):
            rows = [View(reading, piece) for piece in reading.pieces if piece.table is table]
            if len(rows) >= 3 and _about(reading, rows[0], question):
                made += _of_table(reading, rows, question, number)
    return made


def property_column(columns: list[Column], question: Question) -> Column | None:
    """The column whose heading names the asked property; of several the one with the fewest other words."""
    strong = [term for term in question.terms if term.strong and not term.element]
    fits = []
    for column in columns:
        head = frozenset(word.lower() for word in tokens(column.head.replace("_", " ")))
        if strong and all(term.stems & head for term in strong):
            unit = unit_of_head(column.head)
            if (
                unit is None
                or not question.unit
                or same_unit(unit, question.unit)
                or amount_in(1.0, unit, question.unit)
            ):
                fits.append((len(head), column))
    return min(fits, key=lambda item: item[0])[1] if fits else None


def _about(reading: Reading, view: View, question: Question) -> bool:
    own = reading.document.facts.get("kind") == "table"
    for name in question.materials:
        named = any(form.lower() in reading.document.title.lower() for form in reading.aliases.forms(name))
        if not (view.material(name) or (own and named)):
            return False
    others = [term for term in question.terms if not term.strong]
    return all(view.cover(term) or (own and term.stems & reading.title_stems) for term in others)


def _of_table(reading: Reading, views: list[View], question: Question, number: int) -> list[Trend]:
    columns = views[0].columns
    prop = property_column(columns, question)
    if prop is None:
        return []
    own = reading.document.facts.get("kind") == "table"
    rows = [row for view in views if (row := _row(view, prop.head)) is not None]
    if len(rows) < 3:
        return []
    heads = [
        column.head
        for column in columns
        if column.head != prop.head and all(column.head in row.factors for row in rows)
    ]
    factors = heads if own else heads[:1]  # of a paper's table the first column was set, the others were measured
    made = []
    for factor in factors:
        trend = _trend(reading, rows, factor, prop.head, question.goal, own, [head for head in heads if head != factor])
        if trend is not None:
            made.append(trend)
    return made


def _row(view: View, prop: str) -> Row | None:
    numbers, texts = {}, {}
    for column in view.columns:
        value = number_in(column.text)
        if value is not None:
            numbers[column.head], texts[column.head] = value, column.text
    if prop not in numbers:
        return None
    value = numbers.pop(prop)
    unit = prop[prop.index("(") + 1 : -1] if prop.endswith(")") and "(" in prop else ""
    return Row(view, value, f"{texts[prop]} {unit}".strip(), numbers, texts)


def _trend(
    reading: Reading, rows: list[Row], factor: str, prop: str, goal: int, own: bool, others: list[str]
) -> Trend | None:
    """The trend with one factor; in a person's own table only rows that agree in all other factors are compared."""
    if not own:
        groups = [rows]
    else:
        same: dict[tuple[float, ...], list[Row]] = {}
        for row in rows:
            same.setdefault(tuple(row.factors[head] for head in others), []).append(row)
        groups = [group for group in same.values() if len({row.factors[factor] for row in group}) >= 2]
    if not groups:
        return None
    group = max(groups, key=lambda rows: len({row.factors[factor] for row in rows}))
    ordered = sorted(group, key=lambda row: row.factors[factor])
    best = max(ordered, key=lambda row: goal * row.value)
    low = ordered[0] if best is not ordered[0] else ordered[-1]
    if best.factors[factor] == low.factors[factor] or goal * (best.value - low.value) <= 0:
        return None
    inside = best is not ordered[0] and best is not ordered[-1]
    direction = 1 if ordered[-1].value > ordered[0].value else -1
    tried = tuple(dict.fromkeys(row.texts[factor] for row in ordered))
    how = f"{len(ordered)} rows that differ in this column only" if own else f"{len(ordered)} rows of one table"
    return Trend(reading.document, factor, prop, direction if inside else goal, inside, low, best, tried, own, how)
