"""What a run will do, checked and sized before anything is compiled."""

import bisect
import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrl import loop
from jaxrl.agents.base import Agent
from jaxrl.devices import free_memory, member_mesh
from jaxrl.environment import Environment
from jaxrl.evaluation import RESERVED_SEED
from jaxrl.pytree import check_at, check_values, concrete, get_at, is_static, leaf_paths
from jaxrl.registry import nearest

CPU_BLOCK = 16
"""Members a CPU device trains at once: about what stays in its cache."""
USABLE_MEMORY = 0.9
"""Share of the free memory that a run may plan to use."""
_SLOT_STEPS = 2**24
"""Up to here a float32 counts without a gap, and the log's sums are float32."""
_KINDS = {
    "float": "one number",
    "int": "a whole number",
    "bool": "True or False",
    "str": "a string",
    "tuple[int, ...]": "a tuple of whole numbers",
    "None": "None",
}
"""The annotations of fields that are looked at, in words."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A checked run.

    Attributes:
      agent: as the user gave it.
      vary: values with a leading member axis for some of the agent's leaves, by dotted path.
      seeds: i64[members].
      iterations: of every member.
      slots: rows of the log.
      block: members of one block, a multiple of the mesh's devices.
      mesh: the devices.
    """

    agent: Agent
    vary: dict[str, np.ndarray]
    seeds: np.ndarray
    iterations: int
    slots: int
    block: int
    mesh: Mesh

    @property
    def members(self) -> int:
        """Members of the whole run."""
        return len(self.seeds)

    @property
    def blocks(self) -> int:
        """Blocks of the whole run."""
        return -(-self.members // self.block)

    def chosen(self, block: int) -> np.ndarray:
        """The members of a block: i64[block]; the last block is filled up with the last member."""
        return np.minimum(np.arange(block * self.block, (block + 1) * self.block), self.members - 1)

    def real(self, block: int) -> int:
        """How many members of a block are no filling."""
        return min(self.block, self.members - block * self.block)

    def batched_agent(self, chosen: np.ndarray) -> Agent:
        """The agent with the varied leaves of the chosen members in it: leaves `[members, ...]`."""
        return loop.batched_agent(self.agent, self.vary, chosen)


def make_plan(
    agent: Agent,
    *,
    steps: int | None,
    iterations: int | None,
    seeds: Any,
    vary: dict[str, Any] | None,
    slots: int,
    block: int | None,
    devices: int | None,
    memory_limit: int | None,
) -> Plan:
    """Checks everything that the user gave and decides the blocks; arguments as of `jaxrl.train`."""
    if not isinstance(agent, Agent):
        raise TypeError(f"agent = {agent!r} must be an agent such as jaxrl.DQN(jaxrl.make('CartPole-v1'))")
    if not isinstance(agent.env, Environment):
        raise TypeError(
            f"{type(agent).__name__}.env = {agent.env!r} must be an environment: jaxrl.make(name) makes one"
        )
    check_values(agent)
    _check_fields(agent)
    _check_environment(agent.env)
    agent.check()
    count = _iterations(agent, steps, iterations)
    members = _seeds(seeds, repeats=bool(vary))
    varied = _vary(agent, vary or {}, len(members))
    slots = _slots(slots, count, agent.steps_per_iteration)
    size, mesh = _block(agent, len(members), slots, block, devices, memory_limit)
    return Plan(agent, varied, np.asarray(members), count, slots, size, mesh)


def _check_fields(node: Any) -> None:
    """Checks what bounds do not say: that a field holds the kind of value it is annotated with, and finite ones.

    Other annotations than those in `_KINDS` are the business of who wrote them.
    """
    for field in dataclasses.fields(node):
        name, value = f"{type(node).__name__}.{field.name}", getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            _check_fields(value)
            continue
        text = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
        kinds = text.split(" | ")
        if all(kind in _KINDS for kind in kinds) and not any(_fits(value, kind, is_static(field)) for kind in kinds):
            raise TypeError(
                f"{name} = {value!r} must be {' or '.join(_KINDS[kind] for kind in kinds)}"
                + (
                    ": give values that differ between members to vary"
                    if np.ndim(value) and not is_static(field)
                    else ""
                )
            )
        if not is_static(field) and value is not None and not _finite(value):
            raise ValueError(f"{name} = {value!r} must be finite, as a float32 too: give an ordinary number")


def _fits(value: Any, kind: str, fixed: bool) -> bool:
    if kind == "None" or value is None:
        return kind == "None" and value is None
    if kind == "str":
        return isinstance(value, str)
    if kind == "tuple[int, ...]":
        return isinstance(value, tuple) and all(_fits(item, "int", fixed) for item in value)
    array = np.asarray(value)
    # A whole leaf may be written as a float: its bounds ask for a whole number, and it becomes one.
    number: Any = np.integer if kind == "int" and fixed else np.number
    return array.ndim == 0 and jnp.issubdtype(array.dtype, np.bool_ if kind == "bool" else number)


def _finite(values: Any) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.all(np.isfinite(np.asarray(values).astype(np.float32))))


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} = {value!r} must be a whole number")
    if value < 1:
        raise ValueError(f"{name} = {value} must be at least 1")
    return int(value)


