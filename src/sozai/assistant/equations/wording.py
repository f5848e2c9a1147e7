"""Phrases of people turned into those that the clauses know, before a text is cut."""

from __future__ import annotations

import re

from sozai.assistant.equations.draft import Draft
from sozai.assistant.equations.geometry import take_geometry
from sozai.assistant.equations.vocabulary import ALL, KEPT, ONE, VALUE

_METALS = (
    r"(?:steel|iron|copper|alumini?um|nickel|titanium|silver|gold|brass|silicon|glass|ceramic|polymer|rubber|concrete|wood(?:en)?|"
    r"metal(?:lic)?|palladium|tungsten)"
)
_BODIES = r"(?:rods?|bars?|wires?|slabs?|films?|plates?|sheets?|foils?|membranes?|walls?|layers?|beams?|cubes?|blocks?)"
_SPECIES = r"(?:hydrogen|carbon|nitrogen|oxygen|boron|lithium|dopant|solute|moisture|phosphorus)"
_QUANTITIES = (
    r"(?:(?:electric\s+)?potential|temperature|displacement|concentration|deflection|composition|function|unknown)"
)
_SIDES = r"(?:left|right|bottom|lower|top|upper|front|back)"


def retitled(text: str, notes: list[str]) -> str:
    """The text without a title before a colon; a title that is left out is told."""
    text = re.sub(rf"\b{_SPECIES}\s+(?=diffusion\b)", "", text, flags=re.IGNORECASE)
    text = re.sub(
        r"\b(?:steady(?:[\s-]state)?|stationary)\s+(?:state\s+)?(?:heat\s+(?:conduction|equation|flow)|diffusion(?:\s+equation)?)",
        "Laplace equation",
        text,
        flags=re.IGNORECASE,
    )
    text = re.sub(r"(?<=\w)\s*-+>\s*(?=\w[^=]*:)", " to ", text)
    title = re.match(r"\s*([^:,;=\n\d<>]{3,60}):(?!=)\s*(?=\S)", text)
    if title and not re.fullmatch(rf"(?:{ONE}|{ALL}|initial.*|source.*|start.*)", title[1].strip(), re.IGNORECASE):
        if re.search(r"\w", title[1]):
            notes.append(f"The title '{title[1].strip()}' was not read.")
        return text[title.end() :]
    return text


def take_title(text: str, draft: Draft) -> str:
    """The text without a title that tells the body, as ``release from a 2 cm plate:``; its other words are told."""
    title = re.match(r"\s*([^:=,;\n]{3,80}):\s+(?=[A-Za-z]{2})", text)
    if title is None:
        return text
    left = take_geometry(rewritten(title[1]), draft)
    if re.search(r"\d", left):
        return text
    if re.search(r"[a-z]{3}", re.sub(r"\b(?:of|the|and|from|into)\b", "", left)):
        draft.notes.append(f"Of the title '{title[1].strip()}' only the body was read.")
    return text[title.end() :]


