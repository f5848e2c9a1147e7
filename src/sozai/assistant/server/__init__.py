"""sozai's verified tools for any assistant that speaks the Model Context Protocol (modelcontextprotocol.io)."""

from sozai.assistant.server.serving import serve

__all__ = ["serve"]
