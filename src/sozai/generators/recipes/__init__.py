"""The catalog of named systems: each a short recipe over shared parts."""
