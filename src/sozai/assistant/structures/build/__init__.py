"""Crystal structures from rules alone: code writes the coordinates.

from sozai.assistant.structures.build import build
from sozai.knowledge.crystals.structure.read import rules_from

for found in build(rules_from("nasicon.yaml"), minutes=4):
    print(found.assignment, found.energy_per_atom, found.passed)
"""

from pathlib import Path

from sozai.assistant.structures.build.builder import build
from sozai.assistant.structures.build.finish import Built

__all__ = ["EXAMPLES", "Built", "build"]

EXAMPLES = Path(__file__).parent / "examples"
"""Rule files of known structures."""
