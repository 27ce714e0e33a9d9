"""The harness of the benchmarks, with contenders that take a moment: nothing is timed here."""

import dataclasses
import json

import pytest

from benchmarks import race as racing
from benchmarks import report, works
from benchmarks.environments import REQUIREMENTS, AbsentError
from benchmarks.race import BOUND, OURS, PEER, Contender, Work, race

GAMES = {"games": 20, "player": "shuffled"}
OURSELVES = Contender("jaxrl", "peers.plane_strike_python", GAMES, OURS)
PEERS = (
    Contender("quick", "peers.plane_strike_python", GAMES),
    Contender("broken", "peers.plane_strike_python", {"player": "shuffled"}),
    Contender("elsewhere", "peers.plane_strike_python", GAMES, peer="gymnax"),
)
LIMIT = Contender("limit", "peers.plane_strike_python", GAMES, BOUND)
WORK = Work("env-test", "a test", "steps", (OURSELVES, *PEERS, LIMIT), rounds=2)


@pytest.fixture
def no_environments(monkeypatch):
    python_of = racing.python_of

    def refuse(peer, device):
        if peer is not None:
            raise AbsentError("there is no network")
        return python_of(peer, device)

    monkeypatch.setattr(racing, "python_of", refuse)


def test_contenders_run_by_turns_and_the_absent_are_reported(no_environments, tmp_path):
    record = race(WORK, "cpu", peers=True)
    rows = record["rows"]
    assert [row["role"] for row in rows.values()] == [OURS, PEER, PEER, PEER, BOUND]
    assert len(rows["jaxrl"]["speeds"]) == len(rows["quick"]["speeds"]) == 2
    assert rows["quick"]["slowest"] <= rows["quick"]["speed"] <= rows["quick"]["fastest"]
    assert "missing 1 required positional argument: 'games'" in rows["broken"]["absent"]
    assert rows["elsewhere"]["absent"] == "there is no network"
    assert record["best_peer"] == "quick"
    pairs = [a / b for a, b in zip(rows["jaxrl"]["speeds"], rows["quick"]["speeds"], strict=True)]
    assert record["ratio"] == pytest.approx(sum(pairs) / 2)
    assert set(record["fractions"]) == {"limit"}

    machine = {"date": "2026-01-01", "commit": "abc", "device": "cpu", "cores": 2, "processor": "P", "memory_gib": 1}
    machine |= {"system": "Linux", "python": "3.11", "packages": {"jax": "1"}}
    report.write({"machine": machine, "works": {"env-test": record | {"machine": machine}}}, tmp_path)
    table = (tmp_path / "results.md").read_text()
    assert "| elsewhere | absent | | | | there is no network |" in table
    assert (tmp_path / "speeds.png").stat().st_size > 5_000
    assert json.loads((tmp_path / "results.json").read_text())["works"]["env-test"]["best_peer"] == "quick"


def test_a_failure_of_our_own_is_no_absence():
    ours = Contender("jaxrl", "peers.plane_strike_python", {"player": "shuffled"}, OURS)
    with pytest.raises(RuntimeError, match=r"a test: jaxrl failed: .*missing 1 required positional argument: 'games'"):
        race(dataclasses.replace(WORK, contenders=(ours,)), "cpu", peers=False)


def test_peers_stay_out_unless_asked_for(no_environments):
    work = dataclasses.replace(WORK, contenders=(OURSELVES, PEERS[0], PEERS[2]), rounds=1)
    assert set(race(work, "cpu", peers=False)["rows"]) == {"jaxrl", "quick"}


def test_every_peer_has_its_requirements_and_every_work_its_own_key():
    parts = (works.env, works.dqn, works.reinforce, works.scaling)
    alone = (works.learning, works.memory, works.compiling)
    all_works = [work for part in parts for work in part(2, 3)] + [work for part in alone for work in part(2)]
    assert len({work.key for work in all_works}) == len(all_works)
    for contender in (contender for work in all_works for contender in work.contenders):
        assert contender.peer is None or (REQUIREMENTS / f"{contender.peer}.txt").exists()
    assert all([c.role for c in work.contenders].count(OURS) == 1 for work in all_works)


@pytest.mark.parametrize(
    ("number", "text"), [(None, "-"), (0.5, "0.5"), (1234, "1.23 k"), (98_765_432, "98.8 M"), (5e9, "5 G")]
)
def test_counts_are_short(number, text):
    assert report.count(number) == text
