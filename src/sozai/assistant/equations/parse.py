"""From a text in words, LaTeX or plain mathematics, or from a file, to a ``Problem``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sozai.assistant.equations.assembly import Assembly
from sozai.assistant.equations.clauses import read_clauses
from sozai.assistant.equations.problem import Problem
from sozai.assistant.equations.tokens import normalise, same_name
from sozai.errors import UserError

_KEYS = {"equation", "equations", "conditions", "domain", "parameters", "time", "text"}


def read_problem(text: str, *, parameters: Mapping[str, str] | None = None, end: float | None = None) -> Problem:
    """Read a problem.

    Args:
        text: an equation with its conditions, domain and numbers, in words, LaTeX or plain mathematics.
        parameters: further numbers by name, with a unit or without, which stand above those of the text.
        end: of time, in the unit of the others (s where there are units); stands above the text's.

    Returns:
        the problem; it need not be well-posed, see ``wellposed.check_problem``.

    Raises:
        UserError: what was not understood, or does not go together, is named.
    """
    draft = read_clauses(text)
    for name, value in (parameters or {}).items():
        draft.values[same_name(name)] = normalise(str(value))
    if end is not None:
        draft.ranges["t"] = ("0", repr(float(end)))
    return Assembly(draft).problem()


def read_problem_file(
    path: str | Path, *, parameters: Mapping[str, str] | None = None, end: float | None = None
) -> Problem:
    """Read a YAML file with ``equation`` (or ``equations``), ``conditions``, ``domain``, ``parameters``, ``time``.

    Raises:
        UserError: it cannot be read, or a key is not known.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError("cannot be read as YAML", str(path), " ".join(str(error).split())[:200]) from error
    try:
        return read_problem(
            content if isinstance(content, str) else problem_text(content), parameters=parameters, end=end
        )
    except UserError as error:
        raise UserError(error.what, f"{path}, {error.where}" if error.where else str(path), error.mend) from error


def problem_text(content: Any) -> str:
    """A problem given by keys, as clauses that ``read_problem`` reads.

    Raises:
        UserError: it is no mapping, a key is not known, or a value is not of the right kind.
    """
    if not isinstance(content, Mapping):
        raise UserError("a problem has keys and values", mend="begin with 'equation: du/dt = -u'")
    strange = sorted(str(key) for key in content if key not in _KEYS)
    if strange:
        raise UserError(f"'{strange[0]}' is no key of a problem", mend=f"known: {', '.join(sorted(_KEYS))}")
    clauses = [
        str(item) for key in ("text", "equation", "equations", "conditions") for item in _listed(content.get(key))
    ]
    for name, pair in [*_pairs(content, "domain"), *([("t", content["time"])] if "time" in content else [])]:
        low, high = pair if isinstance(pair, list | tuple) and len(pair) == 2 else (0, pair)
        clauses.append(f"{name} from {low} to {high}")
    clauses += [f"{name} = {value}" for name, value in _pairs(content, "parameters")]
    return "\n".join(clauses)


def _listed(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _pairs(content: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise UserError(f"'{key}' must have names and values", mend=f"write {key}: {{x: ...}}")
    return [(str(name), item) for name, item in value.items()]
