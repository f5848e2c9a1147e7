"""wyckoff-gpt: an autoregressive transformer over Wyckoff sites."""
