"""A person's choices among candidates, kept with their reasons, one line of JSON each."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from sozai.errors import UserError
from sozai.materials.wyckoff import Gene

FILE_NAME = "choices.jsonl"


@dataclass(frozen=True)
class Choice:
    """One candidate was preferred to another.

    Attributes:
        better, worse: genes as text (``"225 Cl@a Na@b"``).
        formulas: of both.
        why: the person's words; they are kept and shown, not learned from.
        run: folder of the run they were in, with their ids there.
        when: seconds since 1970.
    """

    better: str
    worse: str
    formulas: tuple[str, str]
    why: str = ""
    run: str = ""
    when: float = 0.0

    @property
    def pair(self) -> tuple[Gene, Gene]:
        """As genes."""
        return read_gene(self.better), read_gene(self.worse)


def read_gene(text: str) -> Gene:
    """A gene as ``str(gene)`` writes it.

    Raises:
        ValueError: it is none.
    """
    number, *sites = text.split()
    pairs = [tuple(site.split("@")) for site in sites]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"'{text}' is no gene")
    gene = Gene(int(number), tuple(sorted((element, letter) for element, letter in pairs)))
    if fault := gene.fault():
        raise ValueError(fault)
    return gene


def candidates(run: Path | str) -> dict[str, dict[str, Any]]:
    """The candidates of a run of ``sozai design`` or ``sozai screen``, by id.

    Raises:
        UserError: the folder holds no such run.
    """
    path = Path(run) / "result.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        return {record["id"]: record for record in result["candidates"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "there are no candidates to choose among", str(path), "name the folder of a 'sozai design' of crystals"
        ) from error


def choose(run: Path | str, order: Sequence[str], why: str = "") -> list[Choice]:
    """Choices from candidates named best first: each is better than the next.

    Raises:
        UserError: fewer than two, one twice, an id that the run does not have, or a crystal without symmetry to learn.
    """
    known = candidates(run)
    if len(order) < 2:
        raise UserError("one candidate alone is no choice", "--order", "name two or more, best first: ID,ID")
    for name in order:
        if name not in known:
            listed = ", ".join(list(known)[:8])
            raise UserError(f"there is no candidate '{name}'", str(run), f"it has {listed}")
        if order.count(name) > 1:
            raise UserError(f"'{name}' is named twice", "--order", "name each candidate once")
    genes = {name: _gene(known[name], run) for name in order}
    now = time.time()
    found = []
    for better, worse in pairwise(order):
        if genes[better].canonical == genes[worse].canonical:
            raise UserError(
                f"'{better}' and '{worse}' are the same arrangement of atoms", "--order", "leave one of them out"
            )
        formulas = (str(known[better]["formula"]), str(known[worse]["formula"]))
        place = f"{os.fspath(run)}: {better} over {worse}"
        found.append(Choice(str(genes[better]), str(genes[worse]), formulas, why, place, now))
    return found


def remember(path: Path | str, choices: Sequence[Choice]) -> None:
    """Add choices to a file; it is made when missing."""
    try:
        with open(path, "a", encoding="utf-8") as stream:
            for choice in choices:
                stream.write(json.dumps(asdict(choice), ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError("cannot be written", str(path), "name a file in a folder you may write in") from error


def recall(path: Path | str) -> list[Choice]:
    """The choices in a file.

    Raises:
        UserError: it is missing, or a line in it is no choice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError("there are no choices", str(path), "make some with 'sozai prefer choose RUN'") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            choice = Choice(**{**entry, "formulas": tuple(entry["formulas"])})
            _ = choice.pair
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"this is no choice ({error})", f"{path}, line {number}", "take the line out") from error
        found.append(choice)
    return found


def _gene(record: dict[str, Any], run: Path | str) -> Gene:
    """What was drawn, where the run tells; else by the symmetry of the structure."""
    from pymatgen.core import Structure

    from sozai.materials.wyckoff import WyckoffCrystal, WyckoffError

    try:
        if text := record["provenance"].get("gene"):
            return read_gene(text)
        return WyckoffCrystal.from_structure(Structure.from_dict(record["structure"])).gene
    except (WyckoffError, ValueError, KeyError) as error:
        raise UserError(
            f"'{record['id']}' cannot be written as atoms on Wyckoff positions ({error})", str(run), "choose another"
        ) from error
