"""Safe to use and share: provenance, hashes, resource cost."""
