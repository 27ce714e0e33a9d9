"""PPO on CartPole-v1 by purejaxrl's own `ppo.py`, or with a GRU by its `ppo_rnn.py`: members trained together.

The files are those of the commit pinned in `sources.py`, imported as they are, with the settings that they publish:
4 environments of 128 steps an iteration, 4 epochs of 4 minibatches, Adam at 2.5e-4 falling to 0, discount 0.99,
lambda 0.95, clipping of policy and values at 0.2, entropy 0.01, values 0.5, gradients' norm 0.5; two networks of 64-64
tanh units, or a layer of 128 relu units, a GRU of 128 and heads with a layer of 128 each.

The same as in jaxrl's work: the task, the settings and the networks. Not the same: see `DIFFERS`. To its advantage:
the callback that prints every episode (`DEBUG`) is off, and results stay where JAX has them. `wrappers.py` imports
brax and navix for environments that aren't measured; empty modules stand in for them, which changes nothing that runs.
`ppo_rnn.py` calls flax's GRU as it was before flax 0.7.2, which does not run with this JAX: a module with the former
signature calls the present one, whose computation is the same. Members are split over processes with a core each, not
over the devices of one process: with 8 members on each of two CPU devices, `ppo.py` never ends under JAX 0.10.1.
"""

import importlib
import importlib.metadata
import multiprocessing
import os
import sys
import time
import types
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.contender import Run, serve
from benchmarks.curves import by_log_point, learned
from benchmarks.info import peak_bytes
from benchmarks.peers.members import compile_members, use_devices
from benchmarks.peers.sources import PUREJAXRL_COMMIT, purejaxrl

ENVS, STEPS, EPOCHS, MINIBATCHES = 4, 128, 4, 4
SETTINGS = {
    "LR": 2.5e-4,
    "NUM_ENVS": ENVS,
    "NUM_STEPS": STEPS,
    "UPDATE_EPOCHS": EPOCHS,
    "NUM_MINIBATCHES": MINIBATCHES,
    "GAMMA": 0.99,
    "GAE_LAMBDA": 0.95,
    "CLIP_EPS": 0.2,
    "ENT_COEF": 0.01,
    "VF_COEF": 0.5,
    "MAX_GRAD_NORM": 0.5,
    "ACTIVATION": "tanh",
    "ENV_NAME": "CartPole-v1",
    "ANNEAL_LR": True,
    "DEBUG": False,
}
SLOTS, SOLVED = 100, 475.0
PACKAGES = ("gymnax", "jax", "jaxlib", "flax", "optax", "distrax", "numpy")
UNUSED = {
    "brax": ("envs",),
    "brax.envs": (),
    "brax.envs.wrappers": (),
    "brax.envs.wrappers.training": ("EpisodeWrapper", "AutoResetWrapper"),
    "navix": (),
}
"""Modules that wrappers.py imports for other environments, with the names that it takes from them."""
DIFFERS = [
    "stores the returns, lengths and flags of every step of the run: its memory grows with the steps",
    "episodes that end by the time limit count as terminal",
    "one random key each step, split for the action and for every environment",
    "a fresh start is drawn in every step and selected where an episode ended",
    "members are split over processes, and all of a process's run side by side, where ours run in blocks",
]
DIFFERS_BY_FILE = {
    "ppo": ["sorts random numbers for the permutation of every epoch"],
    "ppo_rnn": ["a minibatch is the one sequence of one environment"],
}


def load(name: str) -> Any:
    """Imports one of purejaxrl's files."""
    sys.path.insert(0, str(purejaxrl()))
    for module, names in UNUSED.items():
        stub = sys.modules.setdefault(module, types.ModuleType(module))
        for each in names:
            setattr(stub, each, types.ModuleType(each))
    program = importlib.import_module(name)
    if name == "ppo_rnn":
        _restore_gru_signature(program)
    return program


