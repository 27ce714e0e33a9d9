"""What a run gives back."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from jaxrl import arguments, loop, random_bits
from jaxrl.agents.base import Agent
from jaxrl.environment import name_of
from jaxrl.evaluation import evaluate
from jaxrl.masks import Choices, counts_of
from jaxrl.pytree import replace_at, with_array_leaves


@dataclasses.dataclass(frozen=True, repr=False)
class Result:
    """Trained members.

    Attributes:
      agent: the agent that all members share.
      vary: values f32[members, ...] in which they differ, by dotted path; empty where only seeds differ.
      seeds: i64[members].
      iterations: of every member.
      log: f32[members, log_points] each: "episode_return", "episode_length" and "loss" (means over the log point,
        NaN where there was none), and others by algorithm; also "step" f64[members, log_points] (environment
        steps at the log point's end, NaN where a stopped run did not come to it), "fault" u8[members, log_points]
        (what the environment did wrong in the log point: a sum of 1 for a reward and 2 for an observation that is
        not finite, and 4 for a mask that allows no action; 0 for none) and "diverged" bool[members, log_points]
        (a parameter was not finite, or no loss in the whole run was, and no fault came before). Where members
        were evaluated in training also "evaluation_return": the mean return of greedy episodes at the log point's end,
        NaN in log points without.
      state: what the agent keeps of every member's state, NumPy arrays `[members, ...]`; random keys are
        JAX arrays.
      best_params: with `keep_best`, NumPy arrays `[members, ...]`: the parameters of every member's best
        evaluation, the latest ones where none has counted; else None.
      seconds: of training, without compiling or evaluating.
      evaluation_seconds: of evaluating in training.
      compile_seconds: of compiling; near 0 where the program was compiled before.
      complete: whether every member was trained to the end.
      greedy_returns: f32[members, episodes] that were played before; None until then.
    """

    agent: Agent
    vary: dict[str, np.ndarray]
    seeds: np.ndarray
    iterations: int
    log: dict[str, np.ndarray]
    state: Any
    seconds: float
    compile_seconds: float
    complete: bool = True
    best_params: Any = None
    evaluation_seconds: float = 0.0
    greedy_returns: np.ndarray | None = None

    def __repr__(self) -> str:
        what = f"{type(self.agent).__name__} on {name_of(self.agent.env)}"
        return f"Result({what}, {self.members} members, {self.iterations} iterations)"

    @property
    def members(self) -> int:
        """The number of members."""
        return len(self.seeds)

    @functools.cached_property
    def params(self) -> Any:
        """The parameters to act with, NumPy arrays `[members, ...]`: the latest, or with `keep_best` the best."""
        return self.best_params if self.best_params is not None else self.agent.params(self.state)

    def batched_agent(self, chosen: np.ndarray) -> Agent:
        """The agent with the chosen members' own values in its varied leaves."""
        return loop.batched_agent(self.agent, self.vary, chosen)

    @functools.cached_property
    def returns(self) -> np.ndarray:
        """Greedy returns f32[members, 32], as by `jaxrl.evaluate`; played at the first use, or by `jaxrl.train`."""
        return evaluate(self) if self.greedy_returns is None else self.greedy_returns

    @property
    def failed(self) -> np.ndarray:
        """The members that diverged, or whose environment committed a fault: bool[members]."""
        return np.any(self.log["diverged"] | (self.log["fault"] > 0), axis=1)

    def member(self, index: int) -> "Member":
        """One member by its place, from 0.

        Raises:
          IndexError: there is no such member.
        """
        if not -self.members <= arguments.whole("index", index, least=-(2**63)) < self.members:
            raise IndexError(f"member {index} is not there: the result has members 0 to {self.members - 1}")
        index %= self.members
        agent = self.agent
        for path, values in self.vary.items():
            agent = replace_at(agent, path, values[index].item() if values.ndim == 1 else values[index])
        params = jax.tree.map(lambda x: x[index], self.params)
        log = {name: values[index] for name, values in self.log.items()}
        return Member(agent, index, int(self.seeds[index]), params, log)

    def best(self) -> "Member":
        """The member with the greatest mean greedy return; one that has failed only where all have."""
        return self.member(self.best_index(self.returns))

    def best_index(self, returns: np.ndarray) -> int:
        """The place of the member that `best` gives, by greedy returns f32[members, episodes]."""
        mean = returns.mean(axis=1)
        return int(np.argmax(np.where(self.failed | np.isnan(mean), -np.inf, mean)))


@dataclasses.dataclass(frozen=True, repr=False)
class Member:
    """One trained agent: its hyperparameters, parameters and log ([log_points] each, as `Result.log`)."""

    agent: Agent
    index: int
    seed: int
    params: Any
    log: dict[str, np.ndarray]

    def __repr__(self) -> str:
        what = f"{type(self.agent).__name__} on {name_of(self.agent.env)}"
        return f"Member({what}, index={self.index}, seed={self.seed})"

    def policy(self, obs: Any, key: jax.Array | None = None, mask: Any = None) -> jax.Array:
        """The action for one observation, of a policy without memory: see `act`.

        Raises:
          ValueError: an argument is of another shape, or the policy has memory.
        """
        if self.agent.has_memory:
            raise ValueError(
                f"the policy of this {type(self.agent).__name__} has memory: action, carry = member.act(obs, carry), "
                "from member.initial_carry() at the start of every episode"
            )
        return self.act(obs, None, key, mask)[0]

    def initial_carry(self) -> Any:
        """What the policy remembers at the start of an episode; () without memory."""
        return jax.tree.map(lambda x: x[0], self.agent.initial_carry(1))

    def act(self, obs: Any, carry: Any = None, key: jax.Array | None = None, mask: Any = None) -> tuple[jax.Array, Any]:
        """The action for one observation, and the carry for the next one.

        Args:
          obs: array or nested lists of the observation space's shape; several of them in its structure.
          carry: what the last call gave; None, or `initial_carry()`, at the start of an episode.
          key: to explore with, as in training; None for the policy's deterministic action.
          mask: bool[n], the allowed actions (see `jaxrl.masks`), or None where all are.

        Raises:
          TypeError: `obs` holds no numbers, `mask` no flags, or `key` is no random key.
          ValueError: `obs`, `carry` or `mask` is of another shape, `obs` is not finite, or `mask` allows no action.
        """
        first = self.initial_carry()
        carry = first if carry is None else carry
        if _shapes(carry) != _shapes(first):
            raise ValueError(
                f"carry is {_shapes(carry)}, and must be {_shapes(first)}: start every episode with "
                "carry = member.initial_carry(), and pass on what act gives"
            )
        space, actions = self.agent.env.observation_space, self.agent.env.action_space
        obs = arguments.observation("obs", obs, space)
        if mask is not None:
            if not isinstance(actions, Choices):
                raise ValueError(f"mask is for discrete actions, and these are {actions}: leave it out")
            mask = arguments.mask("mask", mask, counts_of(actions))
        if key is not None:
            key = arguments.random_key("key", key)
        return _act(with_array_leaves(self.agent), self.params, carry, obs, key, mask)


def _shapes(tree: Any) -> str:
    return str(jax.tree.map(np.shape, tree))


@jax.jit
def _act(agent: Agent, params: Any, carry: Any, obs: Any, key: Any, mask: Any) -> tuple[jax.Array, Any]:
    bits = None if key is None else random_bits.bits(key, (1, agent.action_bits))
    carry, obs, mask = jax.tree.map(lambda x: x[None], (carry, obs, mask))
    action, carry, _ = agent.act(params, carry, obs, mask, bits)
    return action[0], jax.tree.map(lambda x: x[0], carry)
