"""Files and folders that appear whole or not at all: kills, leftovers, links, and what errors name."""

import contextlib
import itertools
import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import jaxrl
from jaxrl.storage import atomic, clear_leftovers, new_file, new_folder, write_file

LEFTOVER = ".jaxrl-" + 32 * "0" + ".part"


class Killed(BaseException):
    """Stands in for SIGKILL: nothing is tidied up after it."""


def dying_at(number: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Makes the operation of that number, of all that change the disk, and every later one, raise `Killed` instead."""
    seen: list[str] = []

    def wrap(owner: object, name: str) -> None:
        real = getattr(owner, name)

        def wrapper(*arguments: object, **options: object) -> object:
            seen.append(name)
            if len(seen) >= number:
                raise Killed
            return real(*arguments, **options)

        patch.setattr(owner, name, wrapper)

    for owner, names in {os: ("open", "fsync", "replace", "unlink"), Path: ("mkdir", "rename", "unlink")}.items():
        for name in names:
            wrap(owner, name)
    wrap(shutil, "rmtree")
    return seen


def write(path: Path, text: str) -> None:
    if path.suffix:
        write_file(path, text.encode())
        return
    with new_folder(path) as beside:
        beside.mkdir()
        (beside / "one").write_text(text)
        (beside / "two").write_text(text)


def content(path: Path) -> set[str]:
    return {file.read_text() for file in ([path] if path.suffix else path.iterdir())}


@pytest.mark.parametrize("name", ["file.txt", "folder"])
def test_every_moment_leaves_the_old_or_the_new(name: str, tmp_path: Path) -> None:
    path, seen = tmp_path / name, set()
    for number in itertools.count(1):
        write(path, "old")
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
            operations = dying_at(number, patch)
            write(path, "new")
        clear_leftovers(tmp_path)
        assert [item.name for item in tmp_path.iterdir()] == [name], operations
        seen.add(*content(path))
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        if len(operations) < number:
            break
    assert seen == {"old", "new"}
    assert number > 5


def test_a_killed_process_leaves_what_the_next_writer_clears(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from jaxrl.storage import new_file, new_folder\n"
        "with new_file(sys.argv[1] + '/a.txt') as file, new_folder(sys.argv[1] + '/b') as folder:\n"
        "    file.write(b'half'); folder.mkdir(); (folder / 'half').write_text('x')\n"
        "    print('writing', flush=True); sys.stdin.read(1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "writing\n"
        before = sorted(path.name for path in tmp_path.iterdir())
        assert len(before) == 2
        # Of a process that lives nothing is touched, even by one that writes the same file.
        write_file(tmp_path / "a.txt", b"mine")
        write(tmp_path / "b", "mine")
        assert sorted(path.name for path in tmp_path.iterdir()) == [*before, "a.txt", "b"]
        other.communicate("x")
        assert other.returncode == -signal.SIGKILL
    assert {path.name for path in tmp_path.iterdir()} == {*before, "a.txt", "b"}
    write_file(tmp_path / "c.txt", b"more")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b", "c.txt"}
    assert content(tmp_path / "a.txt") == content(tmp_path / "b") == {"mine"}


def test_what_is_not_ours_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / LEFTOVER).symlink_to(outside)
    os.mkfifo(folder / LEFTOVER.replace("0", "1"))
    others = [".jaxrl-00.part", "jaxrl", ".part", LEFTOVER + "~", LEFTOVER.replace("0", "G"), "report.html.partial"]
    for name in others:
        (folder / name).write_text("mine")
    before = sorted(path.name for path in folder.iterdir())
    clear_leftovers(folder)
    clear_leftovers(tmp_path / "nowhere")
    assert sorted(path.name for path in folder.iterdir()) == before
    foreign = folder / LEFTOVER.replace("0", "2")
    foreign.write_text("of another user")
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        clear_leftovers(folder)
        assert foreign.exists()
    clear_leftovers(folder)
    assert not foreign.exists()
    assert outside.read_text() == "precious"


def test_no_link_leads_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    away = tmp_path / "away"
    away.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    # Even a name that could be foreseen would not be opened through a link.
    names = iter(["0" * 32, "1" * 32])
    (run / LEFTOVER).symlink_to(outside)
    monkeypatch.setattr(secrets, "token_hex", lambda _: next(names))
    with pytest.raises(FileExistsError, match=r"report\.html"):
        write_file(run / "report.html", b"page")
    monkeypatch.undo()
    (run / "report.html").symlink_to(outside)
    write_file(run / "report.html", b"page")
    (run / "model").symlink_to(away)
    write(run / "model", "new")
    assert outside.read_text() == "precious"
    assert list(away.iterdir()) == []
    assert not (run / "report.html").is_symlink()
    assert content(run / "model") == {"new"}


def test_a_leftover_of_a_stranger_brings_nothing_from_elsewhere(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    (elsewhere / "diary").write_text("mine")
    (folder / LEFTOVER).mkdir(parents=True)
    (folder / LEFTOVER / "old").symlink_to(elsewhere)
    clear_leftovers(folder)
    assert not any(folder.iterdir())
    assert (elsewhere / "diary").read_text() == "mine"


def test_a_leftover_that_another_process_takes_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = [], atomic.fcntl.flock

    def flock(handle: int, operation: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            (path,) = tmp_path.iterdir()
            clear_leftovers(tmp_path)
            assert not path.exists()
        real(handle, operation)

    monkeypatch.setattr(atomic.fcntl, "flock", flock)
    write_file(tmp_path / "a.txt", b"whole")
    assert content(tmp_path / "a.txt") == {"whole"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(atomic.fcntl, "flock", flock)
    (tmp_path / LEFTOVER).write_text("of whom?")
    write_file(tmp_path / "a.txt", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", LEFTOVER}


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    write_file(tmp_path / "a.txt", b"old")
    write(tmp_path / "b", "old")

    def fail(error: Exception) -> None:
        with new_file(tmp_path / "a.txt") as file, new_folder(tmp_path / "b") as folder:
            file.write(b"half")
            folder.mkdir()
            raise error

    with pytest.raises(OSError, match=r"No space left on device: '\S+/(a\.txt|b)'"):
        fail(OSError(28, "No space left on device"))
    with pytest.raises(RuntimeError):
        fail(RuntimeError())
    with pytest.MonkeyPatch.context() as patch:
        real = Path.rename

        def rename(self: Path, to: Path) -> Path:
            if self.name == "new":
                raise OSError(5, "Input/output error", str(self))
            return real(self, to)

        patch.setattr(Path, "rename", rename)
        with pytest.raises(OSError, match=r"Input/output error: '\S+/b'$"):
            write(tmp_path / "b", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b"]
    assert content(tmp_path / "a.txt") == content(tmp_path / "b") == {"old"}


def test_errors_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    for path, kind in ((tmp_path / "none" / "a", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(kind) as caught:
            write_file(path, b"")
        assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as missing, new_folder(tmp_path / "none" / "a"):
        pass
    assert missing.value.filename == str(tmp_path / "none" / "a")
    for special in ("pipe", "link"):
        if special == "pipe":
            os.mkfifo(tmp_path / "pipe")
        else:
            (tmp_path / "link").symlink_to("/dev/null")
        with pytest.raises(OSError, match="is no regular file"):
            write_file(tmp_path / special, b"")
    assert (tmp_path / "link").is_symlink()


def test_files_have_the_rights_of_any_other_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "a.txt", b"")
        write(tmp_path / "b", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o750


def test_nothing_else_in_the_project_writes_files_in_another_way() -> None:
    other = re.compile(r"os\.(replace|rename)\b|mkstemp|mkdtemp|write_(bytes|text)\(|\bopen\([^)]*[\"'][wax]b?\+?[\"']")
    root = Path(jaxrl.__file__).parent
    files = [file for file in sorted(root.rglob("*.py")) if file.parent.name != "storage"]
    result = {str(file.relative_to(root)): len(other.findall(file.read_text())) for file in files}
    # Within a block of `new_folder`, both.
    assert {name: count for name, count in result.items() if count} == {"export/__init__.py": 1, "sweeps/folder.py": 1}
