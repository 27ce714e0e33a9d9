"""PPO on CartPole-v1 by purejaxrl's own `ppo.py`, or with a GRU by its `ppo_rnn.py`: members trained together.

The files are those of the commit pinned in `sources.py`, imported as they are, with the settings that they publish:
4 environments of 128 steps an iteration, 4 epochs of 4 minibatches, Adam at 2.5e-4 falling to 0, discount 0.99,
lambda 0.95, clipping of policy and values at 0.2, entropy 0.01, values 0.5, gradients' norm 0.5; two networks of 64-64
tanh units, or a layer of 128 relu units, a GRU of 128 and heads with a layer of 128 each.

The same as in jaxrl's work: the task, the settings and the networks. Not the same: see `DIFFERS`. To its advantage:
the callback that prints every episode (`DEBUG`) is off, and results stay where JAX has them. `wrappers.py` imports
brax and navix for environments that aren't measured; empty modules stand in for them, which changes nothing that runs.
`ppo_rnn.py` calls flax's GRU as it was before flax 0.7.2, which does not run with this JAX: a module with the former
signature calls the present one, whose computation is the same.
"""

import importlib
import importlib.metadata
import sys
import time
import types
from typing import Any

from benchmarks.contender import Run, serve
from benchmarks.curves import by_slot, learned
from benchmarks.facts import peak_bytes
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
    "all of a device's members run side by side, where ours run in blocks",
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
    module = importlib.import_module(name)
    if name == "ppo_rnn":
        _restore_gru_signature(module)
    return module


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


def prepare(
    members: int, steps: int, devices: int, memory: bool = False, curve: bool = False
) -> tuple[Run, dict[str, Any]]:
    """Compiles the training; every run is a fresh one of other seeds.

    Args:
      members: seeds trained together, a multiple of `devices`.
      steps: environment steps of each member, a multiple of 512.
      devices: devices that the members are split over.
      memory: whether to run ppo_rnn.py instead of ppo.py.
      curve: whether to summarise what was learned.

    Returns:
      The work and facts about it.

    Raises:
      ValueError: the members or the steps can't be divided evenly.
      RuntimeError: purejaxrl's files can't be had.
    """
    batch = ENVS * STEPS
    if steps % batch:
        raise ValueError(f"{steps=} must be a multiple of {batch}.")
    use_devices(devices)
    import numpy as np

    name = "ppo_rnn" if memory else "ppo"
    train = load(name).make_train({**SETTINGS, "TOTAL_TIMESTEPS": steps})
    before, begin = peak_bytes(), time.perf_counter()
    train_members = compile_members(train, members, devices)
    compile_seconds = time.perf_counter() - begin

    def run() -> dict[str, Any]:
        trained = train_members()
        info = trained["metric" if memory else "metrics"]
        found = {
            "steps": members * steps,
            "updates": members * steps // batch * EPOCHS * MINIBATCHES,
            "measured_bytes": peak_bytes() - before,
        }
        if not curve:
            return found
        returns = by_slot(np.asarray(info["returned_episode"]), np.asarray(info["returned_episode_returns"]), SLOTS)
        return found | learned(returns, steps, SOLVED)

    return run, {
        "versions": {each: importlib.metadata.version(each) for each in PACKAGES} | {"purejaxrl": PUREJAXRL_COMMIT[:8]},
        "differs": DIFFERS + DIFFERS_BY_FILE[name],
        "compile_seconds": compile_seconds,
        "devices": devices,
    }


if __name__ == "__main__":
    serve(prepare)
