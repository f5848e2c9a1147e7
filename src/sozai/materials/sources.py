"""Finds the files to read in a file, a folder or an archive, without trusting any of them.

Nothing is ever unpacked to disk, so a member named ``../../x`` cannot land anywhere; it is reported all the
same. Sizes are checked before and while reading, so that a small archive cannot fill the memory.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sozai.materials.crystal import Problem

LARGEST_FILE = 512 * 2**20
"""Bytes of one file (unpacked) that are read at most."""
LARGEST_ARCHIVE = 4 * 2**30
"""Bytes of all members (unpacked) that are read from one archive at most."""
HIGHEST_RATIO = 500
"""Unpacked over packed size above which a large member is taken for a zip bomb; crystal files reach 20."""
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_SMALL = 2**20  # highly packed members below this size are harmless
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Source:
    """A readable file: its name for people, and its content on demand."""

    name: str
    read: Callable[[], bytes]


def is_archive(name: str) -> bool:
    """Whether the name says that the file is a zip or tar archive."""
    return name.lower().endswith(ARCHIVES)


def walk(path: Path, wanted: Callable[[str], bool]) -> Iterator[Source | Problem]:
    """Every file in ``path`` (a file, a folder or an archive) in a fixed order, or why it cannot be read.

    Args:
        path: it must exist.
        wanted: says by the file's name whether it is worth reading; the others are counted in one
            ``Problem`` at the end. Not asked for ``path`` itself.
    """
    if path.is_dir():
        yield from _folder(path, wanted)
    elif is_archive(path.name) or (path.is_file() and _magic(path) == b"PK\x03\x04"):
        yield from _archive(path, path.name, wanted)
    else:
        yield Source(path.name, lambda: _file(path))


def unpacked(name: str, data: bytes) -> tuple[str, bytes]:
    """``quartz.cif.gz`` and its bytes become ``quartz.cif`` and the bytes inside; others stay as they are.

    Raises:
        ValueError: broken, or too large.
    """
    if not name.lower().endswith(".gz"):
        return name, data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            return name[:-3], _bounded(stream.read(LARGEST_FILE + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the gzip file is broken or cut off ({error})") from error


def _magic(path: Path) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(4)
    except OSError:
        return b""


def _bounded(data: bytes) -> bytes:
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE >> 20} MiB, the most that is read of one file")
    return data


def _file(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"it is larger than {LARGEST_FILE >> 20} MiB, the most that is read of one file")
    with open(path, "rb") as stream:
        return _bounded(stream.read(LARGEST_FILE + 1))


def _folder(root: Path, wanted: Callable[[str], bool]) -> Iterator[Source | Problem]:
    others: list[str] = []
    unreadable: list[Problem] = []

    def report(error: OSError) -> None:
        unreadable.append(Problem(str(error.filename), f"the folder cannot be read ({error.strerror})"))

    for folder, folders, files in os.walk(root, onerror=report):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        # What write_crystals leaves are four views of the same crystals: read the one that holds all of it.
        views = {"candidates.cif.zip", "candidates.extxyz", "candidates.csv"}
        skipped = views if "candidates.parquet" in files else set()
        for file in sorted(set(files) - skipped):
            path = Path(folder, file)
            name = path.relative_to(root).as_posix()
            if _hidden(file):
                continue
            if not path.is_file():
                yield Problem(name, "it is a broken link or no regular file")
            elif is_archive(file):
                yield from _archive(path, name, wanted)
            elif wanted(file):
                yield Source(name, lambda path=path: _file(path))  # type: ignore[misc]
            else:
                others.append(name)
    yield from unreadable
    yield from _passed_over(others)


def _archive(path: Path, name: str, wanted: Callable[[str], bool]) -> Iterator[Source | Problem]:
    others: list[str] = []
    try:
        members = _zip if _magic(path)[:2] == b"PK" or name.lower().endswith(".zip") else _tar
        yield from members(path, name, wanted, others)
    except _BROKEN as error:
        yield Problem(name, f"the archive is broken or cut off ({error})", "copy or pack it again")
    yield from _passed_over(others)


def _zip(path: Path, name: str, wanted: Callable[[str], bool], others: list[str]) -> Iterator[Source | Problem]:
    with zipfile.ZipFile(path) as archive:
        total = 0
        for info in archive.infolist():  # in the archive's order: write_crystals keeps that of the run
            where = f"{name}/{info.filename}"
            if info.is_dir():
                continue
            if info.flag_bits & 0x1:
                yield Problem(name, "the archive is encrypted", "unpack it with its password and name the folder")
                return
            fault = _unsafe(info.filename)
            if fault is None and info.file_size > max(_SMALL, HIGHEST_RATIO * info.compress_size):
                fault = f"it would unpack to {info.file_size / 2**20:.0f} MiB from almost nothing (a zip bomb)"
            if not fault and not _chosen(info.filename, wanted, others):
                continue
            total += info.file_size
            if total > LARGEST_ARCHIVE:
                yield Problem(name, f"it unpacks to more than {LARGEST_ARCHIVE >> 30} GiB; the rest was not read")
                return
            if fault:
                yield Problem(where, fault)
                continue

            def read(info: zipfile.ZipInfo = info) -> bytes:
                try:
                    with archive.open(info) as stream:  # the header may lie about the size: bound the reading
                        return _bounded(stream.read(LARGEST_FILE + 1))
                except _BROKEN as error:
                    raise ValueError(f"this member of the archive is broken ({error})") from error

            yield Source(where, read)


def _tar(path: Path, name: str, wanted: Callable[[str], bool], others: list[str]) -> Iterator[Source | Problem]:
    with tarfile.open(path, "r:*") as archive:
        total = 0
        for member in archive:  # in the archive's order: going back and forth unpacks it again each time
            where = f"{name}/{member.name}"
            if member.isdir():
                continue
            total += member.size
            if member.size > LARGEST_FILE or total > LARGEST_ARCHIVE:
                yield Problem(where, "the archive unpacks to more than is safe; the rest of it was not read")
                return
            if not member.isfile():
                yield Problem(where, "it is a link or a device, not a file")
            elif fault := _unsafe(member.name):
                yield Problem(where, fault)
            elif _chosen(member.name, wanted, others):
                stream = archive.extractfile(member)
                data = stream.read() if stream else b""
                yield Source(where, lambda data=data: data)  # type: ignore[misc]


def _unsafe(member: str) -> str | None:
    parts = PurePosixPath(member.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or (len(member) > 1 and member[1] == ":"):
        return "its name points outside the archive"
    return None


def _chosen(member: str, wanted: Callable[[str], bool], others: list[str]) -> bool:
    path = PurePosixPath(member)
    if any(_hidden(part) for part in path.parts):
        return False
    if wanted(path.name):
        return True
    others.append(member)  # archives inside archives are among them
    return False


def _hidden(name: str) -> bool:
    """Files that systems leave behind and nobody means to hand over."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "__pycache__")


def _passed_over(names: list[str]) -> Iterator[Problem]:
    if names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        count = "1 file is" if len(names) == 1 else f"{len(names)} files are"
        yield Problem(shown, f"{count} in no crystal format and passed over")
