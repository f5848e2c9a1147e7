"""How good: metrics and honest protocols."""
