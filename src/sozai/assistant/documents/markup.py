"""HTML pages, and XML articles of journals (JATS, and Elsevier's names for the same things)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sozai.assistant.documents.assemble import Assembler, Cell, tidy
from sozai.assistant.documents.document import Document
from sozai.assistant.documents.outline import word_set as _words
from sozai.assistant.documents.raised import raised
from sozai.errors import UserError

_SKIPPED_HTML = _words(
    "script style noscript template nav header footer aside form button select option iframe svg canvas object "
    "embed input textarea dialog menu head audio video"
)
_SKIPPED_XML = _words(
    "back-matter journal-meta permissions license history contrib-group aff author-notes custom-meta-group "
    "funding-group self-uri counts kwd-group object-id graphic media related-article article-categories "
    "tex-math processing-meta"
)
_CHROME = re.compile(
    r"\b(nav(bar|igation)?|menu|sidebar|cookie|banner|breadcrumbs?|advert(isement)?|share|social)\b", re.I
)
_HEADINGS = {f"h{level}" for level in range(1, 7)}
_BLOCKS = (
    _words(
        "p div section article main ul ol li dl dt dd blockquote pre table figure figcaption body html center "
        "fieldset sec para title abstract body back caption list list-item disp-quote boxed-text fig table-wrap "
        "front article-meta title-group article-title section-title disp-formula def-list statement ref-list ref "
        "app app-group fn fn-group ack"
    )
    | _HEADINGS
)
_PARAGRAPHS = _words("p para li dt dd blockquote pre figcaption disp-quote disp-formula td")


def read_html(data: bytes, source: str, digest: str) -> Document:
    """The document in an HTML page: the main part of it, without navigation and scripts."""
    from lxml import etree, html

    try:
        root = html.document_fromstring(data, parser=html.HTMLParser(encoding=_encoding(data), remove_comments=True))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise UserError(f"this is no HTML that can be read ({tidy(str(error))})", source) from error
    facts = _meta(root)
    main = next(
        (
            found
            for path in (".//main", ".//article", ".//*[@role='main']", ".//body")
            if (found := _one(root, path)) is not None
        ),
        root,
    )
    reader = _Reader(_SKIPPED_HTML)
    reader.block(main)
    if reader.made.empty and main is not root:
        reader = _Reader(_SKIPPED_HTML)
        reader.block(root)
    first = _one(root, ".//h1")
    title = facts.get("title") or (inline(first) if first is not None else "") or tidy(root.findtext(".//title") or "")
    return reader.made.finish(source, title or Path(source).stem, digest, facts)


def read_xml(data: bytes, source: str, digest: str) -> Document:
    """The document in an XML article; entities are not followed and nothing is fetched."""
    from lxml import etree

    options: dict[str, Any] = {
        "resolve_entities": False,
        "no_network": True,
        "load_dtd": False,
        "remove_comments": True,
    }
    notes = []
    try:
        root = etree.fromstring(data, etree.XMLParser(**options))
    except etree.XMLSyntaxError as error:
        root = etree.fromstring(data, etree.XMLParser(**options, recover=True))
        if root is None or not "".join(root.itertext()).strip():
            raise UserError(
                f"this is no XML that can be read ({tidy(str(error))})", source, "download it again"
            ) from error
        notes.append(f"The XML is broken ({tidy(str(error))}): what could be read of it was.")
    reader = _Reader(_SKIPPED_XML)
    facts: dict[str, Any] = {}
    titles = _all(root, "article-title") or _all(root, "title")
    title = inline(titles[0]) if titles else ""
    for key, name in (("doi", "article-id"), ("year", "year"), ("journal", "journal-title")):
        for node in _all(root, name):
            if name != "article-id" or node.get("pub-id-type") == "doi":
                facts.setdefault(key, inline(node))
    authors = [
        " ".join(filter(None, (_text(node, "given-names"), _text(node, "surname")))) for node in _all(root, "contrib")
    ]
    facts |= {"authors": authors} if any(authors) else {}
    reader.block(root)
    return reader.made.finish(source, title or Path(source).stem, digest, facts, notes)


class _Reader:
    """Walks the tree: blocks become paragraphs, headings and tables."""

    def __init__(self, skipped: frozenset[str]):
        self.made = Assembler()
        self._skipped = skipped
        self._loose: list[Any] = []  # text that stands in a block beside other blocks

    def block(self, node: Any) -> None:
        """Read a block and all that is in it, in order."""
        name = local(node)
        if name in self._skipped or _is_chrome(node):
            return
        if name in ("table-wrap", "table"):
            self._table(node)
        elif name in _HEADINGS or name in ("title", "article-title", "section-title"):
            self.made.heading(inline(node))
        elif name in _PARAGRAPHS and not any(local(child) in _BLOCKS for child in node.iterdescendants("*")):
            self.made.paragraph(inline(node))
        elif name == "ref":
            self.made.paragraph(" ".join(inline(node).split()))
        elif name == "ref-list" or name == "ack":
            if not any(local(child) == "title" for child in node):
                self.made.heading("References" if name == "ref-list" else "Acknowledgements")
            self._children(node)
        elif name == "abstract" and not any(local(child) == "title" for child in node):
            self.made.heading("Abstract")
            self._children(node)
        else:
            self._children(node)

    def _children(self, node: Any) -> None:
        loose = node.text or ""
        for child in node.iterchildren("*"):
            if local(child) in _BLOCKS or any(local(inner) in _BLOCKS for inner in child.iterdescendants("*")):
                self.made.paragraph(loose)
                self.block(child)
                loose = ""
            elif local(child) == "br":
                loose += " "
            elif local(child) not in self._skipped and not _is_chrome(child):
                if local(node) in ("front", "article-meta", "article"):  # facts such as volume and page are no prose
                    continue
                loose += _inline_piece(child, loose)
            loose += child.tail or ""
        self.made.paragraph(loose)

    def _table(self, node: Any) -> None:
        table = node if local(node) == "table" else next(iter(_all(node, "table")), None)
        if table is None:
            for caption in _all(node, "caption"):
                self.made.paragraph(inline(caption))
            return
        if local(node) == "table":
            captions = [child for child in node if local(child) == "caption"]
            rows_of = list(_rows(table))
            nested = any(local(inner) == "table" for inner in table.iterdescendants("*"))
            if nested or len(rows_of) < 2 or table.get("role") == "presentation":  # a page's layout, not data
                self._children(table)
                return
        else:
            captions = [child for child in node if local(child) in ("label", "caption")]
        rows, head = [], 0
        for row in _rows(table):
            cells = [cell for cell in row if local(cell) in ("td", "th", "entry")]
            rows.append([Cell(inline(cell), _count(cell, "colspan"), _count(cell, "rowspan")) for cell in cells])
            in_head = local(row.getparent()) == "thead" or all(local(cell) == "th" for cell in cells)
            head += in_head and head == len(rows) - 1
        self.made.table(" ".join(inline(caption) for caption in captions), rows, max(head, 1))
        for foot in _all(node, "table-wrap-foot"):
            self.made.paragraph(inline(foot))


def local(node: Any) -> str:
    """Name of a node without its namespace; empty for comments and the like."""
    return node.tag.rpartition("}")[2].lower() if isinstance(node.tag, str) else ""


def inline(node: Any) -> str:
    """Text of a node and all within it, raised and lowered text written so that it can be read."""
    return tidy(_inline(node, ""))


def _inline(node: Any, before: str) -> str:
    text = node.text or ""
    for child in node:
        piece = _inline_piece(child, before + text) if isinstance(child.tag, str) else ""
        text += piece + (child.tail or "")
    return text


def _inline_piece(node: Any, before: str) -> str:
    name = local(node)
    if name in _SKIPPED_HTML or name == "tex-math" or (name == "annotation"):
        return ""
    if name in ("sup", "superscript"):
        linked = name == "sup" and any(local(inner) in ("a", "xref", "cross-ref") for inner in node.iter("*"))
        return raised(before.rstrip(), _inline(node, ""), linked or _in_reference(node))
    if name in ("sub", "inf", "subscript"):
        return tidy(_inline(node, ""))
    if name in ("msup", "msub", "msubsup") and len(node) >= 2:
        base, last = _inline_piece(node[0], before), tidy(_inline_piece(node[-1], ""))
        return base + (last if name == "msub" else raised(before + base, last) or "^" + last)
    if name == "mfrac" and len(node) == 2:
        return f"({_inline_piece(node[0], '')})/({_inline_piece(node[1], '')})"
    if name == "br":
        return " "
    blank = (
        " " if name in _BLOCKS or name in ("td", "th", "label", "mixed-citation", "surname", "source", "year") else ""
    )
    return blank + _inline(node, before) + blank


def _in_reference(node: Any) -> bool:
    parent = node.getparent()
    return parent is not None and local(parent) in ("a", "xref") and bool(parent.get("rid") or parent.get("href"))


def _is_chrome(node: Any) -> bool:
    words = f"{node.get('class') or ''} {node.get('id') or ''}".replace("-", " ").replace("_", " ")
    hidden = (
        node.get("aria-hidden") == "true"
        or node.get("hidden") is not None
        or "display:none" in (node.get("style") or "").replace(" ", "")
    )
    return local(node) not in ("body", "main", "article") and (
        hidden or node.get("role") in ("navigation", "banner", "search", "complementary") or bool(_CHROME.search(words))
    )


def _rows(table: Any) -> Iterator[Any]:
    for row in table.iter("*"):
        if local(row) in ("tr", "row"):
            yield row


def _count(cell: Any, name: str) -> int:
    text = cell.get(name) or "1"
    return min(max(int(text), 1), 100) if text.isdecimal() else 1


def _all(root: Any, name: str) -> list[Any]:
    return [node for node in root.iter("*") if local(node) == name]


def _one(root: Any, path: str) -> Any:
    found = root.findall(path)
    return max(found, key=lambda node: len("".join(node.itertext()))) if found else None


def _text(node: Any, name: str) -> str:
    return next((inline(inner) for inner in node.iter("*") if local(inner) == name), "")


def _meta(root: Any) -> dict[str, Any]:
    names = {"citation_title": "title", "citation_doi": "doi", "citation_journal_title": "journal",
             "dc.identifier": "doi", "citation_publication_date": "year", "citation_date": "year"}  # fmt: skip
    facts: dict[str, Any] = {}
    for node in root.iter("meta"):
        key, content = (node.get("name") or "").lower(), tidy(node.get("content") or "")
        if content and key == "citation_author":
            facts.setdefault("authors", []).append(content)
        elif content and key in names:
            facts.setdefault(names[key], content[:4] if names[key] == "year" else content)
    return facts


def _encoding(data: bytes) -> str | None:
    if found := re.search(rb"charset=[\"']?([\w-]+)", data[:2048], re.I):
        return found.group(1).decode("ascii")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"
