"""A small transformer that reads whose a value is, and at what temperature it was measured.

The value stands between marks in its text; the materials that it may belong to are listed before it. MiniLM (W. Wang et
al., MiniLM: Deep Self-Attention Distillation, NeurIPS 2020; as trained further for sentences by sentence-transformers)
gives each word a vector; small heads weigh every material by the vectors of its name, of where it stands and of the
value, every temperature likewise, and the answer "none of them".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sozai.assistant.extraction.questions import Question

LOWER = 2
"""Layers of MiniLM that are left as they are, its embeddings besides; the others are ours."""
LONGEST = 384
"""Tokens of a question; of a longer one the text's beginning is left out."""
_NAME = 60
"""Characters of a material's name that are listed."""
_CLS, _SEP = 101, 102
_OPEN, _CLOSE = "« ", " »"


@dataclass(frozen=True)
class Encoded:
    """A question in tokens, and the tokens of everything in it that is weighed.

    Attributes:
        ids: tokens; ``kinds``: 0 in the list of materials, 1 in the text.
        value: its tokens.
        names: of each material, in the list; ``places``: in the text, perhaps none.
        heats: of each temperature; ``None`` where none is asked for.
    """

    ids: list[int]
    kinds: list[int]
    value: list[int]
    names: list[list[int]]
    places: list[list[int]]
    heats: list[list[int]] | None


def encode(question: Question, tokenizer: Any) -> Encoded:
    """A question as the network reads it.

    Args:
        question: to be read.
        tokenizer: MiniLM's (``tokenizers.Tokenizer``), without padding or truncation.
    """
    listed = f"{question.property} :"
    spans = []
    for offer in question.materials:
        name = offer.name[:_NAME]
        spans.append((len(listed) + 1, len(listed) + 1 + len(name)))
        listed += f" {name} ;"
    first, last = question.value
    text = question.text[:first] + _OPEN + question.text[first:last] + _CLOSE + question.text[last:]
    head = tokenizer.encode(listed, add_special_tokens=False)
    body = tokenizer.encode(text, add_special_tokens=False)
    cut = max(0, len(head.ids) + len(body.ids) + 3 - LONGEST)
    behind = len(head.ids) + 2

    def tokens(low: int, high: int) -> list[int]:
        offsets = body.offsets[cut:]
        return [behind + n for n, (start, end) in enumerate(offsets) if end > low and start < high]

    def moved(place: tuple[int, int]) -> list[int]:
        by = 0 if place[0] < first else len(_OPEN) + len(_CLOSE)
        return tokens(place[0] + by, place[1] + by)

    def all_of(places: Sequence[tuple[int, int]]) -> list[int]:
        return sorted({token for place in places for token in moved(place)})

    return Encoded(
        [_CLS, *head.ids, _SEP, *body.ids[cut:], _SEP],
        [0] * behind + [1] * (len(body.ids) - cut + 1),
        tokens(first + len(_OPEN), last + len(_OPEN)),
        [[1 + n for n, (start, end) in enumerate(head.offsets) if end > a and start < b] for a, b in spans],
        [all_of(offer.places) for offer in question.materials],
        None if question.heats is None else [all_of(offer.places) for offer in question.heats],
    )


