"""One column's cells on their way to values of one kind: numbers in one unit, levels, formulas, dates or text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sozai.errors import UserError
from sozai.materials.tables.cells import SILENT, Decimal, Numbers, numbers_of, texts_of
from sozai.materials.tables.compositions import amounts_of
from sozai.materials.tables.guess import READS_AS_NUMBERS, Guess, dates_of, levels_of, of_numbers, of_texts, scale_of
from sozai.materials.tables.table import NUMBERS, Column, Note
from sozai.materials.tables.units import Heading, believed, convert, unit_of


class ColumnReader:
    """One column's cells on their way to values of one kind."""

    def __init__(self, heading: Heading, cells: Any, rows: Sequence[int], notes: list[Note]):
        self.name, self.unit, self.cells, self.rows, self.notes = heading.name, heading.unit, cells, rows, notes
        self.where = f"column '{heading.name}'"
        self.limits: np.ndarray | None = None

    def read(
        self, kind: str | None, unit: str | None, levels: tuple[str, ...] | None, decimal: tuple[Decimal, bool]
    ) -> tuple[Column, Any]:
        """What the column is, and its values: float64 or text (object)."""
        if kind is not None:
            Column(self.name, kind)  # type: ignore[arg-type]  # raises for what is no kind
        numbers = numbers_of(self.cells, *decimal) if kind is None or kind in NUMBERS else None
        if numbers is not None:
            met: list[Note] = []
            self.unit = settle_units(numbers, self.cells, self.name, self.unit, met)
            guess = self._guess_of(numbers, kind)
            if guess is not None and guess.kind in NUMBERS:
                self._note_numbers(numbers, met)
                values = self._converted(numbers.values, unit)
                self.limits = numbers.limits
                return Column(self.name, guess.kind, self.unit, why=guess.why), values
        else:
            guess = None
        texts = texts_of(self.cells)
        if guess is not None:  # numbers that are names: 167.0 is written so only because other cells are blank
            texts = [None if text is None else re.sub(r"\.0+$", "", text) for text in texts]
        self._note_words(texts)
        if unit and guess is None and kind is None:
            raise UserError("it holds no numbers, so it has no unit", self.where, "leave its unit out")
        if guess is None:
            guess = Guess(kind, (), "said by the person") if kind is not None else of_texts(self.name, texts)  # type: ignore[arg-type]
            if kind is None and numbers is not None and numbers.share >= 0.25:
                count = len(numbers.missing) - int(numbers.missing.sum()) - len(numbers.unread)
                self._note(f"{count} cells are numbers and {len(numbers.unread)} are not: the column is taken as text")
        return self._of_texts(guess, texts, levels)

    def _guess_of(self, numbers: Numbers, kind: str | None) -> Guess | None:
        """The kind of a column of numbers; ``None`` when it is text."""
        if numbers.missing.all():
            if kind is None:
                self._note("it holds no values")
                return Guess("text", (), "it holds no values")
        elif numbers.share < (READS_AS_NUMBERS if kind is None else 1e-9):
            if kind is None:
                return None
            example = self.cells[numbers.unread[0]]
            raise UserError(
                f"none of its values is a number, e.g. '{example!s:.40}'", self.where, f"its kind cannot be {kind}"
            )
        elif kind is None:
            return of_numbers(self.name, self.unit, numbers.values, numbers.points)
        elif kind == "count" and (odd := np.flatnonzero((numbers.values % 1 != 0) & ~np.isnan(numbers.values))).size:
            raise UserError(
                f"{odd.size} of its numbers are not whole, the first in row {self.rows[odd[0]]}",
                self.where,
                "call it continuous",
            )
        return Guess(kind, (), "said by the person")  # type: ignore[arg-type]

    def _note(self, what: str, place: int | None = None) -> None:
        self.notes.append(Note(what, self.name, None if place is None else self.rows[place]))

    def _note_numbers(self, numbers: Numbers, met: list[Note]) -> None:
        self.notes += [Note(note.what, self.name, None if note.row is None else self.rows[note.row]) for note in met]
        for place in numbers.unread:
            self._note(f"'{self.cells[place]!s:.60}' cannot be read as a number: missing", place)
        for place, remark in numbers.remarks.items():
            self._note(remark, place)
        for word, count in numbers.words.items():
            self._note(f"'{word}' is taken as missing ({count} cells)")
        if numbers.limits is not None:
            below, above = int((numbers.limits < 0).sum()), int((numbers.limits > 0).sum())
            self._note(
                f"{below + above} cells are inequalities ({below} upper, {above} lower limits): their limits are kept"
            )

    def _note_words(self, texts: list[str | None]) -> None:
        raw = (
            cell.strip() for cell, text in zip(self.cells, texts, strict=True) if text is None and cell.__class__ is str
        )
        for word, count in Counter(word for word in raw if word.casefold() not in SILENT).items():
            self._note(f"'{word}' is taken as missing ({count} cells)")

    def _converted(self, values: np.ndarray, wanted: str | None) -> np.ndarray:
        if not wanted:
            return values
        unit = unit_of(wanted, self.name)
        if self.unit and unit != self.unit:
            values = convert(values, self.unit, unit, self.name)
            self._note(f"converted from {self.unit} to {unit}")
        self.unit = unit
        return values

    def _of_texts(self, guess: Guess, texts: list[str | None], levels: tuple[str, ...] | None) -> tuple[Column, Any]:
        kind, own = guess.kind, guess.levels
        if kind == "formula":
            self._drop(
                texts, [place for place, text in enumerate(texts) if text and amounts_of(text) is None], "a formula"
            )
        elif kind == "date":
            before = list(texts)
            texts, unread, remark = dates_of(texts)
            self._drop(before, unread, "a date")
            if remark:
                self._note(remark)
        elif kind in ("category", "ordinal"):
            if levels is not None:
                allowed = set(levels)
                outside = [place for place, text in enumerate(texts) if text is not None and text not in allowed]
                self._drop(texts, outside, f"one of {', '.join(levels)[:80]}")
                own = levels
            elif not own:
                present = sorted({text for text in texts if text is not None})
                own = levels_of(present) if kind == "category" else self._order(present)
        column = Column(self.name, kind, "", own, why=guess.why)
        values = np.empty(len(texts), dtype=object)
        values[:] = texts
        return column, values

    def _drop(self, texts: list[str | None], places: Sequence[int], what: str) -> None:
        present = sum(text is not None for text in texts)
        if places and len(places) == present:
            raise UserError(f"none of its values is {what}, e.g. '{texts[places[0]]!s:.40}'", self.where)
        for place in places:
            self._note(f"'{texts[place]!s:.60}' cannot be read as {what}: missing", place)
            texts[place] = None

    def _order(self, present: list[str]) -> tuple[str, ...]:
        try:
            return tuple(sorted(present, key=float))
        except ValueError:
            order = scale_of(present)
        if not order:
            raise UserError(
                f"the order of its levels is not known ({', '.join(present)[:80]})",
                self.where,
                "give it in a schema: levels: [low, medium, high]",
            )
        return order


