"""pgx's games of one player beside pgx itself."""

import jax
import numpy as np
import pytest

import jaxrl
from jaxrl.config import from_config, to_config

pgx = pytest.importorskip("pgx")

ONE_PLAYER = ["2048", "minatar-asterix", "minatar-breakout", "minatar-freeway", "minatar-seaquest"]
ONE_PLAYER += ["minatar-space_invaders"]
"""The games of one player, all of which pass `check_env`; no other can be played."""


@pytest.mark.slow
@pytest.mark.parametrize("name", pgx.available_envs())
def test_games_pass_the_check(name):
    if name not in ONE_PLAYER:
        with pytest.raises(ValueError, match=r"is a game of \d players, and an agent plays alone"):
            jaxrl.make(f"pgx:{name}")
    else:
        assert not jaxrl.check_env(jaxrl.make(f"pgx:{name}"), steps=80, raise_errors=False).errors


def test_steps_are_those_of_pgx():
    theirs, ours = pgx.make("2048"), jaxrl.make("pgx:2048")
    state, obs = jax.jit(ours.reset)(jax.random.key(0))
    their_state = jax.jit(theirs.init)(jax.random.key(0))
    np.testing.assert_array_equal(obs, their_state.observation)
    our_step, their_step = jax.jit(ours.step), jax.jit(theirs.step)
    total = 0
    for number in range(400):
        np.testing.assert_array_equal(ours.action_mask(state), their_state.legal_action_mask)
        legal = np.flatnonzero(their_state.legal_action_mask)
        action, key = legal[number % len(legal)].astype(np.int32), jax.random.key(number)
        state, step = our_step(state, action, key)
        their_state = their_step(their_state, action, key)
        np.testing.assert_array_equal(step.obs, their_state.observation)
        assert float(step.reward) == float(their_state.rewards[0])
        assert bool(step.terminated) == bool(their_state.terminated)
        assert not step.truncated
        total += float(step.reward)
        if step.terminated:
            break
    assert step.terminated
    assert total > 0


def test_an_illegal_move_ends_the_game():
    env = jaxrl.make("pgx:2048")
    state, _ = env.reset(jax.random.key(0))
    state = state.replace(legal_action_mask=state.legal_action_mask.at[0].set(False))
    _, step = jax.jit(env.step)(state, 0, jax.random.key(0))
    assert step.terminated


def test_it_is_stored_by_name():
    env = jaxrl.make("pgx:2048", max_steps=5)
    assert from_config(to_config(env)) == env
    with pytest.raises(TypeError, match="made by hand, which can't be stored"):
        to_config(jaxrl.adapters.from_pgx(pgx.make("2048")))


def test_bad_input():
    with pytest.raises(ValueError, match="pgx:chess is a game of 2 players, and an agent plays alone"):
        jaxrl.make("pgx:chess")
    with pytest.raises(ValueError, match=r"has no environment '2049' \(did you mean '2048'\?\)"):
        jaxrl.make("pgx:2049")
    with pytest.raises(TypeError, match="must be a game of pgx"):
        jaxrl.adapters.from_pgx("2048")
