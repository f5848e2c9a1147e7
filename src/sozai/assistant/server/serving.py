"""The tools served by the Model Context Protocol (modelcontextprotocol.io)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

import sozai
from sozai.assistant.server.tools import Tools
from sozai.errors import UserError

INSTRUCTIONS = (
    "Verified tools for materials science. Results are computed and checked by code and carry their verdicts. "
    "Report verdicts with results: a failed or undecided verdict must be told, and no number may be changed or be "
    "separated from its error. A call that takes longer answers with 'status': 'running' and a job's name: ask "
    "job_result until it is finished. Files are named relative to the server's folder; list_files shows them. "
    "read_output shows what a job wrote."
)


def server_of(tools: Tools) -> MCPServer:
    """A server with all the tools."""
    server: MCPServer = MCPServer("sozai", instructions=INSTRUCTIONS, version=sozai.__version__, log_level="ERROR")
    for tool in (
        tools.check_crystal,
        tools.audit_cif,
        tools.build_structure,
        tools.design_crystals,
        tools.check_table,
        tools.design_table,
        tools.augment_table,
        tools.extract_records,
        tools.solve_equation,
        tools.library_add,
        tools.library_search,
        tools.ask,
        tools.job_result,
        tools.cancel_job,
        tools.list_files,
        tools.read_output,
    ):
        server.add_tool(_told(tool), name=tool.__name__, description=" ".join((tool.__doc__ or "").split()))
    return server


def _told(tool: Any) -> Any:
    """The tool with its mistakes told to the assistant as sentences."""
    from functools import wraps

    @wraps(tool)
    async def call(**arguments: Any) -> dict[str, Any]:
        try:
            return await tool(**arguments)
        except UserError as error:
            raise ToolError(error.sentence()) from error
        except OSError as error:
            raise ToolError(f"{error.filename or 'a file'}: {(error.strerror or 'cannot be used').lower()}.") from error

    return call


def serve(root: Path, port: int | None = None) -> None:
    """Serve the tools until the client leaves, on standard input and output or on this machine's port.

    Args:
        root: see ``Tools``.
        port: of http://127.0.0.1/mcp; without one, standard input and output.

    Raises:
        UserError: the folder is none.
    """
    if not root.is_dir():
        raise UserError("is no folder", str(root), "name the folder whose files the tools may read")
    tools = Tools(root)
    try:
        if port is None:
            server_of(tools).run("stdio")
        else:
            server_of(tools).run("streamable-http", host="127.0.0.1", port=port)
    finally:
        tools.jobs.close()
