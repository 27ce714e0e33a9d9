"""The documentation: its code runs, its measured results are those of the presets as they are, it needs no other host.

Whether it builds, with all that is generated, is tested by building it (`.ci/run`).
"""

import json
import re
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

import jaxrl
from benchmarks import learning
from jaxrl.agents import ALGORITHMS
from jaxrl.cli import main
from jaxrl.config import to_config

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RESULTS = sorted(learning.FOLDER.glob("*.json"))
COMMANDS = {"sweep-report", "train", "sweep", "evaluate", "render", "export", "inspect", "check", "envs"}
"""Commands that pages may show."""


@pytest.fixture(scope="module")
def reference():
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        yield runpy.run_path(str(DOCS / "_ext" / "reference.py"))
    finally:
        sys.path.remove(str(DOCS / "_ext"))


@pytest.mark.usefixtures("fast_compilation")
@pytest.mark.parametrize(("page", "column"), [("algorithm.md", "kl"), ("algorithms/ppo.md", "evaluation_return")])
def test_code_that_is_not_executed_as_the_site_is_built(page, column):
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    for long, short in {
        "steps=[0-9_]+": "steps=1_100",
        "every=[0-9_]+": "every=1_000",
        "seeds=[0-9]+": "seeds=2",
    }.items():
        block = re.sub(long, short, block)
    names = {}
    exec(block, names)
    assert names["result"].members == 2
    assert column in names["result"].log


def test_no_code_is_left_out():
    """Python in a page is executed as the site is built, or tested above; "py" marks what needs other libraries."""
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if "```python\n" in page.read_text()}
    assert {page for page in pages if not page.startswith(("generated", "_build"))} == {
        "algorithm.md",
        "algorithms/ppo.md",
    }


def test_the_file_of_a_sweep_is_one(capsys):
    assert main(["sweep", str(ROOT / "examples" / "sweep.toml"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "16 trials x 4 seeds = 64" in said
    assert "2 (by num_envs)" in said


def test_two_processes_share_the_work(tmp_path):
    program = (ROOT / "examples" / "share.py").read_text()
    (tmp_path / "share.py").write_text(program.replace("range(64)", "range(6)").replace("50_000", "1_100"))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, "share.py", address, "2"]
    shares = [
        subprocess.Popen([*command, str(place)], cwd=tmp_path, stdout=subprocess.PIPE, text=True) for place in range(2)
    ]
    said = [share.communicate(timeout=300)[0] for share in shares]
    assert [share.returncode for share in shares] == [0, 0]
    parts = [jaxrl.load(tmp_path / "runs" / f"share-{place}") for place in range(2)]
    assert [part.seeds.tolist() for part in parts] == [[0, 2, 4], [1, 3, 5]]
    mean = np.concatenate([part.returns for part in parts]).mean()
    # JAX's own library for messages between processes says a line too.
    assert [line for text in said for line in text.splitlines() if "Gloo" not in line] == [f"{mean:.2f}"]


def test_every_algorithm_has_a_page():
    assert {page.stem for page in (DOCS / "algorithms").glob("*.md")} - {"index"} == set(ALGORITHMS)
    for name in ALGORITHMS:
        page = (DOCS / "algorithms" / f"{name}.md").read_text()
        for part in ("## Equations", "## Known failures", f"fields-{name}.md", f"scores-{name}.md"):
            assert part in page


def test_pages_show_commands_that_there_are():
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md"]
    blocks = [block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)]
    shown = {word for block in blocks for word in re.findall(r"^(?:\S*/)?jaxrl ([\w-]+)", block, re.MULTILINE)}
    assert len(shown) > 5
    assert shown <= COMMANDS


def test_every_public_name_is_in_the_reference(reference):
    """Those of the package and of every public package in it; the build fails where one has no entry."""
    homes = reference["homes"]()
    contributing = (ROOT / "CONTRIBUTING.md").read_text().partition("## What is public")[2]
    packages = set(re.findall(r"`(jaxrl\.\w+)`", contributing))
    assert len(packages) > 5
    for name in {"jaxrl", "jaxrl.sweeps", "jaxrl.distributions"} | packages - {"jaxrl.__all__"}:
        module = sys.modules.get(name) or __import__(name, fromlist=["_"])
        public = {f"{name}.{x}" for x in module.__all__ if type(getattr(module, x)) is not type(sys)}
        assert public <= homes.keys()
    assert homes["jaxrl.agents.PPO"] == "jaxrl.PPO"
    assert homes["jaxrl.returns.lambda_returns"] == "jaxrl.returns.lambda_returns"


@pytest.mark.parametrize("path", RESULTS, ids=[path.stem for path in RESULTS])
def test_measured_results_are_of_the_presets_as_they_are(path):
    measured = json.loads(path.read_text())
    preset = learning.WORKS[path.stem]
    then, now = measured["agent"]["fields"], json.loads(json.dumps(to_config(preset.agent())))["fields"]
    assert {name: then[name] for name in then.keys() & now} == {name: now[name] for name in then.keys() & now}
    assert len(then.keys() & now) > 5
    assert measured["steps"] <= preset.iterations * preset.agent().steps_per_iteration
    assert len(measured["returns"]) == len(measured["seeds"]) >= 8
    assert min(measured["seeds"]) >= learning.FIRST_SEED
    if measured["solved_return"] is not None:
        solved = sum(score >= measured["solved_return"] for score in measured["returns"])
        interval = binomtest(solved, len(measured["seeds"])).proportion_ci(0.95, method="exact")
        assert measured["solved"] == {"seeds": solved, "low": interval.low, "high": interval.high}


def test_the_measurement(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "FOLDER", tmp_path)
    short = learning.Preset("q-learning", "FrozenLake-v1", {"num_envs": 4}, iterations=20, description="")
    found = learning.measured(short, seeds=2, device="cpu")
    assert found["steps"] == 20 * 4 * 16
    assert found["seeds"] == [5_000, 5_001]
    assert found["solved"]["seeds"] == sum(score >= 0.7 for score in found["returns"])
    steps, low, middle, high = np.transpose(found["curve"])
    assert (np.diff(steps) > 0).all()
    assert (low <= middle).all()
    assert (middle <= high).all()


@pytest.mark.parametrize(
    ("text", "style", "count"),
    [
        ('<script src="https://cdn.example/x.js"></script>', False, 1),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', False, 1),
        ("<img alt='x' src='http://example/x.png'>", False, 1),
        ('<style>@import "https://example/x.css";</style>', False, 1),
        ("@font-face { src: url(https://example/x.woff2) }", True, 1),
        ('<a href="https://example">x</a><img src="x.png"><link rel="stylesheet" href="x.css">', False, 0),
        ("a { background: url(x.png) }", True, 0),
    ],
)
def test_what_needs_another_host_is_seen(text, style, count):
    found = runpy.run_path(str(DOCS / "_ext" / "remote_assets.py"))["remote_assets"]
    assert len(found(text, style)) == count