def rewritten(text: str) -> str:
    """Forms whose "and" or comma would be cut, or that have another usual form, in others that stay whole."""
    text = re.sub(r"\bbetween\s+([^\s,;]+)\s+and\s+([^\s,;]+)", r"in [\1, \2]", text)
    text = re.sub(rf"\b{_METALS}\s+(?={_BODIES}\b)", "", text, flags=re.IGNORECASE)
    text = re.sub(rf"\bof\s+{_METALS}(?=\s*(?:,|;|$))", "", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(?:in\s+)?(?:a\s+|the\s+)?lid[\s-]driven\s+cavity\b", " ", text)
    text = re.sub(r"\bhalf[\s-]life", "halflife", text, flags=re.IGNORECASE)
    text = re.sub(r"[ \t]{2,}", " ", text)
    text = re.sub(r"\bfor\s+([\d.]+(?:[eE][-+]?\d+)?)\s+(?:time\s+units|units\s+of\s+time)\b", r"until t = \1", text)
    text = re.sub(rf"\bfor\s+(?:the\s+)?{_QUANTITIES}\s+[A-Za-z]\w*(?=\s)", "", text)
    text = re.sub(r"\bwith\s+((?:an?\s+)?(?:amplitude|height|strength|mean)\b)", r"of \1", text)
    text = re.sub(r"\bE\s+I\s*=", "EI =", text)
    text = _intervals(text)
    text = _two_sides(text)
    text = re.sub(
        rf"\b(?:both\s+)?ends\s+{KEPT}({VALUE}(?:\s*[A-Za-z°]+)?)\s+and\s+({VALUE}(?:\s*[A-Za-z°]+)?)(?=\s*(?:,|;|$|"
        rf"\n|and|for))",
        r"left end at \1, right end at \2",
        text,
    )
    text = re.sub(
        r"\b((?:at|on)\s+([xyz])\s*=\s*[^,;\s]+)\s*(?:and|,|&)\s*(?:at\s+|on\s+)?(\2\s*=\s*[^,;\s]+)(?!\s*(?:<|\.\.))",
        r"\1 & \3",
        text,
    )
    text = re.sub(r"\b(at\s+([xyz])\s*=\s*[^,;\s]+)\s*(?:and|,)\s*(-?\d[\d.]*)(?=\s*(?:,|;|$|\n))", r"\1 & \2=\3", text)
    return re.sub(r"(?<=[\w)\]])\.(?=\s+[A-Z]|\s*$)", ";", text)


def _intervals(text: str) -> str:
    """``on [0, 1]^2`` as a range for each coordinate."""

    def ranges(match: re.Match[str]) -> str:
        count = int(match[2] or 1)
        return ", " + ", ".join(f"{axis} in {match[1]}" for axis in "xyz"[:count]) + ","

    return re.sub(
        r"(?<![xyzt])(?<!\w\s\s)(?<![xyzt)]\s)\b(?:on|over|in)\s+(\[[^\[\],]+,[^\[\],]+\])(?:\s*\^\s*([123]))?(?!\s*[xX*]\s*\[)",
        lambda match: match[0] if re.search(r"random[\w\s]*$", text[: match.start()]) else ranges(match),
        text,
    )


def _two_sides(text: str) -> str:
    """What holds on two sides, said of each; the one end and the other; the surface."""
    value = r"([^,;\n]+?)(?=\s*(?:,|;|\n|$|\band\b))"
    text = re.sub(
        rf"\bone\s+(?:end|side|face)\s+([^,;\n]+?)(?:\s*,)?\s+(?:and\s+)?(?:the\s+)?other(?:\s+(?:end|side|face))?\s+(?!sides|ends|faces){value}",
        r"left end \1, right end \2",
        text,
    )
    text = re.sub(
        rf"\b(?:the\s+)?({_SIDES})\s+and\s+(?:the\s+)?({_SIDES})(?:\s+(?:sides|ends|faces|edges|walls))?\s+(?={KEPT}|[a-z]){value}",
        r"\1 \3, \2 \3",
        text,
    )
    text = re.sub(
        rf"(?:(?<=[,;\n])|^)([^,;\n]+?)\s+(?:at|on)\s+(?:the\s+)?({_SIDES})\s+and\s+(?:the\s+)?({_SIDES})(?:\s+(?:sides|ends|faces|edges|walls))?(?=\s*(?:,|;|\n|$))",
        r"\1 on the \2, \1 on the \3",
        text,
    )
    surface = (
        rf"\b(?:a\s+)?(?:constant\s+|fixed\s+)?surface\s+(?:{_SPECIES}\s+)?(?:concentration|content|temperature|value)\s*"
        r"(?:(?:of|is|=|:|at|held\s+at|kept\s+at)\s*)?"
    )
    text = re.sub(
        rf"{surface}([-\d][^,;\n]*?)\s+(?:on|at)\s+(?:both|all)\s+(?:sides|ends|faces|surfaces)",
        r"all sides at \1",
        text,
        flags=re.I,
    )
    text = re.sub(
        rf"{surface}([-\d][^,;\n]*?)\s+(?:on|at)\s+(?:the\s+)?({_SIDES})\b", r"\2 end at \1", text, flags=re.I
    )
    text = re.sub(rf"{surface}([-\d][^,;\n]*?)\s+at\s+x\s*=\s*0(?![\d.])", r"left end at \1", text, flags=re.I)
    return re.sub(rf"{surface}(?=[-\d])", "all sides at ", text, flags=re.I)
