"""What a run will do, checked and sized before anything is compiled."""

import contextlib
import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrl import loop
from jaxrl.agents import ALGORITHMS
from jaxrl.agents.base import Agent
from jaxrl.agents.validation import check_agent, check_iteration
from jaxrl.arguments import array_of, positive, shown
from jaxrl.env_checker import check_environment
from jaxrl.environment import Environment
from jaxrl.evaluation import RESERVED_SEED
from jaxrl.memory import choose_block
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.pytree import field_at, get_at, is_pytree, is_static, leaf_paths, with_array_leaves
from jaxrl.registry import nearest
from jaxrl.ties import tie_agent, tie_varied
from jaxrl.train_config import TrainConfig
from jaxrl.validation import check_at, check_values, is_finite

_LOG_POINT_STEPS = 2**24
"""Up to here a float32 counts without a gap, and the log's sums are float32."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A checked run.

    Attributes:
      agent: as the user gave it.
      vary: values with a leading member axis for some of the agent's leaves, by dotted path.
      seeds: i64[members].
      iterations: of every member.
      log_points: rows of the log.
      block_size: members of one block, a multiple of the mesh's devices.
      mesh: the devices.
      evaluation: between rows of the log; None where nothing is evaluated.
    """

    agent: Agent
    vary: dict[str, np.ndarray]
    seeds: np.ndarray
    iterations: int
    log_points: int
    block_size: int
    mesh: Mesh
    evaluation: EvaluationPlan | None = None

    @property
    def members(self) -> int:
        """Members of the whole run."""
        return len(self.seeds)

    @property
    def blocks(self) -> int:
        """Blocks of the whole run."""
        return -(-self.members // self.block_size)

    @property
    def evaluated(self) -> np.ndarray:
        """At the end of which log points the members are evaluated: bool[log_points]."""
        if self.evaluation is None:
            return np.zeros(self.log_points, bool)
        ends = loop.log_point_edges(self.iterations, self.log_points)[1:].astype(np.int64)
        return self.evaluation.due(ends * self.agent.steps_per_iteration)

    def chosen(self, block: int) -> np.ndarray:
        """The members of a block: i64[block]; the last block is filled up with the last member."""
        return np.minimum(np.arange(block * self.block_size, (block + 1) * self.block_size), self.members - 1)

    def real(self, block: int) -> int:
        """How many members of a block are no filling."""
        return min(self.block_size, self.members - block * self.block_size)

    def batched_agent(self, chosen: np.ndarray) -> Agent:
        """The agent with the varied leaves of the chosen members in it: leaves `[members, ...]`."""
        return loop.batched_agent(self.agent, self.vary, chosen)


def make_plan(agent: Agent, config: TrainConfig) -> Plan:
    """Checks everything that the user gave, and decides the blocks.

    Raises:
      TypeError, ValueError: something is wrong; see `jaxrl.train`.
    """
    jax.local_devices()  # So that a backend that can't start raises its own error.
    if not isinstance(agent, Agent):
        raise TypeError(f"agent = {shown(agent)} must be an agent such as jaxrl.DQN(jaxrl.make('CartPole-v1'))")
    if not isinstance(agent.env, Environment):
        raise TypeError(
            f"{type(agent).__name__}.env = {shown(agent.env)} must be an environment: jaxrl.make(name) makes one"
        )
    check_agent(agent)
    if not is_pytree(agent.env):
        check_environment(agent.env)
    check_values(agent)
    agent = tie_agent(agent)
    check_environment(agent.env)
    agent.check()
    count = _iterations(agent, config.steps, config.iterations)
    agent.check_run(count)
    if type(agent) not in ALGORITHMS.values():  # Those are tested for it, and tracing them takes a while.
        check_iteration(agent)
    members = checked_seeds(config.seeds, repeats=bool(config.vary))
    varied = tie_varied(agent, _vary(agent, config.vary or {}, len(members)))
    log_points = _log_points(config.log_points, count, agent.steps_per_iteration)
    if config.evaluation is not None:
        _check_evaluation(config.evaluation, config.steps or count * agent.steps_per_iteration)
    size, mesh = choose_block(agent, len(members), log_points, config)
    return Plan(agent, varied, np.asarray(members), count, log_points, size, mesh, config.evaluation)


def _iterations(agent: Agent, steps: int | None, iterations: int | None) -> int:
    if (steps is None) == (iterations is None):
        raise ValueError("give either steps (environment steps a member) or iterations (updates a member)")
    if iterations is not None:
        count = positive("iterations", iterations)
    else:
        count = positive("steps", steps) // agent.steps_per_iteration
        if not count:
            raise ValueError(
                f"steps = {steps} is less than one iteration of {type(agent).__name__}, which takes up to "
                f"{agent.steps_per_iteration} environment steps: give at least that many"
            )
        if agent.steps_vary:
            warnings.warn(
                f"steps = {steps} makes {count} iterations of at most {agent.steps_per_iteration} steps each; those "
                "that end sooner take fewer: iterations says exactly how long to train",
                stacklevel=4,
            )
    if count > 2**31 - 1:
        raise ValueError(f"iterations = {shown(count)} must be at most 2^31 - 1, as far as the counters go")
    return count


def _log_points(log_points: Any, iterations: int, steps_per_iteration: int) -> int:
    log_points = min(positive("log_points", log_points), iterations)
    most = max(_LOG_POINT_STEPS // steps_per_iteration, 1)
    if -(-iterations // log_points) > most:
        raise ValueError(
            f"log_points = {log_points} of {iterations} iterations would hold more than {_LOG_POINT_STEPS:,} "
            f"environment steps each, which the log can't count: give at least log_points = {-(-iterations // most)}"
        )
    return log_points


def _check_evaluation(evaluation: EvaluationPlan, steps: int) -> None:
    if evaluation.every > steps:
        raise ValueError(
            f"evaluate_every = {evaluation.every} is more than the {steps} environment steps of the whole run: "
            "give at most that many, which evaluates once, at the end"
        )


def checked_seeds(seeds: Any, repeats: bool = False) -> range | np.ndarray:
    """The seeds that a user means by a number of them or a list.

    Raises:
      TypeError: they are no whole numbers.
      ValueError: they are out of range, or repeat where they must not.
    """
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if seeds > RESERVED_SEED:
            raise ValueError(f"seeds = {shown(seeds)} are more than there can be: give at most {RESERVED_SEED}")
        return range(positive("seeds", seeds))
    values = array_of(seeds)
    if values is not None and _beyond_64_bits(seeds, values):
        raise ValueError(f"seeds must be between 0 and {RESERVED_SEED - 1}, and {shown(seeds)} are not")
    if values is None or values.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
        raise TypeError(f"seeds = {shown(seeds)} must be a positive whole number or a list of whole numbers")
    if values.min() < 0 or values.max() >= RESERVED_SEED:
        raise ValueError(f"seeds must be between 0 and {RESERVED_SEED - 1}, and {shown(seeds)} are not")
    distinct, counts = np.unique(values, return_counts=True)
    if not repeats and len(distinct) < len(values):
        raise ValueError(
            f"seeds repeat {distinct[counts > 1].tolist()}: those members would be the same; give each once"
        )
    return values.astype(np.int64)


def _beyond_64_bits(seeds: Any, values: np.ndarray) -> bool:
    """Whether whole numbers became f64 because no integer type has them."""
    given = np.asarray(seeds, object).ravel().tolist()
    return values.dtype.kind == "f" and bool(given) and all(type(seed) is int for seed in given)


def _vary(agent: Agent, vary: dict[str, Any], members: int) -> dict[str, np.ndarray]:
    if not isinstance(vary, Mapping):
        raise TypeError(
            f"vary = {shown(vary)} must be a dict of values by leaf, such as {{'learning_rate': [1e-3, 1e-4]}}"
        )
    known = leaf_paths(agent)
    template = with_array_leaves(agent)
    varied = {}
    for path, values in vary.items():
        if not isinstance(path, str):
            raise TypeError(f"vary has the leaf {shown(path)}, and leaves are named by text, such as 'learning_rate'")
        if path not in known:
            _refuse_switched_off(agent, path)
            raise ValueError(
                f"vary has no leaf {path!r}{nearest(path, known)}; {type(agent).__name__} has: {', '.join(known)}"
            )
        leaf = np.asarray(get_at(template, path))
        array = _varied(agent, path, values, (members, *leaf.shape))
        varied[path] = array.astype(leaf.dtype)
        if leaf.dtype.kind in "iub" and np.any(varied[path] != array):
            raise ValueError(f"vary[{path!r}] = {shown(values)} must be whole numbers of type {leaf.dtype.name}")
    return dict(sorted(varied.items()))


def _refuse_switched_off(agent: Agent, path: str) -> None:
    """Raises a ValueError where a path leads to a leaf that is None."""
    with contextlib.suppress(AttributeError, StopIteration):
        if get_at(agent, path) is None and not is_static(field_at(agent, path)):
            raise ValueError(
                f"vary[{path!r}] can't switch on what is off in the agent, where {path} = None: make the agent with "
                "any number there, which the values take the place of"
            )


def _varied(agent: Agent, path: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = array_of(values)
    if array is None:
        raise TypeError(f"vary[{path!r}] = {shown(values)} must be numbers of shape {shape}: one value a member")
    if array.shape != shape:
        raise ValueError(f"vary[{path!r}] has shape {array.shape} and must have shape {shape}: one value a member")
    check_at(agent, path, array)
    if not is_finite(array):
        raise ValueError(f"vary[{path!r}] = {shown(values)} must be finite, as float32 too: give ordinary numbers")
    return array