def settle_units(numbers: Numbers, cells: Any, name: str, unit: str, met: list[Note]) -> str:
    """Bring the units written in cells to one, and return it; cells whose unit does not fit become unread."""
    if not numbers.units:
        return unit
    known = {text: believed(text, name or "") for text in set(numbers.units.values())}
    code = _codes(cells, numbers.units)
    usual = Counter(known[text] for text in numbers.units.values() if known[text] and text not in code)
    present = int((~numbers.missing).sum())
    common = unit or (usual.most_common(1)[0][0] if usual and usual.total() >= present / 2 else "")
    for place, text in numbers.units.items():
        own = known[text] if text not in code else ""
        if own and common and own != common:
            try:
                numbers.values[place] = convert(numbers.values[place], own, common, name)
                met.append(Note(f"'{cells[place]!s:.40}' is converted to {common}", row=place))
                continue
            except UserError:
                own = ""
        if not own or not common:
            numbers.values[place] = np.nan
            numbers.unread.append(place)
            numbers.remarks.pop(place, None)
            if numbers.limits is not None:
                numbers.limits[place] = 0
    bare = present - len(numbers.units) - len(set(numbers.unread) - set(numbers.units))
    if common and not unit and bare > 0:
        met.append(Note(f"{bare} cells without a unit are taken to be in {common} like the others"))
    numbers.unread.sort()
    return common


def _codes(cells: Any, units: Mapping[int, str]) -> set[str]:
    """Single letters stuck to their numbers (``304L``, ``12A``) that are more likely part of a code than a unit."""
    stuck = {
        text
        for place, text in units.items()
        if len(text) == 1 and text.isascii() and text.isalpha() and not str(cells[place]).strip()[:-1].endswith(" ")
    }
    return stuck if len(set(units.values())) > 1 or not stuck <= set("KgshmVWNJ") else set()
