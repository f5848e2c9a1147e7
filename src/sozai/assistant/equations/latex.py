"""LaTeX turned into plain mathematics: fractions, derivatives, Greek letters, operators, environments.

A small translator of our own; an unknown command is refused. Letters that run together stay one name, because the
text around a formula is words: write ``k x``, or ``k\\cdot x``, for a product.
"""

from __future__ import annotations

import re

from sozai.assistant.equations.tokens import normalise
from sozai.errors import UserError

_GREEK = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "rho",
    "sigma",
    "tau",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Lambda",
    "Omega",
    "Phi",
    "Psi",
    "Theta",
    "Sigma",
    "pi",
]
_FUNCTIONS = [
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "exp",
    "log",
    "ln",
    "min",
    "max",
]
_PLAIN = {
    r"\cdot": " * ", r"\times": " * ", r"\leq": " <= ", r"\le": " <= ", r"\geq": " >= ", r"\ge": " >= ", r"\in": " in ",
    r"\quad": " , ", r"\qquad": " , ", r"\,": " ", r"\;": " ", r"\!": "", r"\:": " ", r"\ ": " ", r"\\": "\n",
    r"\left": "", r"\right": "", r"\big": "", r"\Big": "", r"\bigl": "", r"\bigr": "", r"\displaystyle": "",
    r"\prime": "'", r"\partial": "∂", r"\nabla": "∇", r"\Delta": "Δ", r"\lbrace": "", r"\rbrace": "", r"\limits": "",
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\lt": "<", r"\gt": ">", r"\{": "(", r"\}": ")", r"\ldots": "..",
    r"\nonumber": "", r"\infty": "inf", r"\operatorname": "", r"\degree": " deg",
}  # fmt: skip
_WRAPPERS = ("mathrm", "text", "mathbf", "boldsymbol", "mathit", "vec", "bm", "textrm", "operatorname")


def is_latex(text: str) -> bool:
    """Whether the text has LaTeX in it."""
    return bool(re.search(r"\\[A-Za-z]+|\$|[_^]\{", text))


def plain_mathematics(text: str) -> str:
    """The text with its LaTeX as plain mathematics.

    Raises:
        UserError: braces that do not match, or a command that is not known.
    """
    text = re.sub(r"(?<!\\)%.*", "", text)
    text = re.sub(  # u|_{x=L} = 0
        r"\\(?:[bB]igg?[rl]?|right|left\.?)?\s*\|\s*_\{((?:[^{}]|\{[^{}]*\})*)\}\s*=\s*([^,;\n\\]+)"
        r"|\|\s*_\{((?:[^{}]|\{[^{}]*\})*)\}\s*=\s*([^,;\n\\]+)",
        lambda m: f" = {(m[2] or m[4]).strip()} \\text{{ at }} {m[1] or m[3]}",
        text,
    )
    text = re.sub(
        r"(?:at|on)\s*\}?\s*\\partial\s*\\Omega\b",
        lambda m: m[0][:2] + ("}" if "}" in m[0] else "") + r" \text{the boundary}",
        text,
    )
    text = re.sub(r"\\text\{\s*(?:in|on)\s*\}\s*\\Omega\b", " ", text)
    text = re.sub(r"\\(?:begin|end)\s*\{[a-z*]+\}(?:\{[a-z]*\})?|\\label\{[^}]*\}|\\tag\{[^}]*\}|&", " ", text)
    text = re.sub(r"\${1,2}|\\\[|\\\]|\\\(|\\\)", " ", text)
    text = re.sub(r"\\nabla\s*\\cdot(?![A-Za-z])", " div ", text)
    return normalise(_translate(text))


