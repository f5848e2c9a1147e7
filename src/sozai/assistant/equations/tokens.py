"""Words of a formula: numbers, names, operators, and the many ways to write a derivative.

The text is read by regular expressions and nothing in it is ever evaluated.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from sozai.errors import UserError

LONGEST = 20_000
"""Characters of a text that is still read."""
COORDINATES = ("x", "y", "z", "t")
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "ϵ": "eps", "ζ": "zeta", "η": "eta",
    "θ": "theta", "ϑ": "theta", "κ": "kappa", "λ": "lam", "μ": "mu", "µ": "mu", "ν": "nu", "ξ": "xi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "φ": "phi", "ϕ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma",
    "Λ": "Lambda", "Ω": "Omega", "Φ": "Phi", "Ψ": "Psi", "Θ": "Theta", "Σ": "Sigma", "π": "pi",
}  # fmt: skip
SAME = {"epsilon": "eps", "varepsilon": "eps", "lambda": "lam", "lmbda": "lam", "varphi": "phi", "vartheta": "theta"}
GREEK = frozenset((*_GREEK.values(), "epsilon", "lambda"))
"""Names of Greek letters."""
_SIGNS = {
    "²": "^2", "³": "^3", "⁴": "^4", "·": "*", "×": "*", "⋅": "*", "−": "-", "–": "-", "∂": "d", "≤": "<=", "≥": ">=",
    "′": "'", "″": "''", "’": "'", "∈": " in ", "√": " sqrt", "∇·": " div ", "½": "(1/2)",
}  # fmt: skip
_DIFFERENTIAL = re.compile(
    r"""d(?:\s*(?:\^|\*\*)?\s*\{?(?P<order>\d)\}?)?\s*
        (?P<name>[A-Za-z]\w*?)?(?P<call>\s*\([a-z](?:\s*,\s*[a-z])*\))?\s*
        /\s*(?P<below>d\s*[A-Za-z]\w*?(?:\s*(?:\^|\*\*)?\s*\d)?(?:\s*d\s*[A-Za-z](?:\s*(?:\^|\*\*)?\s*\d)?)*)(?![A-Za-z_])""",
    re.VERBOSE,
)
_BELOW = re.compile(r"d\s*([A-Za-z][a-z]*?)\s*(?:(?:\^|\*\*)?\s*(\d))?(?=\s*d\s*[A-Za-z]|\s*$)")
_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.(?!\.)\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<op>\*\*|<=|>=|==|'+|[-+*/^()\[\],=<>|.!])"
)


@dataclass(frozen=True)
class Token:
    """One word: ``kind`` is number, name, op, derivative (``text`` is the unknown or empty) or end.

    Attributes:
        orders: of a derivative: the coordinate once per order.
    """

    kind: str
    text: str
    orders: tuple[str, ...] = field(default=())


def normalise(text: str) -> str:
    """ASCII for the signs of mathematics: Greek letters by name, ``∂`` as ``d``, ``∇²`` as ``laplacian``.

    Raises:
        UserError: the text is too long, or has a sign that has no meaning here.
    """
    if len(text) > LONGEST:
        raise UserError(f"the text is longer than {LONGEST:,} characters", mend="give the equation alone")
    text = re.sub(r"([A-Za-z]\w*)\u0307", r"\1'", unicodedata.normalize("NFD", text))  # x with a dot
    text = unicodedata.normalize("NFC", re.sub(r"([A-Za-z]\w*)\u0308", r"\1''", text))
    text = re.sub(
        r"∇\s*(?:²|\^\s*\{?2\}?|\*\*\s*2)|∇\s*[·⋅]\s*∇|Δ(?=\s*[A-Za-z(])|\bnabla\s*(?:\^|\*\*)\s*2", " laplacian ", text
    )
    text = re.sub(r"∇\s*[·⋅]", " div ", text)
    text = re.sub(r"∂_\{?([a-z])\}?(?:\^\{?2\}?|²)", r"d^2/d\1^2 ", text)
    text = re.sub(r"∂_\{?([a-z])\}?", r"d/d\1 ", text)
    text = re.sub(r"∇", " grad ", text)
    for sign, name in _GREEK.items():
        text = re.sub(f"{sign}(?=[A-Za-z])", f"{name} ", text).replace(sign, name)
    for sign, plain in _SIGNS.items():
        text = text.replace(sign, plain)
    return text


def same_name(name: str) -> str:
    """One spelling of a name: ``lambda`` is ``lam``, ``epsilon`` is ``eps``."""
    return SAME.get(name, name)


def tokenise(text: str, unknowns: Sequence[str] = ()) -> list[Token]:
    """The words of a normalised formula, ended by a token of kind ``end``.

    Args:
        text: of one formula.
        unknowns: with them ``u_xx`` is read as a derivative.

    Raises:
        UserError: a character that no formula has.
    """
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        found = _differential(text, place)
        if found is not None:
            token, place = found
            tokens.append(token)
            continue
        match = _TOKEN.match(text, place)
        if match is None:
            raise UserError(
                f"'{text[place]}' has no meaning in a formula", text.strip()[:80], "write it in plain mathematics"
            )
        place = match.end()
        kind = str(match.lastgroup)
        tokens.append(_named(match.group(), unknowns) if kind == "name" else Token(kind, match.group()))
    return [*tokens, Token("end", "")]


def _named(name: str, unknowns: Sequence[str]) -> Token:
    base, _, suffix = name.rpartition("_")
    if base and same_name(base) in unknowns and suffix and set(suffix) <= {*COORDINATES, "n"}:
        return Token("derivative", same_name(base), tuple(suffix))
    return Token("name", same_name(name))


def _differential(text: str, place: int) -> tuple[Token, int] | None:
    """``du/dt``, ``d^2u/dx^2``, ``d/dx``, ``d2u/dxdy``; nothing where the orders do not agree."""
    if text[place] != "d" or (place and (text[place - 1].isalnum() or text[place - 1] == "_")):
        return None
    match = _DIFFERENTIAL.match(text, place)
    if match is None:
        return None
    below = [(name, int(power or 1)) for name, power in _BELOW.findall(match["below"])]
    orders = tuple(same_name(name) for name, power in below for _ in range(power))
    if not orders or len(orders) != int(match["order"] or 1):
        return None
    return Token("derivative", same_name(match["name"] or ""), orders), match.end()


def derived(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Names that a normalised text takes derivatives of, with the coordinates (``'`` for a prime).

    ``u_xx`` counts where ``u`` itself or another derivative of it stands in the text too.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    tokens = tokenise(text)
    for token, after in itertools.pairwise(tokens):
        if token.kind == "derivative":
            name = token.text or (after.text if after.kind == "name" else "")
            if name:
                found.append((name, token.orders))
        if token.kind == "name" and after.kind == "op" and after.text.startswith("'"):
            found.append((token.text, ("'",) * len(after.text)))
    for name, rest in re.findall(
        r"\b(?:diff|Derivative)\(\s*([A-Za-z]\w*)\s*(?:\([^()]*\))?\s*,([^()]*|\s*\([^()]*\)\s*)\)", text
    ):
        found.append((same_name(name), tuple(re.findall(r"[A-Za-z]\w*", rest))))
    for name, rest in re.findall(r"\b([A-Za-z]\w*)\s*(?:\([^()]*\))?\.diff\(([^()]*)\)", text):
        found.append((same_name(name), tuple(re.findall(r"[A-Za-z]\w*", rest))))
    names = [token.text for token in tokens if token.kind == "name"]
    split = [name.rpartition("_") for name in names]
    bases = [same_name(base) for base, _, suffix in split if base and suffix and set(suffix) <= set(COORDINATES)]
    assigned = set(re.findall(r"(?:^|[,;\n])\s*(\w+)\s*=\s*[-+\d.]", text))
    for base, _, suffix in split:
        one = same_name(base)
        if base and suffix and set(suffix) <= set(COORDINATES) and f"{base}_{suffix}" not in assigned:
            known = one in names or bases.count(one) > 1 or any(one == other for other, _ in found)
            if known or "t" in suffix:
                found.append((one, tuple(suffix)))
    return found
