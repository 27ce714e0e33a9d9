"""The exact score of a Plane Strike policy: every placement played once, on device.

The score is the mean number of strikes until the eighth hit. On the board of 8 with the "app"
placements, random play that never repeats itself scores 57.78, always striking the cell that is
likeliest to be hit scores 12.08, and the model in the published app scores 13.19.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.plane_strike import PlaneStrike, PlaneStrikeState

Act = Callable[[jax.Array, jax.Array], jax.Array]
"""A greedy policy: (board f32[size, size], untried cells bool[size * size]) -> cell i32[]."""


def strikes(env: PlaneStrike, act: Act) -> jax.Array:
    """Plays every placement of `env` once: i32[placements], in the order of `env.placements`.

    May be jitted, and batched over policies: `jax.vmap(lambda p: strikes(env, lambda obs, mask:
    policy(p, obs, mask)))(params)`. The rewards and `max_steps` of `env` play no part.

    Args:
      env: the game, which sets the board's size and the placements.
      act: the policy, unbatched. It must choose an untried cell: a cell that is struck again counts
        as one more strike, and a game that isn't over after size * size strikes counts as that many.
    """
    games = jnp.arange(len(env.placements), dtype=jnp.int32)
    states, _ = jax.vmap(env.begin)(games)
    unused_key = jax.random.key(0)

    def strike(state: PlaneStrikeState) -> PlaneStrikeState:
        return env.step(state, act(env.board(state), env.action_mask(state)), unused_key)[0]

    def unfinished(carry: tuple[PlaneStrikeState, jax.Array, jax.Array]) -> jax.Array:
        states, _, played = carry
        return ~jnp.all(states.finished) & (played < env.size * env.size)

    def play(
        carry: tuple[PlaneStrikeState, jax.Array, jax.Array],
    ) -> tuple[PlaneStrikeState, jax.Array, jax.Array]:
        states, counts, played = carry
        # Finished games are struck on along with the others, which changes no count.
        return jax.vmap(strike)(states), counts + ~states.finished, played + 1

    return jax.lax.while_loop(unfinished, play, (states, jnp.zeros_like(games), jnp.zeros((), jnp.int32)))[1]


def score(env: PlaneStrike, act: Act) -> jax.Array:
    """The expected number of strikes of `act` in one game of `env`: f32[], lower is better.

    Exact to rounding: the mean of `strikes` over the placements, each weighted by its probability
    (all equal for "app").
    """
    probabilities = env.placement_probabilities.astype(np.float32)
    return jnp.sum(strikes(env, act) * probabilities)
