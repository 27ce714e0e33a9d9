"""Devices and the compilation cache, in processes of their own."""

import json
import subprocess
import sys

import pytest

from jaxrl.devices import user_caches

CODE = """
import json, sys
import jax
import jaxrl
folder = jaxrl.use_compilation_cache(sys.argv[1])
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition("/")[2]))
agent = jaxrl.DQN(jaxrl.make("CartPole-v1"), hidden=(8,), learning_rate=float(sys.argv[2]))
result = jaxrl.train(agent, int(sys.argv[3]), seeds=2, progress=False)
counts = events.count("cache_hits"), events.count("cache_misses")
print(json.dumps([str(folder), *counts, result.log["loss"].tolist()]))
"""


def test_a_compiled_program_serves_other_processes_other_leaves_and_other_lengths(tmp_path):
    folder = tmp_path / "new" / "cache"

    def train(rate, steps):
        command = [sys.executable, "-c", CODE, str(folder), str(rate), str(steps)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        where, hits, misses, loss = json.loads(done.stdout)
        assert where == str(folder)
        return hits, misses, loss

    hits, misses, first = train(1e-3, 1_200)
    assert hits == 0
    assert misses > 0
    assert train(1e-3, 1_200) == (misses, 0, first)
    hits, misses, other = train(1e-2, 1_400)
    assert (hits > 0, misses) == (True, 0)
    assert other != first


MOVED = """
import sys
from pathlib import Path
import jax
import jaxrl
for number, folder in enumerate(sys.argv[1:]):
    jaxrl.use_compilation_cache(folder)
    jax.jit(lambda x: x * (number + 2))(1.0)
print(*[len(list(Path(folder).iterdir())) > 0 for folder in sys.argv[1:]])
"""


def test_another_folder_is_used_from_there_on(tmp_path):
    command = [sys.executable, "-c", MOVED, str(tmp_path / "first"), str(tmp_path / "second")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "True True"


@pytest.mark.parametrize(
    ("variable", "folder"), [(None, "home/.cache"), ("", "home/.cache"), ("elsewhere", "elsewhere")]
)
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has one place")
def test_the_users_caches_are_where_xdg_has_them(variable, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if variable is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", variable and str(tmp_path / variable))
    assert user_caches() == tmp_path / folder
