"""Papers to a table of (material, property, value, unit, conditions), each with its place in the text."""
