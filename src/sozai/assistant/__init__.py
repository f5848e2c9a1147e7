"""General AI, verified: a language model may propose, and only code decides."""
