"""What a costly reset costs: `python -m benchmarks.costly_reset`.

An environment whose reset takes a thousand times as long as its step is played at random, with episodes of random
lengths around 200 steps: with a reset of every environment in every step (as `vmap` of a conditional reset does, in
gymnax for one), with a spare start for each environment (`costly_reset = False`) and with a reserve of starts
(`costly_reset = True`). The ideal is the time of the steps and of one reset an episode, each measured alone.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl
from jaxrl import random_bits
from jaxrl.actors import start_actors, start_each
from jaxrl.environment import Episode
from jaxrl.rollout import Policy, rollout

ROUNDS_OF_A_STEP = 10
ROUNDS_OF_A_RESET = 10_000
STEPS = 800
TRIALS = 3


@jaxrl.pytree
class State:
    """A number that rounds of work change, and the steps until the end."""

    number: jax.Array
    left: jax.Array


def work(number: jax.Array, rounds: int) -> jax.Array:
    """Works on a number f32[] for some rounds of equal cost."""
    return jax.lax.fori_loop(0, rounds, lambda _, x: jnp.sin(x) + jnp.sqrt(jnp.abs(x) + 1), number)


@jaxrl.pytree
class Costly(jaxrl.Environment):
    """Episodes of 100 to 300 steps, each length as likely as the others; a reset costs as much as 1,000 steps."""

    max_steps: int = jaxrl.static(default=1000)
    costly_reset: bool = jaxrl.static(default=False)

    @property
    def observation_space(self) -> jaxrl.Box:
        """The number."""
        return jaxrl.Box(shape=(1,))

    @property
    def action_space(self) -> jaxrl.Discrete:
        """Without effect."""
        return jaxrl.Discrete(2)

    def reset(self, key: jax.Array) -> tuple[State, jax.Array]:
        """Works for long."""
        drawn = random_bits.bits(key, (2,))
        number = work(random_bits.uniform(drawn[0]), ROUNDS_OF_A_RESET)
        return State(number, 100 + random_bits.randint(201, drawn[1])), number[None]

    def step(self, state: State, action: Any, key: jax.Array) -> tuple[State, jaxrl.TimeStep]:
        """Works for a moment."""
        number = work(state.number, ROUNDS_OF_A_STEP)
        state = State(number, state.left - 1)
        return state, jaxrl.TimeStep(number[None], jnp.float32(1), state.left <= 0, jnp.bool_(False))


STILL = Policy(lambda carry, episodes, row: (row, carry, ()))


def play(env: Costly, num_envs: int, steps: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Plays by `jaxrl.rollout`: how many episodes ended, i32[], and the sum of all numbers, so that none is skipped."""
    noise = jnp.zeros((steps, num_envs), jnp.int32)
    actors = start_actors(env, key, num_envs)
    actors, ended = rollout(env, actors, STILL, noise, key, lambda step: step.transition.ended)
    return jnp.sum(ended), jnp.sum(actors.episodes.state.number)


def play_resetting_always(env: Costly, num_envs: int, steps: int, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The same with a reset of every environment in every step."""

    def one(carry: tuple[State, jax.Array], index: jax.Array) -> tuple[Any, None]:
        state, count = carry
        keys = random_bits.bits_and_keys(key, index, bits=0, keys=num_envs)[1]
        after, step = jax.vmap(lambda s: env.step(s, 0, key))(state)
        fresh = jax.vmap(env.reset)(keys)[0]
        after = jax.tree.map(lambda new, old: jnp.where(step.terminated, new, old), fresh, after)
        return (after, count + jnp.sum(step.terminated)), None

    state = jax.vmap(env.reset)(random_bits.split(key, num_envs))[0]
    state, count = jax.lax.scan(one, (state, jnp.int32(0)), 1 + jnp.arange(steps))[0]
    return count, jnp.sum(state.number)


def reset_many(env: Costly, count: int, key: jax.Array) -> Episode:
    """As many starts."""
    return start_each(env, random_bits.split(key, count))


def seconds(run: Callable[[jax.Array], Any], members: int) -> tuple[float, Any]:
    """The least time of a few trials, compiled before, and the result: all members at once."""
    keys = jax.random.split(jax.random.key(0), members)
    compiled = jax.jit(jax.vmap(run)).lower(keys).compile()
    times = []
    for _ in range(TRIALS):
        begin = time.perf_counter()
        result = jax.block_until_ready(compiled(keys))
        times.append(time.perf_counter() - begin)
    return min(times), result


def measure(members: int, num_envs: int) -> None:
    """Prints one row for each way to reset."""
    print(f"{members} members x {num_envs} environments, {STEPS} steps each")
    reset_time, _ = seconds(functools.partial(reset_many, Costly(), num_envs), members)

    @jaxrl.pytree
    class Cheap(Costly):
        def reset(self, key: jax.Array) -> tuple[State, jax.Array]:
            drawn = random_bits.bits(key, (2,))
            number = random_bits.uniform(drawn[0])
            return State(number, 100 + random_bits.randint(201, drawn[1])), number[None]

    step_time, ended = seconds(functools.partial(play, Cheap(), num_envs, STEPS), members)
    episodes = int(np.sum(ended[0])) + members * num_envs
    rows = {"ideal": step_time + episodes * reset_time / (members * num_envs)}
    for name, env in {"reserve": Costly(costly_reset=True), "spares": Costly()}.items():
        rows[name], _ = seconds(functools.partial(play, env, num_envs, STEPS), members)
    few = 20
    always, _ = seconds(functools.partial(play_resetting_always, Costly(), num_envs, few), members)
    rows["a reset in every step"] = always * STEPS / few
    for name, time_of_all in rows.items():
        rate = members * num_envs * STEPS / time_of_all
        print(f"  {name:22} {rate:14,.0f} steps/s {time_of_all / rows['ideal']:8.2f} x the ideal time")


if __name__ == "__main__":
    measure(1, 1024)
    measure(16, 64)
