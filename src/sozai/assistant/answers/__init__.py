"""Answers to a researcher's question, each sentence with its evidence."""