def _iterations(agent: Agent, steps: int | None, iterations: int | None) -> int:
    if (steps is None) == (iterations is None):
        raise ValueError("give either steps (environment steps a member) or iterations (updates a member)")
    if iterations is not None:
        count = _positive("iterations", iterations)
    else:
        count = _positive("steps", steps) // agent.steps_per_iteration
        if not count:
            raise ValueError(
                f"steps = {steps} is less than one iteration of {type(agent).__name__}, which takes up to "
                f"{agent.steps_per_iteration} environment steps: give at least that many"
            )
    if count * agent.steps_per_iteration > 2**31 - 1:
        raise ValueError(
            f"{count} iterations of {agent.steps_per_iteration} steps are more than 2^31 - 1 steps a member, "
            "which the counters can't hold: give fewer"
        )
    return count


def _slots(slots: Any, iterations: int, steps_per_iteration: int) -> int:
    slots = min(_positive("slots", slots), iterations)
    most = max(_SLOT_STEPS // steps_per_iteration, 1)
    if -(-iterations // slots) > most:
        raise ValueError(
            f"slots = {slots} of {iterations} iterations would hold more than {_SLOT_STEPS:,} environment steps each, "
            f"which the log can't count: give at least slots = {-(-iterations // most)}"
        )
    return slots


def _seeds(seeds: Any, repeats: bool) -> range | np.ndarray:
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if seeds > RESERVED_SEED:
            raise ValueError(f"seeds = {seeds} are more than there can be: give at most {RESERVED_SEED}")
        return range(_positive("seeds", seeds))
    try:
        values = np.asarray(seeds)
    except ValueError:  # lists of unequal lengths
        values = np.asarray(None)
    if values.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
        raise TypeError(f"seeds = {seeds!r} must be a positive whole number or a list of whole numbers")
    if values.min() < 0 or values.max() >= RESERVED_SEED:
        raise ValueError(f"seeds must be between 0 and {RESERVED_SEED - 1}, and {seeds!r} are not")
    distinct, counts = np.unique(values, return_counts=True)
    if not repeats and len(distinct) < len(values):
        raise ValueError(
            f"seeds repeat {distinct[counts > 1].tolist()}: those members would be the same; give each once"
        )
    return values.astype(np.int64)


def _vary(agent: Agent, vary: dict[str, Any], members: int) -> dict[str, np.ndarray]:
    if not isinstance(vary, Mapping):
        raise TypeError(f"vary = {vary!r} must be a dict of values by leaf, such as {{'learning_rate': [1e-3, 1e-4]}}")
    known = leaf_paths(agent)
    template = concrete(agent)
    varied = {}
    for path, values in vary.items():
        if path not in known:
            raise ValueError(
                f"vary has no leaf {path!r}{nearest(path, known)}; {type(agent).__name__} has: {', '.join(known)}"
            )
        leaf = np.asarray(get_at(template, path))
        array = _varied(agent, path, values, (members, *leaf.shape))
        varied[path] = array.astype(leaf.dtype)
        if leaf.dtype.kind in "iub" and np.any(varied[path] != array):
            raise ValueError(f"vary[{path!r}] = {values!r} must be whole numbers of type {leaf.dtype.name}")
    return dict(sorted(varied.items()))


def _varied(agent: Agent, path: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:  # lists of unequal lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"vary[{path!r}] = {values!r} must be numbers of shape {shape}: one value a member")
    if array.shape != shape:
        raise ValueError(f"vary[{path!r}] has shape {array.shape} and must have shape {shape}: one value a member")
    check_at(agent, path, array)
    if not _finite(array):
        raise ValueError(f"vary[{path!r}] = {values!r} must be finite, as float32 too: give ordinary numbers")
    return array


def _check_environment(env: Environment) -> None:
    """The cheap part of `check_env`: whether the contract holds in shape."""
    name = type(env).__name__
    steps = getattr(env, "max_steps", None)
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{name}.max_steps = {steps!r} must be a static whole number of at least 1")
    try:
        jax.eval_shape(lambda env, key: env.reset(key), concrete(env), jax.random.key(0))
        (_, obs), (_, step) = jax.eval_shape(lambda env, key: _one_step(env, key), concrete(env), jax.random.key(0))
    except Exception as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else ""
        raise ValueError(
            f"{name} fails its contract: {type(error).__name__}: {line}; jaxrl.check_env(env) tells more"
        ) from error
    space = env.observation_space
    wanted = {
        "reset's observation": (obs, space.shape, space.dtype),
        "step's observation": (step.obs, space.shape, space.dtype),
    }
    wanted |= {"reward": (step.reward, (), np.float32), "terminated": (step.terminated, (), np.bool_)}
    for what, (found, shape, dtype) in wanted.items():
        if getattr(found, "shape", None) != tuple(shape) or getattr(found, "dtype", None) != dtype:
            raise ValueError(
                f"{name} fails its contract: {what} is {found}, and must be {np.dtype(dtype).name}{list(shape)}; "
                "jaxrl.check_env(env) tells more"
            )


def _one_step(env: Environment, key: Any) -> Any:
    state, obs = env.reset(key)
    return (state, obs), env.step(state, env.action_space.sample(key), key)


def _bytes(shapes: Any) -> int:
    return sum(
        x.size * np.dtype(np.uint64 if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype).itemsize
        for x in jax.tree.leaves(shapes)
    )


@dataclasses.dataclass(frozen=True)
class Memory:
    """Bytes that a run needs: of each member of the block under way, and of each member's result."""

    working: int
    kept: int


def memory(agent: Agent, slots: int) -> Memory:
    """Estimates a member's memory from shapes alone; nothing is allocated or compiled."""
    state = jax.eval_shape(lambda key: agent.init(key), jax.random.key(0))
    log = 8 * slots * len(jax.eval_shape(lambda: loop.empty_log(agent, 1, 1)))
    kept = _bytes(jax.eval_shape(agent.kept, state)) + log
    return Memory(working=_bytes(state) + _bytes(agent.scratch()) + log, kept=kept)


def _block(
    agent: Agent, members: int, slots: int, block: int | None, devices: int | None, limit: int | None
) -> tuple[int, Mesh]:
    wished = None if block is None else _positive("block", block)
    mesh = member_mesh(min(members, wished or members), devices)
    need = memory(agent, slots)
    free = int((free_memory(mesh) if limit is None else limit) * USABLE_MEMORY)
    if wished is None:
        suiting = CPU_BLOCK * mesh.size if mesh.devices.flat[0].platform == "cpu" else members
        # The members that fit beside all results, in equal shares for the devices; at least one for each.
        room = max((free - members * need.kept) // need.working // mesh.size, 1) * mesh.size
        block = min(suiting, members, room)
        # As many blocks as that makes, but of even size, so that little of the last one is filling.
        block = -(-members // -(-members // block))
    else:
        block = min(wished, members)
    block = -(-block // mesh.size) * mesh.size

    def least(members: int) -> int:
        """Bytes that a run of so many members needs, in the smallest blocks that there may be."""
        shares = min(mesh.size, members)
        return -(-min(wished or shares, members) // shares) * shares * need.working + members * need.kept

    total = block * need.working + members * need.kept
    if total > free:
        fits = bisect.bisect_right(range(1, members), free, key=least)
        raise ValueError(
            f"seeds = {members} members need {total / 2**20:,.1f} MiB ({need.working / 2**20:,.3f} MiB for each of "
            f"{block} trained at once, {need.kept / 2**20:,.3f} MiB to keep each), and {free / 2**20:,.1f} MiB may be "
            "used: " + (f"at most seeds = {fits} would fit" if fits else "not even one member fits")
        )
    return block, mesh
