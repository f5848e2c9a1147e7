"""Tables: fidelity, privacy, splits that do not leak, and whether synthetic rows help."""
