"""An agent that plays by a TFLite file."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.agents.base import Agent
from jaxrl.arguments import LARGEST_SEED, positive, whole
from jaxrl.devices import free_host_memory
from jaxrl.distributions import masked
from jaxrl.env_checker import check_environment
from jaxrl.environment import Environment
from jaxrl.evaluation import MOST_EPISODES, evaluation_key, greedy_returns, players
from jaxrl.export.tflite_file.policy_file import PolicyFile
from jaxrl.pytree import pytree, static
from jaxrl.spaces import Box, Discrete, MultiDiscrete, array_spaces, is_array_space
from jaxrl.validation import check_values


@pytree
class FileAgent(Agent):
    """Plays by a TFLite file, by a callback to the host; it can't learn."""

    env: Environment
    file: Any = static()

    action_spaces = (Discrete, MultiDiscrete, Box)

    def init(self, key: jax.Array) -> tuple[()]:
        """Nothing."""
        return ()

    def params(self, state: Any) -> tuple[()]:
        """None: the file has them."""
        return ()

    def initial_carry(self, batch: int) -> tuple[jax.Array, ...]:
        """What the file's metadata says: `[batch, ...]` each."""
        return tuple(map(jnp.asarray, self.file.initial_carry(batch)))

    def act(self, params: Any, carry: Any, obs: Any, mask: Any = None, bits: Any = None) -> tuple[Any, Any, Any]:
        """The deterministic actions `[batch, ...]`; `params` and `bits` play no part."""
        space = self.env.action_space
        assert is_array_space(space)
        batch = jax.tree.leaves(obs)[0].shape[0]
        shapes = jax.ShapeDtypeStruct((batch, *space.shape), space.dtype), jax.eval_shape(lambda: carry)
        actions, carry = jax.pure_callback(self._act, shapes, carry, obs, mask, vmap_method="broadcast_all")
        return actions, carry, ()

    def _act(self, carry: Any, obs: Any, mask: Any) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Of arrays `[..., batch, ...]`: the axes before the batch are those of `vmap`."""
        first, space = jax.tree.leaves(obs)[0], self.env.action_space
        axes = np.ndim(first) - len(array_spaces(self.env.observation_space)[0].shape)
        lead = np.shape(first)[:axes]
        carry, obs, mask = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *np.shape(x)[axes:]), (carry, obs, mask))
        output, carry = self.file.outputs_and_carry(carry, obs, mask)
        assert is_array_space(space)
        if isinstance(space, Discrete) and self.file.output != "action":
            output = greedy(output, mask)
        return output.astype(space.dtype).reshape(*lead, *space.shape), tuple(
            x.reshape(*lead, *x.shape[1:]) for x in carry
        )


def evaluate_file(file: PolicyFile, env: Environment, episodes: int, seed: int = 0) -> np.ndarray:
    """Plays whole episodes with a file: undiscounted returns f32[episodes].

    Raises:
      PolicyFileError: the file does not fit the environment.
      TypeError, ValueError: a number is wrong, or the environment's fields, or it fails its contract.
      NotEnoughMemoryError: so many episodes don't fit into memory side by side.
    """
    episodes = positive("episodes", episodes, MOST_EPISODES)
    key = evaluation_key(whole("seed", seed, 0, LARGEST_SEED))
    check_environment(env)
    check_values(env)
    file.check_fits(env)
    agent = FileAgent(env, file)
    players(agent, episodes, 1, free_host_memory())
    return np.asarray(jax.jit(lambda key: greedy_returns(agent, (), key, episodes))(key))


def greedy(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The best allowed actions: i32[batch] out of values f32[batch, n] and a mask bool[batch, n] or None."""
    return np.argmax(values if mask is None else masked(jnp.asarray(values), jnp.asarray(mask)), axis=-1)
