"""What an assistant may name: files of the server's folder, and no other file of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sozai.errors import UserError


class Places:
    """Names within one folder.

    Args:
        root: the only folder whose files may be named.
    """

    def __init__(self, root: Path):
        self.root = root.resolve()

    def file(self, name: str) -> str:
        """The path of a file or folder.

        Raises:
            UserError: there is none of that name in the folder.
        """
        return str(inside(self.root, name, "the server's folder", folder=True))

    def library(self) -> str:
        """The path of the library that ``library_add`` made; ``UserError`` where there is none yet."""
        if not (self.root / "library").is_dir():
            raise UserError("there is no library yet", "library", "read documents with library_add")
        return self.file("library")

    def either(self, file: str, text: str, kept: Path) -> str:
        """The path of the file that is named, or of the text, kept at ``kept``; ``UserError`` for both or neither."""
        if bool(file.strip()) == bool(text.strip()):
            raise UserError("name a file or give a text, one of the two", kept.name)
        if file.strip():
            return self.file(file)
        kept.write_text(text, encoding="utf-8", errors="replace")
        return str(kept)

    def words(self, text: str) -> str:
        """Words, or the path of a file of the server's folder that they name; ``UserError`` for another file."""
        stripped = text.strip()
        if not stripped:
            raise UserError("is empty", "the text")
        names_file = stripped.lower().endswith((".yaml", ".yml", ".json")) and "\n" not in stripped
        if names_file or (len(stripped) < 200 and (self.root / stripped).is_file()):
            return self.file(stripped)
        if os.path.isabs(stripped) or stripped.startswith("~"):
            raise UserError("names a file outside the server's folder", stripped[:100])
        return stripped

    def matching(self, pattern: str) -> dict[str, Any]:
        """Files and folders that match a pattern, at most 200, and how many more; ``UserError`` if it leads outside."""
        if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts or not pattern:
            raise UserError("a pattern stays within the server's folder", pattern)
        found = []
        for path in sorted(self.root.glob(pattern)):
            if path.resolve().is_relative_to(self.root):
                name = path.relative_to(self.root).as_posix()
                found.append(name + "/" if path.is_dir() else f"{name} ({path.stat().st_size} bytes)")
        return {"files": found[:200], "more": max(len(found) - 200, 0)}


def inside(root: Path, name: str, where: str, folder: bool = False) -> Path:
    """The file of a name, links followed.

    Raises:
        UserError: there is none, or it is not within ``root``, which ``where`` names.
    """
    try:
        path = (root / name.strip()).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        path = None
    if path is None or not path.is_relative_to(root) or not (path.is_file() or (folder and path.is_dir())):
        raise UserError("is no file there", f"'{name[:200]}' in {where}", "list_files shows what is")
    return path
