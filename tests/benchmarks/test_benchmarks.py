"""The harness of the benchmarks, with contenders that take a moment: nothing is timed here."""

import dataclasses
import importlib.util
import json
import subprocess

import jax
import numpy as np
import pytest

import jaxrl
from benchmarks import race as racing
from benchmarks import report
from benchmarks.__main__ import chosen
from benchmarks.curves import by_log_point, learned
from benchmarks.environments import REQUIREMENTS, AbsentError
from benchmarks.ours.fused import Fused
from benchmarks.peers import sources
from benchmarks.race import BOUND, OURS, PEER, Contender, Work, race
from benchmarks.works import PARTS
from benchmarks.works.random_play import STACK
from jaxrl.actors import start_actors
from jaxrl.rollout import random_rollout
from jaxrl.wrappers import make_wrapper

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
    record |= {"machine": machine}
    lesson = {"title": "a lesson", "unit": "steps", "machine": machine, "rows": {"jaxrl": dict(rows["jaxrl"])}}
    lesson["rows"]["jaxrl"] |= learned(np.full((4, 10), 480.0), 100, 475.0) | {"measured_bytes": 3 << 20}
    report.write({"machine": machine, "works": {"env-test": record, "a-learning": lesson}}, tmp_path)
    table = (tmp_path / "results.md").read_text()
    assert "| elsewhere | absent | | | | there is no network |" in table
    assert "100% of the members solve it at the end;" in table
    assert "; return at the end 480; the process grew by 3 MiB |" in table
    assert (tmp_path / "speeds.png").stat().st_size > 5_000
    assert (tmp_path / "learning.png").stat().st_size > 5_000
    assert json.loads((tmp_path / "results.json").read_text())["works"]["env-test"]["best_peer"] == "quick"


def test_a_failure_of_our_own_is_no_absence():
    ours = Contender("jaxrl", "peers.plane_strike_python", {"player": "shuffled"}, OURS)
    with pytest.raises(RuntimeError, match=r"a test: jaxrl failed: .*missing 1 required positional argument: 'games'"):
        race(dataclasses.replace(WORK, contenders=(ours,)), "cpu", peers=False)


def test_peers_stay_out_unless_asked_for(no_environments):
    work = dataclasses.replace(WORK, contenders=(OURSELVES, PEERS[0], PEERS[2]), rounds=1)
    assert set(race(work, "cpu", peers=False)["rows"]) == {"jaxrl", "quick"}


def test_every_peer_has_its_requirements_and_every_work_its_own_key():
    all_works = [work for make in PARTS.values() for work in make(2, 3)]
    assert len({work.key for work in all_works}) == len(all_works)
    for contender in (contender for work in all_works for contender in work.contenders):
        assert contender.peer is None or (REQUIREMENTS / f"{contender.peer}.txt").exists()
        assert importlib.util.find_spec(f"benchmarks.{contender.module}")
    assert all([c.role for c in work.contenders].count(OURS) == 1 for work in all_works)


def test_parts_and_single_works_can_be_chosen():
    keys = [work.key for work in chosen(["reinforce", "ppo-gru-1"], devices=2, rounds=3)]
    assert keys == ["reinforce-1", "reinforce-16", "ppo-gru-1"]


def test_the_stack_of_wrappers_and_the_one_environment_do_the_same():
    stack, fused = jaxrl.make("CartPole-v1"), Fused()
    for name, parameters in STACK:
        stack = make_wrapper(name, stack, **parameters)

    def play(env):
        actors = start_actors(env, jax.random.key(0), 16)
        return random_rollout(env, actors, 60, jax.random.key(1), lambda step: step.transition)[1]

    one, other = jax.jit(lambda: (play(stack), play(fused)))()
    assert one.terminated.any()
    for name in ("obs", "next_obs", "reward", "terminated", "truncated", "length"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-6, err_msg=name)
    for bound in ("low", "high"):
        np.testing.assert_array_equal(*(getattr(env.observation_space, bound) for env in (stack, fused)))
    costs = [jax.jit(lambda env=env: play(env)).lower().compile().cost_analysis() for env in (stack, fused)]
    for cost in ("flops", "bytes accessed"):
        assert costs[0][cost] <= 1.02 * costs[1][cost]


