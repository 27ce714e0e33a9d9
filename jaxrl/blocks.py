"""Blocks of members: trained from slot to slot, kept, and joined to a result."""

import contextlib
import dataclasses
import functools
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxrl import loop
from jaxrl.agents.base import Mean
from jaxrl.devices import AXIS
from jaxrl.plan import Plan
from jaxrl.progress import Bar
from jaxrl.result import Result

PAUSE_SECONDS = 0.5
"""How long the devices run between two looks at the host: the bar, Ctrl-C, checkpoints."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A block that was trained.

    Attributes:
      number: from 0.
      state: what its members keep, `[members, ...]`, the filling of the last block included.
      log: one `Mean` a metric, f32[members, slots].
      note: "block", "slot" (slots done), "seconds", "compile_seconds".
    """

    number: int
    state: Any
    log: dict[str, Mean]
    note: dict[str, Any]


class Store(Protocol):
    """Where blocks are kept, and go on from; such as a `RunDirectory`."""

    def load_checkpoint(self, block: int, template: Any) -> tuple[Any, dict[str, Any]] | None:
        """The whole state of a block, its log, and its note; None where it is to begin anew."""

    def save_checkpoint(self, tree: Any, note: dict[str, Any]) -> None:
        """Keeps the whole state of a block and its log."""

    def save_block(self, block: int, tree: Any, note: dict[str, Any]) -> None:
        """Keeps what outlives the run of a finished block."""


class Trainer:
    """Trains the blocks of a plan, with one progress bar and checkpoints."""

    def __init__(
        self,
        plan: Plan,
        store: Store | None,
        checkpoint_seconds: float,
        bar: Bar,
        interrupted: Callable[[], bool],
        until: int | None = None,
    ) -> None:
        """Prepares to train blocks up to, and without, the slot `until`, by default to the end."""
        self._plan = plan
        self._store = store
        self._checkpoint_seconds = checkpoint_seconds
        self._interrupted = interrupted
        self._until = plan.slots if until is None else until
        self._edges = loop.slot_edges(plan.iterations, plan.slots)
        self._last_checkpoint = time.monotonic()
        self._slots_a_call = 1
        self._bar = bar

    def train_block(self, number: int) -> Block:
        """Trains a block, from its checkpoint where there is one, to its end or to an interruption."""
        plan, varied = self._plan, tuple(self._plan.vary)
        agent = plan.batched_agent(plan.chosen(number))
        begin = time.monotonic()
        call = functools.partial(loop.run, agent, edges=self._edges, varied=varied, mesh=plan.mesh)
        with no_garbage_collection():
            state, log, note = self._begin(number, agent)
            # No slot at all: this only compiles, so that compiling and running are timed apart.
            nowhere = np.int32(note["slot"])
            state, log = jax.block_until_ready(call(state, log, nowhere, nowhere))
        note["compile_seconds"] += time.monotonic() - begin
        while note["slot"] < self._until and not self._interrupted():
            first, begin = note["slot"], time.monotonic()
            last = min(first + self._slots_a_call, self._until)
            state, log = call(state, log, np.int32(first), np.int32(last))
            jax.block_until_ready(log)
            seconds = time.monotonic() - begin
            note |= {"slot": last, "seconds": note["seconds"] + seconds}
            # At most twice as many as before: slots before learning starts are much shorter than later ones.
            fitting = int((last - first) * PAUSE_SECONDS / max(seconds, 1e-6))
            self._slots_a_call = max(1, min(fitting, 2 * (last - first)))
            self._show(log, first, last, seconds)
            if last < self._until and time.monotonic() - self._last_checkpoint >= self._checkpoint_seconds:
                self._checkpoint(state, log, note)
        return self._end(number, state, log, note)

    def _begin(self, number: int, agent: Any) -> tuple[Any, Any, dict[str, Any]]:
        plan = self._plan
        init = _init(plan, number, agent)
        found = None
        if self._store is not None:
            found = self._store.load_checkpoint(number, (jax.eval_shape(init), _empty_log(plan)))
        if found is None:
            tree = (init(), _empty_log(plan))
            note: dict[str, Any] = {"block": number, "slot": 0, "seconds": 0.0, "compile_seconds": 0.0}
        else:
            tree, note = found
            self._bar.skip(note["slot"])
        state, log = jax.device_put(tree, NamedSharding(plan.mesh, PartitionSpec(AXIS)))
        return state, log, dict(note)

    def _show(self, log: Any, first: int, last: int, seconds: float) -> None:
        if not self._bar.drawn:
            return
        steps, (total, count) = log["steps"].total, dataclasses.astuple(log["episode_return"])
        steps, total, count = (float(np.sum(np.asarray(x)[:, first:last], dtype=float)) for x in (steps, total, count))
        self._bar.advance(last - first, steps, seconds, total / count if count else float("nan"))

    def _checkpoint(self, state: Any, log: Any, note: dict[str, Any]) -> None:
        if self._store is not None:
            self._store.save_checkpoint((state, log), note)
        self._last_checkpoint = time.monotonic()

    def _end(self, number: int, state: Any, log: Any, note: dict[str, Any]) -> Block:
        kept, kept_log = host((self._plan.agent.kept(state), log))
        if self._store is not None:
            if note["slot"] == self._plan.slots:
                self._store.save_block(number, (kept, kept_log), note)
            else:
                self._checkpoint(state, log, note)
        return Block(number, kept, kept_log, note)


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Holds Python's garbage collector, which takes a third of the time of tracing a program and finds little."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def whole_template(plan: Plan) -> Any:
    """The shapes of a block under way: (state, log)."""
    return jax.eval_shape(_init(plan, 0, plan.batched_agent(plan.chosen(0)))), _empty_log(plan)


