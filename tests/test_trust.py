"""Reading a folder runs nothing of it: which classes a configuration may name."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_run_directories import dqn, train, write_config

import jaxrl
from jaxrl import checkpoints
from jaxrl.cli import main
from jaxrl.config import from_config, to_config
from jaxrl.run_directory import RunDirectory
from jaxrl.storage import RunDirectoryError, checksum_of, file_checksum, write_checksums
from jaxrl.sweeps import SweepFolder
from jaxrl.trust import Trust, checked_trust

pytestmark = pytest.mark.usefixtures("fast_compilation")

MODULE = """
    import pathlib
    pathlib.Path({marker!r}).touch()
    import jaxrl

    @jaxrl.pytree
    class Mine(jaxrl.envs.CartPole):
        pass

    @jaxrl.pytree
    class Values:
        number: float = 1.0

    class Undecorated(jaxrl.envs.CartPole):
        pass

    def __getattr__(name):
        pathlib.Path({marker!r}).with_suffix(".attribute").touch()
        raise AttributeError(name)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a copied run in `downloaded` and a module beside it that tells when it runs."""
    shutil.copytree(_run(tmp_path), tmp_path / "here" / "downloaded")
    here = tmp_path / "here"
    module = textwrap.dedent(MODULE.format(marker=str(tmp_path / "ran")))
    (here / "mine.py").write_text(module)
    (here / "downloaded" / "evil.py").write_text(module)
    monkeypatch.chdir(here)
    path, modules = list(sys.path), set(sys.modules)
    yield here
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("mine", "downloaded", "evil", "package"):
            del sys.modules[name]


def _run(folder: Path) -> Path:
    train(folder / "run", seeds=[7], steps=10, log_points=1)
    return folder / "run"


def name_class(run: Path, path: str, what: str = "env") -> None:
    """Lets a run be one of another class, its checksums and all."""
    config = json.loads((run / "config.json").read_text())
    owner = config["agent"]["fields"] if what == "env" else config
    owner[what]["class"] = path
    write_config(run, config)
    owned = RunDirectory(run, config)._identity
    for block in (run / "blocks").glob("*.npz") if (run / "blocks").exists() else ():
        arrays = checkpoints.read_arrays(block)
        manifest = json.loads(arrays["manifest"].tobytes())
        del manifest["checksum"]
        manifest["run"] = owned
        manifest["checksum"] = checksum_of(manifest)
        with open(block, "wb") as file:
            text = json.dumps(manifest).encode()
            checkpoints.write_arrays(file, arrays | {"manifest": np.frombuffer(text, np.uint8)})
    for name in ("greedy_returns.npz", "checksums.json"):
        (run / name).unlink(missing_ok=True)


def ran(place: Path) -> bool:
    return bool(list(place.parent.glob("ran*")))


@pytest.mark.parametrize("what", ["agent", "env"])
@pytest.mark.parametrize("path", ["downloaded.evil.Mine", "evil.Mine", "mine.Mine"])
@pytest.mark.parametrize(
    "words", [["evaluate"], ["render", "best.gif"], ["export", "policy.tflite"], ["evaluate", "--trust", "nothing"]]
)
def test_no_command_runs_what_a_folder_names(
    words: list[str], path: str, what: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name_class(place / "downloaded", path, what)
    assert main([words[0], "downloaded", *words[1:]]) == 2
    assert not ran(place)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"(--trust {path.rpartition('.')[0]})" in error


@pytest.mark.parametrize("path", ["downloaded.evil.Mine", "evil.Mine"])
def test_a_module_in_the_folder_is_refused_though_it_is_trusted_or_imported(
    path: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, module = place / "downloaded", path.rpartition(".")[0]
    name_class(run, path)
    monkeypatch.syspath_prepend(str(run))
    assert main(["evaluate", "downloaded", "--trust", module]) == 2
    assert f"lies in {Path('downloaded')}, the folder that is read" in capsys.readouterr().err
    with pytest.raises(RunDirectoryError, match=r"lies in .*downloaded, the folder that is read"):
        jaxrl.load(run, trust=[module])
    assert not ran(place)
    imported = types.ModuleType(module)
    imported.__file__ = str(run / "evil.py")
    monkeypatch.setitem(sys.modules, module, imported)
    monkeypatch.setitem(sys.modules, "downloaded", types.ModuleType("downloaded"))
    with pytest.raises(RunDirectoryError, match="lies in"):
        jaxrl.load(run)


def test_a_link_to_a_module_in_the_folder_is_refused(place: Path) -> None:
    (place / "innocent.py").symlink_to(place / "downloaded" / "evil.py")
    sys.path.append(str(place))
    name_class(place / "downloaded", "innocent.Mine")
    with pytest.raises(RunDirectoryError, match="lies in"):
        jaxrl.load(place / "downloaded", trust=["innocent"])
    assert not ran(place)


def test_a_module_that_the_user_names_is_imported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name_class(place / "downloaded", "mine.Mine")
    assert main(["evaluate", "downloaded", "--trust", "mine", "--episodes", "2"]) == 0
    assert ran(place)
    assert type(jaxrl.load(place / "downloaded").agent.env).__name__ == "Mine"
    # It is imported now: whoever did that has run it already.
    assert main(["evaluate", "downloaded", "--episodes", "2"]) == 0
    assert "greedy return" in capsys.readouterr().out


def test_trusting_a_package_trusts_what_is_in_it(place: Path) -> None:
    (place / "package" / "inner").mkdir(parents=True)
    shutil.copy(place / "mine.py", place / "package" / "inner" / "mine.py")
    name_class(place / "downloaded", "package.inner.mine.Mine")
    sys.path.append(str(place))
    for refused in ([], ["packag"], ["mine"]):
        with pytest.raises(RunDirectoryError, match=r"add trust=\['package.inner.mine'\]"):
            jaxrl.load(place / "downloaded", trust=refused)
    assert not ran(place)
    assert type(jaxrl.load(place / "downloaded", trust=["package"]).agent.env).__module__ == "package.inner.mine"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mine.Values", "must be|made .*Values|no .*Environment|env"),
        ("mine.Undecorated", "is no class made by jaxrl.pytree"),
        ("mine.jaxrl", "is no class made by jaxrl.pytree"),
        ("mine.pathlib.Path", "has no class 'pathlib'"),
        ("mine.Missing", "has no class 'Missing'"),
        ("mine.__getattr__", "is no class made by jaxrl.pytree"),
    ],
)
def test_nothing_else_of_a_trusted_module_is_used(path: str, words: str, place: Path) -> None:
    sys.path.append(str(place))
    for what in ("agent", "env"):
        name_class(place / "downloaded", path, what)
        with pytest.raises((RunDirectoryError, TypeError), match=f"{words}|is no Agent|has no field"):
            jaxrl.load(place / "downloaded", trust=["mine"])
    assert not list(place.parent.glob("*.attribute"))


def test_the_whole_must_be_an_agent() -> None:
    with pytest.raises(ValueError, match="CartPole is no Agent"):
        from_config(to_config(jaxrl.make("CartPole-v1")), kind=jaxrl.Agent)
    with pytest.raises(ValueError, match=r"subprocess\.Popen is no class made by"):
        from_config({"class": "subprocess.Popen", "fields": {}}, Trust(("subprocess",)), jaxrl.Agent)


@pytest.mark.parametrize("trust", ["mine", 3, [3], [""], ["a b"], ["mine.py/x"], None])
def test_trust_is_a_list_of_names(trust: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="trust"):
        jaxrl.load(tmp_path, trust=trust)
    assert checked_trust(["a.b"], tmp_path) == Trust(("a.b",), tmp_path)


def test_sweeps_are_as_careful(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"seeds": 1, "steps": 20, "log_points": 2, "episodes": 1, "devices": 1, "progress": False}
    jaxrl.sweep(dqn(), {"discount": [0.9, 0.99]}, out=place / "sweep", **settings)
    name_class(place / "sweep", "mine.Mine")
    tables = {name: file_checksum(place / "sweep" / name) for name in ("results.parquet", "curves.parquet")}
    write_checksums(place / "sweep", SweepFolder.open(place / "sweep").identity, tables)
    assert main(["sweep-report", "sweep"]) == 2
    assert "If you trust it, add trust=['mine'] (--trust mine)" in capsys.readouterr().err
    assert not ran(place)
    assert main(["sweep-report", "sweep", "--trust", "mine"]) == 0
    assert ran(place)


def test_a_module_that_a_command_names_is_found_here(place: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    code = "import sys; from jaxrl.cli import main; sys.path.remove(''); sys.exit(main(sys.argv[1:]))"
    for words in (["check", "mine:Mine", "--steps", "20"], ["envs", "mine:Mine"]):
        command = [sys.executable, "-c", code, *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_link_in_a_folder_is_not_written_through(place: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "events.out.tfevents.1").write_text("precious")
    run = place / "downloaded"
    (run / "evil.py").unlink()
    for name in ("blocks", "tensorboard", "curves.png", "checkpoint.npz"):
        copy = Path(shutil.copytree(run, tmp_path / f"with {name}"))
        if (copy / name).is_dir():
            shutil.rmtree(copy / name)
        (copy / name).unlink(missing_ok=True)
        (copy / "checksums.json").unlink()
        (copy / name).symlink_to(outside if name in ("blocks", "tensorboard") else outside / "file")
        with pytest.raises(RunDirectoryError, match=f"{name} is a link that leads out of the folder"):
            train(copy, seeds=[7], steps=10, log_points=1, resume=True)
    assert [path.name for path in outside.iterdir()] == ["events.out.tfevents.1"]