def _translate(text: str) -> str:
    made, place = "", 0
    while place < len(text):
        char = text[place]
        if char == "\\":
            name = re.match(r"\\([A-Za-z]+|.)", text[place:], re.DOTALL)
            if name is None:
                raise UserError("a backslash stands alone", text[place : place + 20], "complete the LaTeX")
            place += name.end()
            done, place = _command(name[0], text, place)
            made += done
        elif char == "{":
            inside, place = _group(text, place)
            made += f"({_translate(inside)})"
        elif char == "}":
            raise UserError(
                "a closing brace has no opening one", text[max(0, place - 30) : place + 1], "complete the LaTeX"
            )
        elif char == "_":
            inside, place = _group(text, place + 1)
            made = made.rstrip() + "_" + re.sub(r"\W", "", _translate(inside))
            if place < len(text) and text[place].isalnum():
                made += " "
        elif char == "^":
            inside, place = _group(text, place + 1)
            done = _translate(inside).strip()
            made += (
                done if re.fullmatch(r"'+", done) else f"^{done} " if re.fullmatch(r"\d+|[a-z]", done) else f"^({done})"
            )
        else:
            made, place = made + char, place + 1
    return made


def _command(name: str, text: str, place: int) -> tuple[str, int]:
    """What a command stands for, and where its arguments end."""
    word = name[1:]
    if name in (r"\frac", r"\dfrac", r"\tfrac"):
        above, place = _group(text, place)
        below, place = _group(text, place)
        return _fraction(_translate(above).strip(), _translate(below).strip()), place
    if name == r"\sqrt":
        match = re.match(r"\s*\[(\d+)\]", text[place:])
        place += match.end() if match else 0
        inside, place = _group(text, place)
        return (f"(({_translate(inside)})^(1/{match[1]}))" if match else f"sqrt({_translate(inside)})"), place
    if name in (r"\dot", r"\ddot"):
        inside, place = _group(text, place)
        return _translate(inside).strip() + ("'" if name == r"\dot" else "''") + " ", place
    if word in _WRAPPERS:
        inside, place = _group(text, place)
        inside = _translate(inside) if "\\" in inside or word in ("mathbf", "boldsymbol", "vec", "bm") else inside
        return inside if word != "text" else f" {inside} ", place
    if word in _GREEK:
        return f" {word}" + (
            " " if place < len(text) and (text[place].isalnum() or text[place] in " \\") else ""
        ), place
    if word in _FUNCTIONS:
        return f" {word} ", place
    if name in _PLAIN:
        value = _PLAIN[name]
        return (_translate(value) if value.startswith("\\") and value != name else value), place
    raise UserError(f"the LaTeX command {name} is not known", mend="write that part in plain mathematics")


def _fraction(above: str, below: str) -> str:
    """A derivative where both sides begin with d, else a quotient in brackets."""
    top = re.match(r"[d∂]\s*(?:\^\s*\(?\d\)?)?\s*(.*)$", above, re.DOTALL)
    bottom = re.fullmatch(r"(?:[d∂]\s*[A-Za-z]\w*\s*(?:\^\s*\(?\d\)?)?\s*)+", below)
    if top and bottom:
        order = re.match(r"[d∂]\s*\^\s*\(?(\d)", above)
        head = f"d^{order[1]}" if order else "d"
        what = top[1].strip()
        coordinates = below.replace("∂", "d").replace("(", "").replace(")", "")
        if re.fullmatch(r"[A-Za-z]\w*", what):
            return f" {head} {what}/{coordinates} "
        call = re.fullmatch(r"([A-Za-z]\w*)\s*\(\s*[a-z](?:\s*,\s*[a-z])*\s*\)", what)
        if call:
            return f" {head} {call[1]}/{coordinates} "
        return f" {head}/{coordinates} " + (f"({what})" if what else "")
    return f"(({above})/({below}))"


def _group(text: str, place: int) -> tuple[str, int]:
    """The braces' content, the command, or the one character that comes next, and where it ends."""
    while place < len(text) and text[place].isspace():
        place += 1
    if place >= len(text):
        raise UserError("an argument is missing at the end", text[-30:], "complete the LaTeX")
    if text[place] == "\\":
        match = re.match(r"\\(?:[A-Za-z]+|.)", text[place:], re.DOTALL)
        end = place + (match.end() if match else 1)
        return text[place:end], end
    if text[place] != "{":
        return text[place], place + 1
    depth = 0
    for at in range(place, len(text)):
        depth += (text[at] == "{" and text[at - 1] != "\\") - (text[at] == "}" and text[at - 1] != "\\")
        if depth == 0:
            return text[place + 1 : at], at + 1
    raise UserError("an opening brace has no closing one", text[place : place + 30], "complete the LaTeX")
