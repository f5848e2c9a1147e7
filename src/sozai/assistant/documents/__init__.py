"""Documents read into text in which every piece knows its place; a library of them, and search in it."""

from sozai.assistant.documents.document import Document, DocumentTable, Sentence, Span
from sozai.assistant.documents.read import SUFFIXES, read_document

__all__ = ["SUFFIXES", "Document", "DocumentTable", "Sentence", "Span", "read_document"]
