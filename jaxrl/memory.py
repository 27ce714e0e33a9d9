"""How much memory a run needs, and the blocks that fit it; nothing is allocated or compiled."""

import bisect
import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxrl import loop
from jaxrl.agents.base import Agent
from jaxrl.devices import free_device_memory, free_host_memory, member_mesh
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.pytree import once_a_structure

CPU_CACHE = 4 * 2**20
"""Bytes that the members which a CPU device trains at once should work on: about the caches of a core."""
CPU_BLOCKS = (2, 16)
"""The fewest members that a CPU device trains at once, for what an operation costs by itself, and the most."""
USABLE_MEMORY = 0.9
"""Share of the free memory that a run may plan to use."""


class NotEnoughMemoryError(ValueError):
    """A run needs more memory than there is."""


@dataclasses.dataclass(frozen=True)
class Pool:
    """One kind of memory: bytes that may be used, for each member of the block under way, for each of the run."""

    name: str
    free: int
    working: int
    kept: int

    def need(self, block: int, members: int) -> int:
        """Bytes of a run of so many members in blocks of that size."""
        return block * self.working + members * self.kept

    def room(self, members: int) -> int:
        """How many members a block may have."""
        return (self.free - members * self.kept) // self.working if self.working else members


@dataclasses.dataclass(frozen=True)
class MemberBytes:
    """Bytes of one member: its state, its scratch and its log while it is trained, and what is kept of its state."""

    state: int
    scratch: int
    log: int
    kept: int

    @property
    def training(self) -> int:
        """What a member needs while it is trained."""
        return self.state + self.scratch + self.log

    @property
    def result(self) -> int:
        """What its result needs, which is joined from blocks at the end, and stands there twice by then."""
        return 2 * (self.kept + self.log)


def choose_block(
    agent: Agent,
    members: int,
    slots: int,
    *,
    wished: int | None,
    devices: int | None,
    limit: int | None,
    evaluation: EvaluationPlan | None,
    stored: bool,
    keep_all: bool = True,
) -> tuple[int, Mesh]:
    """Decides how many members are trained at once, and on which devices.

    Args:
      agent: of all members.
      members: of the whole run.
      slots: rows of the log.
      wished: members of a block, or None for what suits the devices.
      devices: how many devices to use, or None for all.
      limit: bytes that may be used, or None for what is free.
      evaluation: while they are trained, or None.
      stored: whether checkpoints are written, for which the host copies a block.
      keep_all: whether all trained members stay in memory, or only the block under way.

    Raises:
      NotEnoughMemoryError: the run can't fit.
    """
    mesh = member_mesh(min(members, wished or members), devices)
    pools = _pools(member_bytes(agent, slots, evaluation), mesh, limit, stored)
    if not keep_all:
        pools = [Pool(pool.name, pool.free, pool.working + pool.kept, 0) for pool in pools]
    if wished is None:
        suiting = _cpu_block(agent) * mesh.size if _is_cpu(mesh) else members
        # The members that fit beside all results, in equal shares for the devices; at least one for each.
        room = max(min(pool.room(members) for pool in pools) // mesh.size, 1) * mesh.size
        block = min(suiting, members, room)
        # As many blocks as that makes, but of even size, so that little of the last one is filling.
        block = -(-members // -(-members // block))
    else:
        block = min(wished, members)
    block = -(-block // mesh.size) * mesh.size

    def least(members: int, pool: Pool) -> int:
        """Bytes that a run of so many members needs, in the smallest blocks that there may be."""
        shares = min(mesh.size, members)
        return pool.need(-(-min(wished or shares, members) // shares) * shares, members)

    for pool in pools:
        total = pool.need(block, members)
        if total > pool.free:
            fits = bisect.bisect_right(range(1, members), pool.free, key=functools.partial(least, pool=pool))
            raise NotEnoughMemoryError(
                f"seeds = {members} members need {_mebibytes(total)} of {pool.name} memory ({_mebibytes(pool.working)} "
                f"for each of {block} trained at once, {_mebibytes(pool.kept)} to keep each), and "
                f"{_mebibytes(pool.free)} may be used: "
                + (f"at most seeds = {fits} would fit" if fits else "not even one member fits")
            )
    return block, mesh


def _cpu_block(agent: Agent) -> int:
    """How many members a CPU device trains at once: as many as stay in its cache while they learn.

    A member works on its parameters, their gradients, two moments of them, and what an iteration makes.
    """
    shapes = _shapes(agent)
    least, most = CPU_BLOCKS
    return min(max(CPU_CACHE // (4 * _bytes(shapes.params) + _bytes(shapes.scratch)), least), most)


def _pools(member: MemberBytes, mesh: Mesh, limit: int | None, stored: bool) -> list[Pool]:
    """Where a run needs memory."""
    # A checkpoint takes a copy of the block.
    copies = member.state + member.log if stored else 0
    if _is_cpu(mesh):
        host = int((limit or free_host_memory()) * USABLE_MEMORY)
        return [Pool("main", host, member.training + copies, member.result)]
    device = Pool("device", int((limit or free_device_memory(mesh)) * USABLE_MEMORY), member.training, 0)
    return [device, Pool("main", int(free_host_memory() * USABLE_MEMORY), copies, member.result)]


class _Shapes(NamedTuple):
    """Shapes of one member: its state, its scratch, what is kept of its state, its parameters, an episode's start."""

    state: Any
    scratch: Any
    kept: Any
    params: Any
    start: Any


def member_bytes(agent: Agent, slots: int, evaluation: EvaluationPlan | None = None) -> MemberBytes:
    """What one member needs."""
    state, scratch, kept, params, start = map(_bytes, _shapes(agent))
    log = _bytes(loop.empty_log(agent, 1, slots))
    if evaluation is None:
        return MemberBytes(state, scratch, log, kept)
    best = params if evaluation.keep_best else 0
    column = 2 * slots * np.dtype(np.float32).itemsize
    # A step reads one copy of the episodes and writes another; nothing is trained meanwhile.
    return MemberBytes(state + best, max(scratch, 2 * evaluation.episodes * start), log + column, kept + best)


@once_a_structure
def _shapes(agent: Agent) -> _Shapes:
    state = jax.eval_shape(lambda: agent.init(jax.random.key(0)))
    kept, params = jax.eval_shape(agent.kept, state), jax.eval_shape(agent.params, state)
    return _Shapes(state, agent.scratch(), kept, params, jax.eval_shape(agent.env.reset, jax.random.key(0)))


def _is_cpu(mesh: Mesh) -> bool:
    return mesh.devices.flat[0].platform == "cpu"


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.3f} MiB"


def _bytes(shapes: Any) -> int:
    return sum(
        x.size * np.dtype(np.uint64 if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x.dtype).itemsize
        for x in jax.tree.leaves(shapes)
    )
