"""The one way in which jaxrl writes files and folders: each appears whole, or not at all.

What is written has an unpredictable name in the target's folder at first. It is created there and never opened, so
that no link leads it elsewhere; it is synced to disk, and renamed. Its writer locks it meanwhile (`flock`): an
unlocked one was left behind by a process that was killed, and the next writer in that folder removes it. Where a file
system knows no locks, such leftovers stay.
"""

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_LEFTOVER = re.compile(r"\.jaxrl-[0-9a-f]{32}\.part")
_NEW, _OLD = "new", "old"


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Gives an open file, which takes the place of `path` where the block ends without an error.

    Args:
      path: of the file; its folder must exist. A link there is replaced, not followed.

    Raises:
      OSError: it can't be written, or is there and no regular file. It names `path`.
    """
    target = Path(path)
    with _naming(target):
        _require_replaceable(target)
        clear_leftovers(target.parent)
        beside, handle = _locked(target.parent, folder=False)
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.replace(beside, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(beside)
            raise
        sync(target.parent)


def write_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file by `new_file`."""
    with new_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a name to make a folder at, which takes the place of `path` where the block ends without an error.

    A folder that is there goes. A kill in between leaves the old one, or nothing and the old one under another name;
    the next `clear_leftovers` then puts it back.

    Args:
      path: of the folder; the one that it lies in must exist.

    Raises:
      OSError: it can't be written. It names `path`.
    """
    target = Path(path)
    with _naming(target):
        parent = target.absolute().parent
        clear_leftovers(parent)
        around, handle = _locked(parent, folder=True)
        try:
            try:
                yield around / _NEW
                _sync_all(around / _NEW)
                _take_place(around, target)
                sync(parent)
            finally:
                _remove(around)
        finally:
            os.close(handle)


def _take_place(around: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        # Under its own name, by which it is put back.
        (around / _OLD).mkdir()
        target.rename(around / _OLD / target.name)
    (around / _NEW).rename(target)


def clear_leftovers(folder: str | os.PathLike[str]) -> None:
    """Removes what killed processes left half written in a folder; nothing of living ones, and nothing else."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_leftover(entry.name):
                with contextlib.suppress(OSError):
                    _clear(Path(folder) / entry.name)


def is_leftover(name: str) -> bool:
    """Whether a name is one that things have while they are written."""
    return _LEFTOVER.fullmatch(name) is not None


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk, so that no later rename gets there before."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _clear(path: Path) -> None:
    # Not blocking, because what has such a name might be a pipe.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid() or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Raises where a living process has it.
        if stat.S_ISREG(status.st_mode):
            path.unlink()
            return
        _remove(path)
    finally:
        os.close(handle)


def _remove(around: Path) -> None:
    """Removes a folder that another one was written in; what was to be replaced and was not goes back to its place."""
    replaced = around / _OLD
    # A link there is none of ours, and would bring back files from wherever it leads.
    for old in replaced.iterdir() if replaced.is_dir() and not replaced.is_symlink() else ():
        if not os.path.lexists(around.parent / old.name):
            old.rename(around.parent / old.name)
    shutil.rmtree(around, ignore_errors=True)


def _locked(parent: Path, folder: bool) -> tuple[Path, int]:
    """A new file, or folder, under an unpredictable name, and its open handle, which holds the lock."""
    while True:
        path = parent / f".jaxrl-{secrets.token_hex(16)}.part"
        if folder:
            path.mkdir()
        flags = os.O_RDONLY | os.O_DIRECTORY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            if not folder:
                raise
            continue  # Another process took it for a leftover, before it was locked.
        if _lock(handle) and os.path.lexists(path):
            return path, handle
        os.close(handle)


def _lock(handle: int) -> bool:
    """Locks; False where another process, which takes it for a leftover, was faster."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # The file system knows no locks.
        pass
    return True


def _sync_all(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        if not path.is_symlink():
            sync(path)


def _require_replaceable(target: Path) -> None:
    """Raises where a file in the target's place would take that of a folder, a device or a pipe."""
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(target))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file", str(target))


@contextlib.contextmanager
def _naming(target: Path) -> Iterator[None]:
    """Lets errors name the target, not what it is called while it is written."""
    try:
        yield
    except OSError as error:
        named = error.filename is not None and not any(map(is_leftover, Path(str(error.filename)).parts))
        if named or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(target)) from error
