"""Networks, all called the same way: (x, condition, mask)."""
