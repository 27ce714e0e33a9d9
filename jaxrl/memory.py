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
from jaxrl.devices import (
    USABLE_MEMORY,
    NotEnoughMemoryError,
    bytes_of,
    free_device_memory,
    free_host_memory,
    mebibytes,
    member_mesh,
)
from jaxrl.evaluation import episode_bytes
from jaxrl.periodic_evaluation import EvaluationPlan
from jaxrl.pytree import cache_by_structure
from jaxrl.train_config import TrainConfig

CPU_CACHE = 4 * 2**20
"""Bytes that the members which a CPU device trains at once should work on: about the caches of a core."""
CPU_BLOCKS = (2, 16)
"""The fewest members that a CPU device trains at once, for what an operation costs by itself, and the most."""


@dataclasses.dataclass(frozen=True)
class Pool:
    """One kind of memory: bytes that may be used, for each member of the block under way, for each of the run."""

    name: str
    free: int
    working: int
    kept: int

    def need(self, block_size: int, members: int) -> int:
        """Bytes of a run of so many members in blocks of that size."""
        return block_size * self.working + members * self.kept

    def most(self, members: int) -> int:
        """How many members a block may have."""
        return (self.free - members * self.kept) // self.working if self.working else members


@dataclasses.dataclass(frozen=True)
class MemberBytes:
    """Bytes of one member: its state, its workspace and its log while it is trained, and what is kept of its state."""

    state: int
    workspace: int
    log: int
    kept: int

    @property
    def training(self) -> int:
        """What a member needs while it is trained."""
        return self.state + self.workspace + self.log

    @property
    def result(self) -> int:
        """What its result needs, which is joined from blocks at the end, and stands there twice by then."""
        return 2 * (self.kept + self.log)


def choose_block(agent: Agent, members: int, log_points: int, config: TrainConfig) -> tuple[int, Mesh]:
    """Decides how many members are trained at once, and on which devices.

    Args:
      agent: of all members.
      members: of the whole run.
      log_points: rows of the log.
      config: what was asked for.

    Raises:
      NotEnoughMemoryError: the run can't fit.
    """
    requested = config.block_size
    mesh = member_mesh(min(members, requested or members), config.devices)
    needed = member_bytes(agent, log_points, config.evaluation)
    pools = _pools(needed, mesh, config.memory_limit, config.stored)
    if not config.keep_all:
        pools = [Pool(pool.name, pool.free, pool.working + pool.kept, 0) for pool in pools]
    if requested is None:
        suiting = _cpu_block(agent) * mesh.size if _is_cpu(mesh) else members
        # The members that fit beside all results, in equal shares for the devices; at least one for each.
        most = max(min(pool.most(members) for pool in pools) // mesh.size, 1) * mesh.size
        block_size = min(suiting, members, most)
        # As many blocks as that makes, but of even size, so that little of the last one is filling.
        block_size = -(-members // -(-members // block_size))
    else:
        block_size = min(requested, members)
    block_size = -(-block_size // mesh.size) * mesh.size

    def least(members: int, pool: Pool) -> int:
        """Bytes that a run of so many members needs, in the smallest blocks that there may be."""
        shares = min(mesh.size, members)
        return pool.need(-(-min(requested or shares, members) // shares) * shares, members)

    for pool in pools:
        total = pool.need(block_size, members)
        if total > pool.free:
            fits = bisect.bisect_right(range(1, members), pool.free, key=functools.partial(least, pool=pool))
            raise NotEnoughMemoryError(
                f"seeds = {members} members need {mebibytes(total)} of {pool.name} memory ({mebibytes(pool.working)} "
                f"for each of {block_size} trained at once, {mebibytes(pool.kept)} to keep each), and "
                f"{mebibytes(pool.free)} may be used: "
                + (f"at most seeds = {fits} would fit" if fits else "not even one member fits")
            )
    return block_size, mesh


def _cpu_block(agent: Agent) -> int:
    """How many members a CPU device trains at once: as many as stay in its cache while they learn.

    A member works on its parameters, their gradients, two moments of them, and what an iteration makes.
    """
    shapes = _shapes(agent)
    least, most = CPU_BLOCKS
    member = 4 * bytes_of(shapes.params) + bytes_of((shapes.workspace, shapes.gradient_workspace))
    return min(max(CPU_CACHE // member, least), most)


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
    """Shapes of one member: its state, its workspace of both kinds, what is kept of its state, its parameters."""

    state: Any
    workspace: Any
    gradient_workspace: Any
    kept: Any
    params: Any


def member_bytes(agent: Agent, log_points: int, evaluation: EvaluationPlan | None = None) -> MemberBytes:
    """What one member needs."""
    state, workspace, gradient_workspace, kept, params = map(bytes_of, _shapes(agent))
    workspace += gradient_workspace
    log = bytes_of(loop.empty_log(agent, 1, log_points))
    if evaluation is None:
        return MemberBytes(state, workspace, log, kept)
    best = params if evaluation.keep_best else 0
    column = 2 * log_points * np.dtype(np.float32).itemsize
    # Nothing is trained while it is evaluated.
    return MemberBytes(
        state + best, max(workspace, episode_bytes(agent, evaluation.episodes)), log + column, kept + best
    )


@cache_by_structure
def _shapes(agent: Agent) -> _Shapes:
    state = jax.eval_shape(lambda: agent.init(jax.random.key(0)))
    kept, params = jax.eval_shape(agent.final_state, state), jax.eval_shape(agent.params, state)
    return _Shapes(state, agent.workspace(), agent.gradient_workspace(), kept, params)


def _is_cpu(mesh: Mesh) -> bool:
    return mesh.devices.flat[0].platform == "cpu"
