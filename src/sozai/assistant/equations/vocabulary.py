"""Words of problems, as regular expressions: places, what holds there, and words that carry no meaning."""

from __future__ import annotations

import re

VALUE = r"[-+]?[^\s,;<>=\[\]()]+"
NAME = r"[A-Za-z]\w*"
FILLER = re.compile(
    r"^(?:(?:please|solve|find|compute|with|where|and|on|for|in|the|a|an|let|given|subject\s+to|such\s+that|by|over|under|"
    r"initial\s+conditions?|boundary\s+conditions?|initial\s+values?|ivp|bvp|ode|pde|system|equations?|"
    r"conditions?|of|is|"
    r"problem|parameters?|domain|numerically)(?::\s*|\s+(?![=*/^+(-])))+",
    re.IGNORECASE,
)
STOP = frozenset((
    "a", "an", "the", "of", "on", "in", "at", "with", "and", "for", "is", "are", "be", "held", "kept", "fixed",
    "its", "it", "that", "this", "where", "by", "to", "from", "as", "solve", "equation", "problem", "one", "two",
    "three", "dimensional", "dimension", "long", "wide", "high", "thick", "domain", "there", "under", "subject",
    "please", "which", "has", "have", "having", "whose", "time", "space", "start", "everywhere", "cooling", "heating",
))  # fmt: skip
FACES = {
    "left": "x-",
    "right": "x+",
    "bottom": "y-",
    "lower": "y-",
    "top": "y+",
    "upper": "y+",
    "front": "z-",
    "back": "z+",
}
SIDE = r"(?:ends?|sides?|faces?|edges?|walls?|boundar(?:y|ies)|surfaces?)"
ALL = (
    rf"(?:both\s+{SIDE}|all\s+{SIDE}|(?:the\s+)?(?:ends|sides|faces|edges|walls|boundary|boundaries)|"
    rf"everywhere\s+on\s+the\s+boundary|the\s+whole\s+boundary|(?:the\s+)?other\s+{SIDE})"
)
ONE = rf"(?:the\s+)?(left|right|bottom|lower|top|upper|front|back)(?:\s*-?\s*(?:hand\s+)?{SIDE})?"
KEPT = r"(?:(?:are|is|be)\s+)?(?:held|kept|fixed|maintained|set)?\s*(?:constant\s+)?(?:at|to|=|:|equal\s+to)\s*"
NO_FLUX = (
    r"(?:insulated|thermally\s+insulated|adiabatic|sealed|reflecting|no[\s-]?flux|zero[\s-]?flux|"
    r"traction[\s-]?free|free|impermeable|(?:homogeneous|zero)\s+neumann)"
)
FIXED = r"(?:fixed|clamped|held|pinned|no[\s-]?slip|grounded|(?:homogeneous|zero)\s+dirichlet|absorbing)"
START = (
    r"(?:at\s+the\s+(?:start|beginning)|at\s+(?:the\s+)?(?:initial\s+)?time\s+(?:t\s*=\s*)?0|"
    r"at\s+t\s*=\s*0|initially|to\s+begin\s+with|to\s+start\s+with)"
)
