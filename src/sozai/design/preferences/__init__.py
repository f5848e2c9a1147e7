"""Tuning a generator by a person's choices or by a verified reward, with a judge that had no part in it."""
