"""``sozai info``: what is installed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sozai.cli.frame import AsJson, emit

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = ("sozai info", "sozai info --json > versions.json")


def info(as_json: AsJson = False) -> None:
    """Tell versions, the device that would be used, and the weights and data that came with sozai.

    Put its output into a bug report or beside a result.
    """
    facts = _facts()
    emit(facts, as_json, lambda console: _render(facts, console))


def _facts() -> dict[str, Any]:
    import os
    import platform

    import sozai
    from sozai.trust.manifest import versions

    return {
        "sozai": sozai.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": _device(),
        "versions": versions(),
        "bundled": _bundled(),
    }


def _device() -> str:
    try:
        import torch
    except ImportError:
        return "none: torch is not installed (pip install 'sozai[crystals]')"
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    return f"cpu ({torch.get_num_threads()} threads)"


def _bundled() -> list[dict[str, Any]]:
    """Weights and reference data inside the package, with size and hash."""
    from pathlib import Path

    import sozai
    from sozai.files import sha256

    root = Path(sozai.__file__).parent
    endings = (".safetensors", ".parquet", ".npz")
    files = sorted(path for path in root.rglob("*") if path.suffix in endings)
    return [
        {
            "file": path.relative_to(root).as_posix(),
            "mib": round(path.stat().st_size / 2**20, 3),
            "sha256": sha256(path),
        }
        for path in files
    ]


def _render(facts: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for key in ("sozai", "python", "platform", "cores", "device"):
        table.add_row(f"[bold]{key}[/bold]", str(facts[key]))
    for name, version in facts["versions"].items():
        table.add_row(name, version or "[dim]not installed[/dim]")
    console.print(table)
    if facts["bundled"]:
        files = Table("bundled file", "MiB", "sha256", box=None, pad_edge=False, header_style="bold")
        for item in facts["bundled"]:
            files.add_row(item["file"], f"{item['mib']:.2f}", item["sha256"][:12])
        console.print()
        console.print(files)
