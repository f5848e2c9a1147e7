"""Files that are written whole or not at all, plain JSON, and hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

from sozai.errors import UserError


def output_folder(path: str | os.PathLike[str]) -> Path:
    """The folder at ``path``, made when missing, after a file could be written in it.

    Raises:
        UserError: it cannot be made or written in.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Permission bits do not tell of read-only mounts or of root: only trying does.
        handle, probe = tempfile.mkstemp(prefix=".sozai-", dir=folder)
        os.close(handle)
        os.unlink(probe)
    except OSError as error:
        raise UserError(
            f"cannot write in this folder ({_reason(error)})", str(path), "name a folder you may write in"
        ) from error
    return folder


@contextmanager
def atomic(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears under its name only when the block ends without an error.

    Args:
        path: the file to write; an older one is replaced.
        mode: ``"w"`` (UTF-8 text, ``\\n`` line ends) or ``"wb"``.

    Raises:
        UserError: the file cannot be written, or the disk is full.
    """
    target = Path(path)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise UserError(f"cannot be written ({_reason(error)})", str(path)) from error
    try:
        with os.fdopen(handle, mode, **text) as stream:
            yield stream
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes private files; a result is to be shared
        os.replace(name, target)
    except OSError as error:
        raise UserError(f"cannot be written ({_reason(error)})", str(path)) from error
    finally:
        if os.path.exists(name):
            os.unlink(name)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``plain(value)`` as indented JSON, whole or not at all."""
    with atomic(path) as stream:
        json.dump(plain(value), stream, indent=1, ensure_ascii=False, allow_nan=False)
        stream.write("\n")


def plain(value: Any) -> Any:
    """Turn a value into plain JSON types.

    Numpy scalars and arrays become numbers and lists, sets become sorted lists, paths and dates become text,
    an object with ``to_dict`` or ``as_dict`` becomes its dictionary, and a number that is not finite, which
    JSON cannot hold, becomes ``None``.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, date):
        return value.isoformat()
    for method in ("tolist", "to_dict", "as_dict"):  # numpy, our own classes, pymatgen
        if callable(getattr(value, method, None)):
            return plain(getattr(value, method)())
    raise TypeError(f"{type(value).__name__} is no plain JSON value")


def sha256(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file, or of a folder: of the names and digests of all files in it.

    Raises:
        UserError: it does not exist or cannot be read.
    """
    source = Path(path)
    digest = hashlib.sha256()
    try:
        if source.is_dir():
            for item in sorted(source.rglob("*")):
                if item.is_file():
                    digest.update(f"{item.relative_to(source).as_posix()}\0{sha256(item)}\n".encode())
            return digest.hexdigest()
        with open(source, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"cannot be read ({_reason(error)})", str(path)) from error
    return digest.hexdigest()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
