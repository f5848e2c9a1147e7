"""Read a document of any kind: PDF, HTML, XML of a journal (JATS), DOCX, Markdown, plain text."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from sozai.assistant.documents.document import Document
from sozai.errors import UserError

SUFFIXES = (".pdf", ".html", ".htm", ".xhtml", ".xml", ".nxml", ".docx", ".md", ".markdown", ".txt", ".text")
"""Endings of the files that are read."""
LARGEST = 200 * 2**20
"""Greatest file that is read, in bytes."""


def read_document(path: str | os.PathLike[str]) -> Document:
    """Read a document; its kind is seen from what is in it, not only from its name.

    Raises:
        UserError: it is missing, empty, broken, encrypted, of another kind, or holds pictures of text only.
    """
    source = Path(path)
    data = _bytes(source)
    digest, kind = hashlib.sha256(data).hexdigest(), _kind(source, data)
    if kind == "pdf":
        from sozai.assistant.documents.pdf import read_pdf

        document = read_pdf(data, str(source), digest)
    elif kind == "docx":
        from sozai.assistant.documents.word import read_docx

        document = read_docx(data, str(source), digest)
    elif kind in ("html", "xml"):
        from sozai.assistant.documents.markup import read_html, read_xml

        document = (read_html if kind == "html" else read_xml)(data, str(source), digest)
    else:
        from sozai.assistant.documents.plain import read_plain

        document = read_plain(data, str(source), digest, kind == "markdown")
    if not any(letter.isalnum() for letter in document.text):
        raise UserError("no text was found in this document", str(source), "give a file that holds text")
    return document


def _bytes(source: Path) -> bytes:
    if not source.exists():
        raise UserError("there is no such file", str(source))
    if source.is_dir():
        raise UserError("this is a folder, not a document", str(source), "name a file in it")
    try:
        if source.stat().st_size > LARGEST:
            raise UserError(f"the file is larger than {LARGEST >> 20} MiB", str(source), "split it")
        data = source.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({(error.strerror or str(error)).lower()})", str(source)) from error
    if not data.strip():
        raise UserError("the file is empty", str(source))
    return data


def _kind(source: Path, data: bytes) -> str:
    head, suffix = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n"), source.suffix.lower()
    lower = head.lower()
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if head.startswith(b"PK\x03\x04"):
        if b"word/" in data or suffix == ".docx":
            return "docx"
        raise UserError("this is an archive, not a document", str(source), "unpack it first")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise UserError("this is an old Word file (.doc)", str(source), "save it as .docx or PDF")
    if suffix in (".pdf", ".docx"):
        raise UserError(f"the file is broken: it is no {suffix[1:].upper()} inside", str(source), "download it again")
    if lower.startswith((b"<!doctype html", b"<html")) or suffix in (".html", ".htm", ".xhtml"):
        return "html"
    if lower.startswith((b"<?xml", b"<!doctype", b"<article")) or suffix in (".xml", ".nxml"):
        return "html" if b"<html" in lower else "xml"
    if b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError("this is no document that can be read", str(source), f"give one of {', '.join(SUFFIXES)}")
    return "markdown" if suffix in (".md", ".markdown") else "text"