def _restore_gru_signature(module: Any) -> None:
    """Gives the module flax's GRU with the signature that it was written for."""
    import flax.linen as nn
    import jax.numpy as jnp

    class GRUCell(nn.Module):
        @nn.compact
        def __call__(self, carry: Any, inputs: Any) -> Any:
            return nn.GRUCell(carry.shape[-1])(carry, inputs)

        @staticmethod
        def initialize_carry(key: Any, batch: tuple[int, ...], size: int) -> Any:
            del key
            return jnp.zeros((*batch, size))

    module.nn = types.SimpleNamespace(**{**vars(nn), "GRUCell": GRUCell})


_worker: dict[str, Any] = {}
"""What a process keeps between its calls."""


def start(number: int, members: int, devices: int, steps: int, memory: bool) -> float:
    """Compiles, in a separate process, the training of its share of the members; returns the seconds it took."""
    cores = sorted(os.sched_getaffinity(0)) if devices > 1 and hasattr(os, "sched_getaffinity") else []
    if len(cores) >= devices:
        os.sched_setaffinity(0, {cores[number]})
    use_devices(1)
    train = load("ppo_rnn" if memory else "ppo").make_train({**SETTINGS, "TOTAL_TIMESTEPS": steps})
    share = members // devices
    _worker["before"], begin = peak_bytes(), time.perf_counter()
    _worker["train"] = compile_members(train, share, 1, number * share, members)
    return time.perf_counter() - begin


def train_share(curve: bool) -> tuple[int, Any]:
    """Trains a process's share: bytes that the process grew by, f64[members, log_points] if a curve is wanted."""
    import numpy as np

    trained = _worker["train"]()
    info = trained.get("metrics", trained.get("metric"))
    grown = peak_bytes() - _worker["before"]
    if not curve:
        return grown, None
    return grown, by_log_point(
        np.asarray(info["returned_episode"]), np.asarray(info["returned_episode_returns"]), SLOTS
    )


def prepare(
    members: int, steps: int, devices: int, memory: bool = False, curve: bool = False
) -> tuple[Run, dict[str, Any]]:
    """Starts the processes, which compile and stay; every run is a fresh training of other seeds.

    Args:
      members: seeds trained together, a multiple of `devices`.
      steps: environment steps of each member, a multiple of 512.
      devices: processes that the members are split over, with a core each.
      memory: whether to run ppo_rnn.py instead of ppo.py.
      curve: whether to summarise what was learned.

    Returns:
      The work and information about it.

    Raises:
      ValueError: the members or the steps can't be divided evenly.
      RuntimeError: purejaxrl's files can't be had.
    """
    batch = ENVS * STEPS
    if steps % batch or members % devices:
        raise ValueError(f"{steps=} must be a multiple of {batch}, and {members=} of {devices=}.")
    purejaxrl()
    spawn = multiprocessing.get_context("spawn")
    workers = [ProcessPoolExecutor(1, mp_context=spawn) for _ in range(devices)]
    starts = [worker.submit(start, number, members, devices, steps, memory) for number, worker in enumerate(workers)]
    compile_seconds = max(each.result() for each in starts)

    def run() -> dict[str, Any]:
        import numpy as np

        shares = [each.result() for each in [worker.submit(train_share, curve) for worker in workers]]
        result = {
            "steps": members * steps,
            "updates": members * steps // batch * EPOCHS * MINIBATCHES,
            "measured_bytes": sum(grown for grown, _ in shares),
        }
        return result | (learned(np.concatenate([each for _, each in shares]), steps, SOLVED) if curve else {})

    return run, {
        "versions": {each: importlib.metadata.version(each) for each in PACKAGES} | {"purejaxrl": PUREJAXRL_COMMIT[:8]},
        "differs": DIFFERS + DIFFERS_BY_FILE["ppo_rnn" if memory else "ppo"],
        "compile_seconds": compile_seconds,
        "devices": devices,
    }


if __name__ == "__main__":
    serve(prepare)
