"""jumanji's environments beside jumanji itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrl
from jaxrl.config import from_config, to_config
from jaxrl.env_checker import check_environment

jumanji = pytest.importorskip("jumanji")

SLOW = (
    *("BinPack-v2", "Cleaner-v0", "FlatPack-v0", "JobShop-v0", "MMST-v0", "Minesweeper-v0", "RobotWarehouse-v0"),
    *("Sudoku-v0", "Sudoku-very-easy-v0", "Tetris-v0"),
)
"""Those that take too long to compile for the whole check: they pass the part that every training begins with."""
CANNOT = {
    "Connector-v3": "reward-shape: has several agents, each with a reward",
    "LevelBasedForaging-v0": "reward-shape: has several agents, each with a reward",
    "MultiCVRP-v0": "its actions are whole numbers without a count",
    "PacMan-v1": "key-reused: its reset splits a key that it has used",
    "SearchAndRescue-v0": "reward-shape: has several agents, each with a reward",
    "Sokoban-v0": "downloads its levels when it is made",
}
"""The environments that do not pass `check_env`, and why."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(jumanji.registered_environments() - {"MultiCVRP-v0", "Sokoban-v0", *SLOW}))
def test_environments_pass_the_check(name):
    report = jaxrl.check_env(jaxrl.make(f"jumanji:{name}"), steps=80, raise_errors=False)
    reason = CANNOT.get(name)
    assert [result.code for result in report.errors] == ([] if reason is None else [reason.split(":")[0]]), report


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_environments_pass_the_check_before_training(name):
    check_environment(jaxrl.make(f"jumanji:{name}"))


@pytest.mark.parametrize(("name", "options"), [("Snake-v1", {"time_limit": 20}), ("Game2048-v1", {"board_size": 3})])
def test_steps_are_those_of_jumanji(name, options):
    theirs, ours = jumanji.make(name, **options), jaxrl.make(f"jumanji:{name}", **options)
    state, obs = jax.jit(ours.reset)(jax.random.key(0))
    their_state, first = jax.jit(theirs.reset)(jax.random.key(0))
    same(obs, first.observation)
    our_step, their_step = jax.jit(ours.step), jax.jit(theirs.step)
    for number in range(25):
        mask = ours.action_mask(state)
        np.testing.assert_array_equal(mask, first.observation.action_mask)
        action = np.flatnonzero(mask)[number % int(mask.sum())].astype(np.int32)
        state, step = our_step(state, action, jax.random.key(1))
        their_state, first = their_step(their_state, action)
        same(step.obs, first.observation)
        np.testing.assert_array_equal(step.reward, first.reward)
        assert bool(step.terminated) == bool(first.last())  # Neither of them truncates.
        assert not step.truncated
        if step.terminated:
            break
    assert step.terminated or name != "Snake-v1"


def same(obs, observation):
    """Beside the parts of an observation without the mask."""
    parts = {name: part for name, part in observation._asdict().items() if name != "action_mask"}
    obs = obs if isinstance(obs, dict) else dict.fromkeys(parts, obs)
    assert obs.keys() == parts.keys()
    for name, part in parts.items():
        np.testing.assert_array_equal(obs[name], part)


def test_parts_inside_of_parts_keep_their_names():
    space = jaxrl.make("jumanji:BinPack-v2").observation_space
    assert sorted(space.spaces) == ["ems", "ems_mask", "items", "items_mask", "items_placed"]
    assert sorted(space.spaces["items"].spaces) == ["x_len", "y_len", "z_len"]
    assert space.spaces["items_mask"].dtype == jnp.bool_


def test_a_mask_of_combinations_makes_one_action_of_each():
    """Tetris: the last choice, the column, changes fastest."""
    theirs, ours = jumanji.make("Tetris-v0"), jaxrl.make("jumanji:Tetris-v0")
    assert ours.action_space == jaxrl.Discrete(40)
    state, _ = jax.jit(ours.reset)(jax.random.key(0))
    their_state, first = jax.jit(theirs.reset)(jax.random.key(0))
    our_step, their_step = jax.jit(ours.step), jax.jit(theirs.step)
    for number in range(6):
        mask = first.observation.action_mask
        np.testing.assert_array_equal(ours.action_mask(state), np.asarray(mask).ravel())
        places = np.argwhere(mask)
        rotation, column = places[7 * number % len(places)]
        state, step = our_step(state, np.int32(10 * rotation + column), jax.random.key(1))
        their_state, first = their_step(their_state, np.array([rotation, column], np.int32))
        same(step.obs, first.observation)
        assert float(step.reward) == float(first.reward)


def test_a_mask_of_each_choice_masks_them_apart():
    theirs, ours = jumanji.make("Cleaner-v0"), jaxrl.make("jumanji:Cleaner-v0")
    assert ours.action_space == jaxrl.MultiDiscrete((4, 4, 4))
    mask = ours.action_mask(jax.jit(ours.reset)(jax.random.key(0))[0])
    np.testing.assert_array_equal(
        mask.reshape(3, 4), jax.jit(theirs.reset)(jax.random.key(0))[1].observation.action_mask
    )
    assert mask.any()
    assert not mask.all()


def test_a_last_step_with_a_discount_is_truncated():
    from jumanji import specs
    from jumanji.types import restart, termination, truncation

    class Ends(jumanji.env.Environment):
        """Action 0 terminates, action 1 truncates."""

        observation_spec = specs.Array((2,), jnp.float32)
        action_spec = specs.DiscreteArray(2)

        def reset(self, key):
            return jnp.zeros(2), restart(jnp.zeros(2))

        def step(self, state, action):
            ends = termination(jnp.float32(1), state), truncation(jnp.float32(1), state)
            return state, jax.tree.map(lambda x, y: jnp.where(action == 0, x, y), *ends)

    env = jaxrl.adapters.from_jumanji(Ends(), max_steps=5)
    state, _ = env.reset(jax.random.key(0))
    flags = [env.step(state, action, jax.random.key(0))[1] for action in (0, 1)]
    assert [(bool(s.terminated), bool(s.truncated)) for s in flags] == [(True, False), (False, True)]
    assert env.action_mask(state) is None
    with pytest.raises(TypeError, match="made by hand, which can't be stored"):
        to_config(env)


def test_it_trains_and_is_stored_by_name_and_options():
    env = jaxrl.make("jumanji:Game2048-v1", board_size=3, max_steps=8)
    result = jaxrl.train(jaxrl.PPO(env, num_envs=2, rollout_steps=8, epochs=1), steps=32, progress=False)
    assert np.nanmax(result.log["episode_length"]) == 8
    assert from_config(to_config(env)) == env


def test_time_limits_are_jumanjis():
    assert jaxrl.make("jumanji:Snake-v1", time_limit=50).max_steps == 51
    assert jaxrl.make("jumanji:Snake-v1", max_steps=9).max_steps == 9


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Snake-v2", {}, r"has no environment 'Snake-v2' \(did you mean 'Snake-v1'\?\)"),
        ("Snake-v1", {"num_rowz": 3}, r"has no parameter 'num_rowz' \(did you mean 'num_rows'\?\)"),
        ("MultiCVRP-v0", {}, "has the action space BoundedArray.*number its combinations in one Discrete space"),
    ],
)
def test_bad_input(name, options, message):
    with pytest.raises(ValueError, match=message):
        jaxrl.make(f"jumanji:{name}", **options)
