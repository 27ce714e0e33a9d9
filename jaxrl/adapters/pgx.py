"""pgx's games of one player."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrl.adapters.library import Adapted, Instance, Library, built, sorted_options
from jaxrl.environment import TimeStep
from jaxrl.pytree import pytree
from jaxrl.spaces import Discrete

DEFAULT_MAX_STEPS = 10_000
"""Longer than games last that are played to win."""


@pytree
class Pgx(Adapted):
    """A game of pgx for one player; `action_mask` has the legal moves."""

    library = Library("pgx")

    @staticmethod
    def build(name: str, options: dict[str, Any]) -> Any:
        """The game object of pgx."""
        return Pgx.library.load().make(name)

    @property
    def action_space(self) -> Discrete:
        """As pgx has it."""
        return Discrete(_actions(self.original))

    def begin(self, key: jax.Array) -> tuple[Any, Any]:
        """As pgx does."""
        state = self.original.init(key)
        return state, state.observation

    def advance(self, state: Any, action: Any, key: jax.Array) -> tuple[Any, TimeStep]:
        """As pgx does."""
        after = self.original.step(state, action, key)
        return after, TimeStep(after.observation, after.rewards[0], after.terminated, after.truncated)

    def action_mask(self, state: Any) -> jax.Array:
        """The legal moves."""
        return state.legal_action_mask


def make(name: str, max_steps: int = DEFAULT_MAX_STEPS) -> Pgx:
    """`jaxrl.make("pgx:NAME", ...)`.

    Args:
      name: pgx's, such as "2048".
      max_steps: the time limit.

    Raises:
      ImportError: pgx is missing, or the package that holds this game.
      ValueError: no such game, or one of several players.
    """
    library = Pgx.library
    library.require_name(name, library.load().available_envs())
    _require_one_player(name, built(Pgx, name, sorted_options({})))
    return Pgx(name, (), None, library.version, max_steps)


def from_pgx(env: Any, max_steps: int = DEFAULT_MAX_STEPS) -> Pgx:
    """Adapts a game object of pgx, which can be trained on, but neither stored nor resumed.

    Args:
      env: of one player.
      max_steps: the time limit.

    Raises:
      ImportError: pgx is missing.
      TypeError: it is no game of pgx.
      ValueError: it is one of several players.
    """
    if not isinstance(env, Pgx.library.load().Env):
        raise TypeError(f"env = {env!r} must be a game of pgx, as pgx.make gives")
    _require_one_player(env.id, env)
    return Pgx(env.id, (), Instance(env), Pgx.library.version, max_steps)


def _require_one_player(name: str, env: Any) -> None:
    if env.num_players != 1:
        raise ValueError(
            f"pgx:{name} is a game of {env.num_players} players, and an agent plays alone: write an environment whose "
            "step also makes the opponents' moves"
        )


def _actions(env: Any) -> int:
    return jax.eval_shape(env.init, jnp.zeros(2, jnp.uint32)).legal_action_mask.shape[0]
