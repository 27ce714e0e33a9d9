"""Faults of environments in training are named as such, in the first row of the log in which they appear."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import plain
from faulty_environments import Faulty
from small_runs import a2c, cart_pole, dqn, ppo, reinforce, train

import jaxrl
from jaxrl import loop
from jaxrl.blocks import finished_log
from jaxrl.cli import main
from jaxrl.env_checker import CODES

pytestmark = pytest.mark.usefixtures("fast_compilation")


FAULTS = [0, 1, 1, 2, 2, 4, 7]
"""What the log says of each kind."""


@pytest.mark.parametrize("build", [dqn, ppo, a2c, reinforce], ids=["dqn", "ppo", "a2c", "reinforce"])
def test_a_fault_is_named_and_is_no_divergence(build: Any) -> None:
    with pytest.warns(UserWarning, match="gave") as warned:
        result = train(build(env=Faulty()), 60, seeds=7, vary={"env.kind": np.arange(7)}, log_points=4)
    assert result.log["fault"].tolist() == [[fault] * 4 for fault in FAULTS]
    assert not result.log["diverged"].any()
    assert result.failed.tolist() == [False] + [True] * 6
    assert result.best().index == 0
    texts = [str(warning.message) for warning in warned if "gave" in str(warning.message)]
    for text, what, first, code in zip(
        texts,
        ("rewards that are not finite: 3", "observations that are not finite: 3", "masks that allow no action: 2"),
        (1, 3, 5),
        ("reward-not-finite", "obs-not-finite", "mask-empty"),
        strict=True,
    ):
        assert text.startswith(f"Faulty gave {what} of 7 members, first in row 0 of the log, by step ")
        assert text.endswith(f" of member {first}; {CODES[code][1]}")


@jaxrl.pytree
class WrongLater(jaxrl.Environment):
    """One endless episode in which rewards are wrong from a step on."""

    late: float = 50.0
    max_steps: int = jaxrl.static(default=10_000)
    observation_space, action_space = jaxrl.Box(shape=(1,)), jaxrl.Discrete(2)

    def reset(self, key: Any) -> Any:
        return jnp.float32(0), jnp.zeros(1)

    def step(self, state: Any, action: Any, key: Any) -> Any:
        reward = jnp.where(state + 1 == self.late, jnp.inf, 1.0).astype(jnp.float32)
        return state + 1, jaxrl.TimeStep(jnp.zeros(1), reward, jnp.bool_(False))


@jaxrl.pytree
class NothingAllowedLater(WrongLater):
    """Rewards are as they should be, and in one step no action is allowed."""

    def step(self, state: Any, action: Any, key: Any) -> Any:
        return state + 1, jaxrl.TimeStep(jnp.zeros(1), jnp.float32(1), jnp.bool_(False))

    def action_mask(self, state: Any) -> Any:
        return jnp.full(2, state != self.late)


def test_the_first_row_is_the_one_in_which_it_happens() -> None:
    with pytest.warns(UserWarning, match=r"rewards .*: 1 of 1 members, first in row 4 .* by step 50 of"):
        result = train(dqn(env=WrongLater()), 120, log_points=12)
    assert result.log["fault"][0].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    # Whatever the parameters became since is no divergence of the learning.
    assert not np.isfinite(result.log["loss"][0, -1])
    assert not result.log["diverged"].any()


def test_the_first_row_is_the_one_in_which_a_mask_allows_nothing() -> None:
    with pytest.warns(UserWarning, match=r"masks .*: 1 of 1 members, first in row 4 .* by step 50 of"):
        result = train(dqn(env=NothingAllowedLater()), 120, log_points=12)
    assert result.log["fault"][0].tolist() == [0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]


def test_what_diverged_before_a_fault_has_diverged() -> None:
    members, log_points = 2, 5
    sums = loop.empty_log(dqn(), members, log_points)
    for mean in sums.values():
        mean.count[:] = 1
    sums["diverged"].total[:, 1:] = 1
    sums["reward_faults"].total[0, 3] = 2
    sums["observation_faults"].total[0, 4] = 1
    log = finished_log(sums)
    assert log["fault"].tolist() == [[0, 0, 0, 1, 2], [0] * 5]
    assert log["diverged"].tolist() == [[False, True, True, False, False], [False, True, True, True, True]]
    assert not {"steps", "reward_faults", "mask_faults"} & log.keys()


def test_actions_that_are_not_finite_are_no_fault_of_the_environment() -> None:
    env = jaxrl.make("Pendulum-v1", max_steps=20)
    result = train(ppo(env=env, learning_rate=3e38, max_grad_norm=None), 400, log_points=10)
    assert result.log["diverged"][0, -1]
    assert not result.log["fault"].any()


def test_sound_environments_have_none() -> None:
    for agent in (dqn(), reinforce(env=jaxrl.make("PlaneStrike-v0"))):
        assert not train(agent, None, iterations=20, log_points=4).log["fault"].any()


def test_the_table_and_the_files_have_it(tmp_path: Any) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    with pytest.warns(UserWarning, match="not finite"):
        train(dqn(env=WrongLater()), 120, log_points=12, out=tmp_path / "run")
    columns = pq.read_table(tmp_path / "run" / "metrics.parquet").to_pydict()
    assert columns["fault"] == [0] * 4 + [1] + [0] * 7
    assert columns["diverged"] == [False] * 12
    loaded = jaxrl.load(tmp_path / "run")
    assert loaded.log["fault"][0, 4] == 1
    assert any("rewards that are not finite" in value for _, value in jaxrl.run_report.summary_rows(loaded))


def test_a_sweep_names_it_and_prefers_what_is_sound() -> None:
    space = {"env.kind": [3, 0]}
    result = jaxrl.sweep(
        dqn(env=Faulty()), space, steps=60, seeds=2, log_points=4, episodes=2, keep="all", progress=False
    )
    table = result.table()
    assert table["fault"].tolist() == [2, 2, 0, 0]
    assert not table["diverged"].any()
    assert ("the environment gave observations that are not finite", "2 of 4 members") in [
        (what, value.partition(";")[0]) for what, value in result.summary()
    ]
    assert set(result.curves([0])["fault"]) == {2}


MODULE = """
import jax.numpy as jnp, jaxrl
from faulty_environments import Faulty

@jaxrl.pytree
class Wrong(Faulty):
    kind: int = 1
"""


def test_the_command_line_names_it(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    (tmp_path / "module_with_wrong_rewards.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    small = ["--steps", "60", "--hidden", "8", "--batch-size", "4", "--learning-starts", "8", "--buffer-size", "64"]
    assert main(["train", "dqn", "--env", "module_with_wrong_rewards:Wrong", *small, "--no-progress"]) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith("jaxrl: warning: Wrong gave rewards that are not finite")
    assert printed.err.count("\n") == 1
    assert "Wrong gave rewards that are not finite: 1 of 1 members" in plain(printed.out)
    assert "diverged" not in printed.out


def test_nothing_is_computed_where_nobody_looks() -> None:
    """Random play, which keeps no fault, is the same program as before there were any."""
    from jaxrl.actors import start_actors
    from jaxrl.rollout import random_rollout

    env = cart_pole()

    def play(key: jax.Array) -> Any:
        return random_rollout(env, start_actors(env, key, 4), 8, key, lambda step: step.transition.reward)[1]

    text = jax.jit(play).lower(jax.random.key(0)).compile().as_text()
    assert "is-finite" not in text
