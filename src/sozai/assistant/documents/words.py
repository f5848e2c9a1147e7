"""Words of a text for search: stems of words, formulas and names whole, so that LATP is not LAGP and Co is not CO."""

from __future__ import annotations

import re
import unicodedata

from sozai.assistant.documents.outline import word_set

STOP = word_set(
    "a an the this that these those of in on at to for from by with and or as is are was were be been being it its "
    "do does did done has have had having we our us they their them he she his her you your i my me not no nor but if "
    "than then so such can could may might must shall should will would there here into onto over under about between "
    "how what which who whom whose when where why how's what's also only very more most some any each both other "
    "however because while during after before up out off same own"
)
_TOKEN = re.compile(r"[^\W_]+(?:[.\-−–‑/+'’·][^\W_]+)*[+%]?|%|[^\W\d_]+")
_SUFFIXES = (
    "izations", "ization", "isations", "isation", "ivities", "ivity", "ations", "ation", "ically", "ments", "ment",
    "nesses", "ness", "ances", "ance", "ences", "ence", "encies", "ency", "ities", "ity", "ants", "ant", "ents", "ent",
    "ical", "ings", "ing", "ions", "ion", "ives", "ive", "edly", "ally", "ied", "ies", "ed", "es", "ly",
    "s", "e", "y",
)  # fmt: skip
_FULL = {"rose": "rais", "risen": "rais", "rise": "rais", "rises": "rais", "fell": "fall", "fallen": "fall",
         "grew": "grow", "grown": "grow", "broke": "break", "stability": "stabl", "stable": "stabl",
         "unstable": "unstabl", "instability": "unstabl", "boundaries": "boundar", "boundary": "boundar",
         "densification": "dens", "densified": "dens", "analyses": "analys", "indices": "index", "strong": "strength",
         "stronger": "strength", "strengthens": "strength", "better": "improv", "highest": "high", "higher": "high",
         "lowest": "low", "lower": "low", "largest": "larg", "larger": "larg", "costly": "cost", "made": "make",
         "grains": "grain", "series": "series", "hard": "hard", "denser": "dens",
         "tougher": "tough", "stiffer": "stiff", "harder": "hard", "species": "species"}  # fmt: skip


def stem(word: str) -> str:
    """A word without its ending: "conductivity", "conducts" and "conducted" are one."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    if word in _FULL:
        return _FULL[word]
    if len(word) < 4 or not word.isalpha():
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= (3 if suffix in ("s", "e", "ed", "es", "ing") else 4):
            if suffix == "s" and word.endswith(("ss", "us", "is")):
                continue
            word = word[: -len(suffix)]
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "sle":  # "milled" keeps its l, "dropped" loses a p
        word = word[:-1]
    return word[:-1] if len(word) > 4 and word[-1] in "ei" else word


def irregular(key: str) -> frozenset[str]:
    """Words of which a stem is no beginning: of "stabl" "stability"."""
    return frozenset(word for word, other in _FULL.items() if other == key and not word.startswith(key))


def is_name(token: str) -> bool:
    """Whether a token is a formula or a short name (``Li6PS5Cl``, ``LATP``, ``Co``), whose capitals matter."""
    capitals = sum(letter.isupper() for letter in token)
    return capitals >= 2 or (capitals == 1 and any(letter.isdigit() for letter in token))


def fold(text: str) -> str:
    """Text with raised and lowered figures as plain ones and one kind of minus."""
    return unicodedata.normalize("NFKC", text).replace("−", "-").replace("–", "-").replace("‑", "-")


def tokens(text: str) -> list[str]:
    """The tokens by which a text is found; a hyphened word gives its parts too."""
    made: list[str] = []
    for found in _TOKEN.findall(fold(text)):
        for piece in dict.fromkeys([found, *re.split(r"[-/·]", found)]) if re.search(r"[-/·]", found) else [found]:
            if not piece or (piece.lower() in STOP and not is_name(piece)):
                continue
            made.append(piece if is_name(piece) else stem(piece))
    return made
