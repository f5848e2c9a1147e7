"""Cores: what a family of systems is, ready to be put together by recipes."""
