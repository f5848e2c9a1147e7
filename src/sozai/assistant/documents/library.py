"""A library of a person's documents and tables: a folder that is added to, listed and searched.

``library.json`` lists what is in it; ``documents/`` holds the text of each under its hash; ``search/`` what can be
made again from these. Every file is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sozai.assistant.documents.document import Document, DocumentTable, Sentence, Span
from sozai.assistant.documents.read import SUFFIXES, read_document
from sozai.assistant.documents.tables import TABLE_SUFFIXES, read_table_document
from sozai.errors import UserError
from sozai.files import output_folder, sha256, write_json

DEFAULT = "library"
VERSION = 1
_LIST = "library.json"
OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Entry:
    """A document of the library.

    Attributes:
        hash: SHA-256 of the file as it was added.
        source: where the file was.
        title: of the document.
        kind: ``"document"`` or ``"table"``.
        added: when (UTC, ISO).
        sentences, tables: how many were read.
        facts: what the file tells of itself.
        notes: what could not be read.
    """

    hash: str
    source: str
    title: str
    kind: str
    added: str
    sentences: int
    tables: int
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.source).name


@dataclass(frozen=True)
class Added:
    """What ``Library.add`` did, by file: new, changed, there already, and refused with the reason."""

    new: list[str]
    changed: list[str]
    same: list[str]
    refused: list[tuple[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


class Library:
    """The library in a folder.

    Args:
        folder: made when something is added to it.
        must_exist: refuse a folder without a library.

    Raises:
        UserError: there is no library, or its list is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str] = DEFAULT, must_exist: bool = False):
        self.folder = Path(folder)
        if must_exist and not (self.folder / _LIST).exists():
            raise UserError(
                "there is no library in this folder", str(folder), "make one with: sozai library add FOLDER_OF_PAPERS"
            )
        self.entries: list[Entry] = self._read_list()
        self._documents: dict[str, Document] = {}

    def add(self, paths: Iterable[str | os.PathLike[str]], on_progress: OnProgress | None = None) -> Added:
        """Read files, and all documents and tables in folders, into the library; what is known is not read again.

        A file that cannot be read is refused with its reason and the others go on; the list is written after each
        file, so that an interruption loses nothing.

        Raises:
            UserError: a path does not exist, or the library cannot be written.
        """
        files = list(dict.fromkeys(file for path in paths for file in self._files(Path(path))))
        output_folder(self.folder / "documents")
        done = Added([], [], [], [])
        for number, file in enumerate(files):
            if on_progress is not None:
                on_progress(number, len(files), file.name)
            self._add_one(file, done)
        if on_progress is not None:
            on_progress(len(files), len(files), "")
        return done

    def _add_one(self, file: Path, done: Added) -> None:
        source = str(file.resolve())
        try:
            digest = sha256(file)
            known = next((entry for entry in self.entries if entry.hash == digest), None)
            if known is not None and self._stored(digest).exists():
                done.same.append(str(file))
                return
            is_table = file.suffix.lower() in TABLE_SUFFIXES
            document = read_table_document(file) if is_table else read_document(file)
        except UserError as error:
            done.refused.append((str(file), error.sentence()))
            return
        write_json(self._stored(digest), _to_dict(document))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        entry = Entry(
            digest, source, document.title, "table" if is_table else "document", now, len(document.sentences),
            len(document.tables), dict(document.facts), list(document.notes),
        )  # fmt: skip
        older = [other for other in self.entries if other.source == source or other.hash == digest]
        self.entries = [other for other in self.entries if other not in older] + [entry]
        self._write_list()
        for other in older:
            if other.hash != digest:
                self._stored(other.hash).unlink(missing_ok=True)
        (done.changed if older else done.new).append(str(file))

    def remove(self, names: Sequence[str]) -> list[Entry]:
        """Take documents out, by file name, path, or the first letters of their hash; the files are left alone.

        Raises:
            UserError: a name fits no document, or fits several.
        """
        gone: list[Entry] = []
        for name in names:
            fits = [
                entry
                for entry in self.entries
                if name in (entry.name, entry.source) or str(Path(name).resolve()) == entry.source
            ]
            fits = fits or [entry for entry in self.entries if len(name) >= 6 and entry.hash.startswith(name.lower())]
            if len(fits) != 1:
                what = "several documents have this name" if fits else "no document of the library has this name"
                raise UserError(what, name, "'sozai library list' shows names and hashes; a hash says which")
            gone += fits
        self.entries = [entry for entry in self.entries if entry not in gone]
        self._write_list()
        for entry in gone:
            self._stored(entry.hash).unlink(missing_ok=True)
        return gone

    def document(self, entry: Entry) -> Document:
        """The text of an entry.

        Raises:
            UserError: its file in the library is missing or damaged.
        """
        if entry.hash not in self._documents:
            try:
                self._documents[entry.hash] = _from_dict(json.loads(self._stored(entry.hash).read_text("utf-8")))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UserError(
                    "its text in the library is missing or damaged", entry.source, "remove it and add it again"
                ) from error
        return self._documents[entry.hash]

    @property
    def state(self) -> str:
        """A text that changes whenever what is in the library does."""

        return hashlib.sha256("\n".join([str(VERSION), *(entry.hash for entry in self.entries)]).encode()).hexdigest()[
            :16
        ]

    def _stored(self, digest: str) -> Path:
        return self.folder / "documents" / f"{digest}.json"

    def _files(self, path: Path) -> list[Path]:
        if not path.exists():
            raise UserError("there is no such file or folder", str(path))
        if path.is_file():
            return [path]
        known = (*SUFFIXES, *TABLE_SUFFIXES)
        inside = self.folder.resolve()
        return sorted(
            file
            for file in path.rglob("*")
            if file.is_file()
            and file.suffix.lower() in known
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
            and inside not in file.resolve().parents
        )

    def _read_list(self) -> list[Entry]:
        path = self.folder / _LIST
        if not path.exists():
            return []
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["version"] > VERSION:
                raise UserError("this library was written by a newer sozai", str(path), "update sozai")
            return [Entry(**entry) for entry in content["documents"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                "the list of the library is damaged", str(path), "delete it and add the documents again"
            ) from error

    def _write_list(self) -> None:
        write_json(self.folder / _LIST, {"version": VERSION, "documents": [asdict(entry) for entry in self.entries]})


def _to_dict(document: Document) -> dict[str, Any]:
    return {
        "source": document.source, "title": document.title, "text": document.text, "hash": document.hash,
        "facts": document.facts, "notes": list(document.notes), "pages": list(document.pages),
        "sentences": [[sentence.start, sentence.end, sentence.section] for sentence in document.sentences],
        "tables": [
            {"caption": table.caption, "header_rows": table.header_rows,
             "cells": [[[cell.start, cell.end] if cell else None for cell in row] for row in table.cells]}
            for table in document.tables
        ],
    }  # fmt: skip


def _from_dict(made: dict[str, Any]) -> Document:
    tables = tuple(
        DocumentTable(
            table["caption"],
            tuple(tuple(Span(*cell) if cell else None for cell in row) for row in table["cells"]),
            table["header_rows"],
        )
        for table in made["tables"]
    )
    sentences = tuple(Sentence(start, end, section) for start, end, section in made["sentences"])
    return Document(
        made["source"], made["title"], made["text"], sentences, tables, tuple(made["pages"]), made["hash"],
        made["facts"], tuple(made["notes"]),
    )  # fmt: skip
