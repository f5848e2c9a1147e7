"""Papers to a table of measured values, each with the place it stands at."""

from sozai.assistant.extraction.extract import extract
from sozai.assistant.extraction.record import Quantity, Record
from sozai.assistant.extraction.schema import Property, read_schema
from sozai.assistant.extraction.verify import verified

__all__ = ["Property", "Quantity", "Record", "extract", "read_schema", "verified"]