class ReaderNetwork(nn.Module):
    """The upper layers of MiniLM and the heads.

    Args:
        encoder: MiniLM (``transformers.BertModel`` without its pooler); its lower part is not one of the parameters.
        dropout: of the heads.
    """

    def __init__(self, encoder: Any, dropout: float = 0.1):
        super().__init__()
        width = encoder.config.hidden_size
        self._lower = [encoder.embeddings, *encoder.encoder.layer[:LOWER]]  # a list, so that it is not saved or trained
        self.freeze()
        self.upper = nn.ModuleList(encoder.encoder.layer[LOWER:])
        self.material = _head(5 * width, 128, dropout)
        self.no_material = _head(2 * width, 64, dropout)
        self.heat = _head(3 * width, 96, dropout)
        self.no_heat = _head(2 * width, 64, dropout)
        self.value = _head(2 * width, 64, dropout)
        self.nowhere = nn.Parameter(torch.zeros(width))

    def freeze(self) -> None:
        """Leave the lower part as it is, without dropout."""
        for part in self._lower:
            part.requires_grad_(False).eval()

    @torch.no_grad()
    def lower(self, batch: Sequence[Encoded]) -> tuple[Tensor, Tensor]:
        """Vectors of the tokens (questions, tokens, width) after the part that is not trained, and their mask."""
        longest = max(len(one.ids) for one in batch)
        device = self.nowhere.device
        ids = torch.zeros(len(batch), longest, dtype=torch.long, device=device)
        kinds, there = torch.zeros_like(ids), torch.zeros(ids.shape, dtype=torch.bool, device=device)
        for row, one in enumerate(batch):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
            kinds[row, : len(one.ids)] = torch.tensor(one.kinds)
            there[row, : len(one.ids)] = True
        vectors = self._lower[0](input_ids=ids, token_type_ids=kinds)
        mask = _attention(there)
        for layer in self._lower[1:]:
            vectors = _first(layer(vectors, attention_mask=mask))
        return vectors, there

    def forward(
        self, batch: Sequence[Encoded], vectors: Tensor, there: Tensor
    ) -> list[tuple[Tensor, Tensor | None, Tensor]]:
        """For each question the scores of its materials and of none of them (last), of its temperatures and of none
        of them, and of its value's being one of the property at all.

        Args:
            batch: the questions.
            vectors, there: from ``lower``.
        """
        mask = _attention(there)
        for layer in self.upper:
            vectors = _first(layer(vectors, attention_mask=mask))
        spans = [[one.value, *one.names, *one.places, *(one.heats or [])] for one in batch]
        pool = torch.zeros(len(batch), max(len(rows) for rows in spans), vectors.shape[1], device=vectors.device)
        for n, rows in enumerate(spans):
            for k, tokens in enumerate(rows):
                if tokens:
                    pool[n, k, tokens] = 1.0 / len(tokens)
        pooled = pool @ vectors.float()
        whole = torch.cat([pooled[:, 0], vectors[:, 0].float()], 1)
        none, no_heat, valid = self.no_material(whole), self.no_heat(whole), self.value(whole)
        names, places, values, heats, heat_values = [], [], [], [], []
        for n, one in enumerate(batch):
            count = len(one.names)
            names.append(pooled[n, 1 : 1 + count])
            empty = torch.tensor([not tokens for tokens in one.places], dtype=torch.bool, device=vectors.device)
            places.append(torch.where(empty[:, None], self.nowhere, pooled[n, 1 + count : 1 + 2 * count]))
            values.append(pooled[n, :1].expand(count, -1))
            told = len(one.heats or [])
            heats.append(pooled[n, 1 + 2 * count : 1 + 2 * count + told])
            heat_values.append(pooled[n, :1].expand(told, -1))
        name, place, value = torch.cat(names), torch.cat(places), torch.cat(values)
        owner = self.material(torch.cat([name, place, value, name * value, place * value], 1))[:, 0]
        heat, own = torch.cat(heats), torch.cat(heat_values)
        warm = self.heat(torch.cat([heat, own, heat * own], 1))[:, 0]
        owners = owner.split([len(one.names) for one in batch])
        warms = warm.split([len(one.heats or []) for one in batch])
        return [
            (
                torch.cat([owners[n], none[n]]).float(),
                None if one.heats is None else torch.cat([warms[n], no_heat[n]]).float(),
                valid[n, 0].float(),
            )
            for n, one in enumerate(batch)
        ]


def _head(inputs: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1))


def _attention(there: Tensor) -> Tensor:
    return torch.where(there, 0.0, -1e9)[:, None, None, :]


def _first(out: Any) -> Tensor:
    return out[0] if isinstance(out, tuple) else out
