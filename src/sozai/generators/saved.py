"""Fitted networks on disk: ``weights.safetensors`` and ``settings.json``, the latter with the hash of the former."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from sozai.errors import UserError
from sozai.files import plain

WEIGHTS, SETTINGS = "weights.safetensors", "settings.json"
Module = TypeVar("Module", bound=nn.Module)


def save(network: nn.Module, folder: Path | str, settings: Mapping[str, Any], half: bool = False) -> None:
    """Write both files.

    Args:
        half: keep floating-point weights in half precision.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    state = {}
    for name, value in network.state_dict().items():
        value = value.detach().cpu()
        if half and value.is_floating_point():
            value = value.to(torch.float16)
        state[name] = value.contiguous().clone()  # tied weights share memory, which the format refuses
    save_file(state, target / WEIGHTS)
    content = {**settings, "weights": hash_of(target)}
    (target / SETTINGS).write_text(json.dumps(plain(content), indent=1) + "\n", encoding="utf-8")


def load(
    folder: Path | str, build: Callable[[dict[str, Any]], Module], what: str, mend: str
) -> tuple[Module, dict[str, Any]]:
    """The network, in eval mode, and its settings.

    Args:
        folder: that ``save`` wrote.
        build: makes the network from the settings; it may take entries out of them.
        what: named in errors, e.g. ``"wyckoff-gpt"``.
        mend: how to get such a folder.

    Raises:
        UserError: files are missing, damaged, or of another network.
    """
    source = Path(folder)
    try:
        settings = json.loads((source / SETTINGS).read_text(encoding="utf-8"))
        state = load_file(source / WEIGHTS)
        weights = hash_of(source)
        damaged = settings.get("weights", weights) != weights
        network = build(settings)
        floats = {name: value.float() if value.dtype == torch.float16 else value for name, value in state.items()}
        missing, unexpected = network.load_state_dict(floats, strict=False)
    except FileNotFoundError as error:
        raise UserError(f"there are no weights of {what} here", str(source), mend) from error
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"the weights cannot be read ({type(error).__name__})",
            str(source),
            "the files are damaged or of another generator: copy or train them again",
        ) from error
    if damaged:
        raise UserError(
            "the weights are not those that the settings beside them name (SHA-256)", str(source), "copy them again"
        )
    if unexpected or any(not name.endswith("_mask") for name in missing):  # masks are rebuilt, not stored
        raise UserError("the weights do not fit the settings beside them", str(source), "train them again")
    settings["weights"] = weights
    return network.eval(), settings


def hash_of(folder: Path) -> str:
    """SHA-256 of the weights in a folder."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