def kept_template(plan: Plan) -> Any:
    """The shapes of what a finished block has on disk: (state, log)."""
    state, log = whole_template(plan)
    return plan.agent.kept(state), log


def join(plan: Plan, blocks: list[Block]) -> Result:
    """The result of the blocks that were trained, their filling taken out."""
    if not blocks:
        raise KeyboardInterrupt("interrupted before anything was trained")
    states = [jax.tree.map(lambda x, b=block: x[: plan.real(b.number)], block.state) for block in blocks]
    logs = [jax.tree.map(lambda x, b=block: x[: plan.real(b.number)], block.log) for block in blocks]
    members = np.concatenate([plan.chosen(b.number)[: plan.real(b.number)] for b in blocks])
    complete = len(blocks) == plan.blocks and all(block.note["slot"] == plan.slots for block in blocks)
    return Result(
        agent=plan.agent,
        vary={path: values[members] for path, values in plan.vary.items()},
        seeds=plan.seeds[members],
        iterations=plan.iterations,
        log=finished_log(jax.tree.map(lambda *parts: np.concatenate(parts), *logs)),
        state=jax.tree.map(concatenated, *states),
        seconds=sum(block.note["seconds"] for block in blocks),
        compile_seconds=sum(block.note["compile_seconds"] for block in blocks),
        complete=complete,
    )


def finished_log(sums: dict[str, Mean]) -> dict[str, np.ndarray]:
    """Divides the sums of a log by their counts; see `Result.log`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        means = {name: np.asarray(mean.total / mean.count, np.float32) for name, mean in sums.items()}
    del means["steps"]
    steps = np.cumsum(sums["steps"].total, axis=1, dtype=np.float64)
    reached = np.asarray(sums["diverged"].count) > 0
    return {"step": np.where(reached, steps, np.nan), **means, "diverged": np.asarray(sums["diverged"].total) > 0}


def host(tree: Any) -> Any:
    """The arrays of a pytree copied to NumPy; random keys stay JAX arrays."""

    def copied(x: Any) -> Any:
        if not isinstance(x, jax.Array):
            return np.array(x)
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            return x
        # Not `np.array(x)`, which makes two copies of an array that several CPU devices share.
        whole = np.empty(x.shape, x.dtype)
        for shard in x.addressable_shards:
            whole[shard.index] = shard.data
        return whole

    return jax.tree.map(copied, tree)


def concatenated(*parts: Any) -> Any:
    """Arrays or random keys `[members, ...]`, one after the other."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return jax.random.wrap_key_data(jnp.concatenate([jax.random.key_data(part) for part in parts]))


def _init(plan: Plan, number: int, agent: Any) -> Callable[[], Any]:
    """What makes the states of a block's members before training, of the block's batched agent."""
    seeds = plan.seeds[plan.chosen(number)].astype(np.uint32)
    # Named here, because the default may change while compiled programs stay as they are.
    impl = jax.config.jax_default_prng_impl  # type: ignore[attr-defined]
    return functools.partial(loop.init, agent, seeds, varied=tuple(plan.vary), mesh=plan.mesh, impl=impl)


def _empty_log(plan: Plan) -> dict[str, Mean]:
    return loop.empty_log(plan.agent, plan.block, plan.slots)
