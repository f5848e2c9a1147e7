"""Losses and estimators, each a plain function of tensors and networks."""