def test_what_was_learned_weighs_members_alike_and_counts_those_without_episodes_as_unsolved():
    nan = np.nan
    # Twenty log points; the last two are the last tenth.
    returns = np.full((4, 20), 10.0)
    returns[:, 18:] = [[480, 490], [475, nan], [474, 474], [nan, nan]]
    result = learned(returns, steps=1_000, solved=475.0)
    assert result["solved"] == 2 / 4
    assert result["final_return"] == pytest.approx((485 + 475 + 474) / 3)
    assert result["curve"][0] == [50, 10.0]
    assert result["curve"][18] == [950, pytest.approx((480 + 475 + 474) / 3)]
    nothing = learned(np.full((2, 3), nan), steps=30)
    assert nothing == {"final_return": None, "curve": [[10, None], [20, None], [30, None]]}


def test_episodes_are_averaged_in_the_log_point_in_which_they_end():
    ended = np.zeros((1, 6, 2), bool)
    returns = np.full((1, 6, 2), 1e6)
    for time, env, value in ((0, 0, 3.0), (1, 1, 5.0), (4, 0, 7.0)):
        ended[0, time, env], returns[0, time, env] = True, value
    np.testing.assert_array_equal(by_log_point(ended, returns, log_points=3), [[4.0, np.nan, 7.0]])


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A repository with one commit that stands in for purejaxrl's, and is the pinned one."""
    folder = tmp_path / "published"
    (folder / "purejaxrl").mkdir(parents=True)
    (folder / "purejaxrl" / "ppo.py").write_text("SETTING = 1\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "uploadpack.allowAnySHA1InWant=true"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    names = ("HEAD", "HEAD:purejaxrl/ppo.py")
    commit, blob = (
        subprocess.run(
            ["git", "rev-parse", name], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in names
    )
    monkeypatch.delenv("PUREJAXRL", raising=False)
    for name, value in (
        ("FOLDER", tmp_path / "cache"),
        ("PUREJAXRL", folder.as_uri()),
        ("PUREJAXRL_COMMIT", commit),
        ("PUREJAXRL_BLOBS", {"purejaxrl/ppo.py": blob}),
    ):
        monkeypatch.setattr(sources, name, value)
    return folder


def test_a_pinned_source_is_fetched_once_or_taken_from_a_named_checkout(published, tmp_path, monkeypatch):
    folder = sources.purejaxrl()
    assert folder.is_relative_to(tmp_path / "cache")
    assert (folder / "ppo.py").read_text() == "SETTING = 1\n"
    monkeypatch.setattr(sources, "PUREJAXRL", "file:///nowhere")
    assert sources.purejaxrl() == folder
    monkeypatch.setenv("PUREJAXRL", str(published))
    assert sources.purejaxrl() == published / "purejaxrl"


def test_a_source_that_is_not_the_pinned_one_is_refused(published, monkeypatch):
    (published / "purejaxrl" / "ppo.py").write_text("SETTING = 2\n")
    monkeypatch.setenv("PUREJAXRL", str(published))
    with pytest.raises(RuntimeError, match=r"purejaxrl/ppo.py in the folder of purejaxrl is not that of commit"):
        sources.purejaxrl()


def test_a_source_that_cannot_be_fetched_says_why(published, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PUREJAXRL", (tmp_path / "nowhere").as_uri())
    with pytest.raises(RuntimeError, match=r"git could not fetch .*PUREJAXRL=FOLDER names a checkout.*nowhere"):
        sources.purejaxrl()


@pytest.mark.parametrize(
    ("number", "text"), [(None, "-"), (0.5, "0.5"), (1234, "1.23 k"), (98_765_432, "98.8 M"), (5e9, "5 G")]
)
def test_counts_are_short(number, text):
    assert report.count(number) == text
