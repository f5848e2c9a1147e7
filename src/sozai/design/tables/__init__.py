"""From a table of experiments to candidates and to the next experiments.

result = design_table("concrete.csv", "run/", goals=[Goal("maximise", "Strength")], batch=8)
"""

from sozai.design.tables.goals import Goal
from sozai.design.tables.run import design_table, resume_table

__all__ = ["Goal", "design_table", "resume_table"]
