"""The README's Python runs as it stands, with shorter runs."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jaxrl
from jaxrl.cli import main

README = Path(__file__).parent.parent / "README.md"
SHORTER = {
    r"steps=[\d_]+": "steps=1_100",
    r"evaluate_every=[\d_]+": "evaluate_every=1_000",
    r"seeds=\d+": "seeds=2",
    r"members = \d+": "members = 2",
    r"trials=\d+": "trials=5",
    r"seed=3": "seed=1",
}


@pytest.mark.filterwarnings("ignore:.*can't be imported by other processes")
def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxrl.use_cpu_cores", lambda: None)  # JAX has started long ago.
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        for long, short in SHORTER.items():
            block = re.sub(long, short, block)
        exec(compile(block, str(README), "exec"), names)
    assert names["result"].members == 2
    assert (tmp_path / "sweep.html").exists()


def test_the_toml_of_a_sweep_is_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (content,) = re.findall(r"```toml\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "sweep.toml").write_text(content)
    assert main(["sweep", "sweep.toml", "--dry-run"]) == 0
    output = capsys.readouterr().out
    assert "64 trials x 8 seeds = 512" in output
    assert "4 (by batch_size, hidden)" in output


def test_two_processes_share_the_work(tmp_path):
    (program,) = (b for b in re.findall(r"```py\n(.*?)```", README.read_text(), re.DOTALL) if "distributed" in b)
    (tmp_path / "share.py").write_text(program.replace("range(64)", "range(6)").replace("50_000", "1_100"))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "share.py", address, "2"]
    shares = [
        subprocess.Popen([*command, str(place)], cwd=tmp_path, stdout=subprocess.PIPE, text=True) for place in range(2)
    ]
    output = [share.communicate(timeout=300)[0] for share in shares]
    assert [share.returncode for share in shares] == [0, 0]
    parts = [jaxrl.load(tmp_path / "runs" / f"share-{place}") for place in range(2)]
    assert [part.seeds.tolist() for part in parts] == [[0, 2, 4], [1, 3, 5]]
    mean = np.concatenate([part.returns for part in parts]).mean()
    # JAX's own library for messages between processes says a line too.
    assert [line for text in output for line in text.splitlines() if "Gloo" not in line] == [f"{mean:.2f}"]
