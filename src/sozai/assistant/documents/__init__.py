"""A person's documents: reading, library, search. Every piece knows where it stands in its source."""
