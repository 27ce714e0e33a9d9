"""The README's Python runs as it stands, with shorter runs."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
SHORTER = {
    r"steps=[\d_]+": "steps=1_100",
    r"seeds=\d+": "seeds=2",
    r"members = \d+": "members = 2",
    r"trials=\d+": "trials=5",
}


@pytest.mark.filterwarnings("ignore:.*can't be imported by other processes")
def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jaxrl.use_cpu_cores", lambda: None)  # JAX has started long ago.
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    names = {}
    for block in blocks:
        for long, short in SHORTER.items():
            block = re.sub(long, short, block)
        exec(compile(block, str(README), "exec"), names)
    assert names["result"].members == 2
    assert (tmp_path / "sweep.html").exists()


def test_it_links_to_files_that_there_are():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text())
    assert len(links) > 10
    for link in links:
        assert (README.parent / link).exists(), link


def test_it_is_short():
    assert len(README.read_text().splitlines()) < 150
