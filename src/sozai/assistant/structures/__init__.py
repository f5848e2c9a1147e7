"""Crystal structures from rules: audit of files, building, proposals of a language model."""
