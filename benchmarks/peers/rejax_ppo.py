"""PPO by rejax on gymnax's classic control: many members trained together in one compiled program.

The settings are those that rejax's repository publishes for each environment (`configs/gymnax` of version 0.1.3), or,
on CartPole-v1, those that purejaxrl publishes, as far as rejax has them.

The same as in jaxrl's work then: the task, two networks of 64-64 tanh units, 4 environments of 128 steps, 4 epochs of
4 minibatches, discount, lambda, clipping of policy and values, and what entropy and values cost. Not the same: see
`DIFFERS`. Learning curves are of greedy evaluations (the mode of the policy), whose time counts.
"""

from typing import Any

from benchmarks.contender import Run, serve
from benchmarks.peers.members import use_devices
from benchmarks.peers.rejax_training import contender, with_evaluation

EPISODES = 32
DIFFERS = [
    "two optimizers, with a constant step size; gradients are clipped element by element, not by their norm",
    "weights start from a truncated normal, not orthogonal; the last layers are not scaled",
    "episodes that end by the time limit count as terminal; observations' moments change within a rollout",
    "sorts random numbers for the permutation of every epoch",
    "a fresh start is drawn in every step and selected where an episode ended",
    "no returns of training episodes are recorded",
    "all of a device's members run side by side, where ours run in blocks",
]
COMMON = {"gamma": 0.99, "gae_lambda": 0.95, "clip_eps": 0.2, "vf_coef": 0.5, "ent_coef": 0.01, "max_grad_norm": 0.5}


def _sizes(num_envs: int, num_steps: int, num_epochs: int, num_minibatches: int) -> dict[str, int]:
    return {
        "num_envs": num_envs,
        "num_steps": num_steps,
        "num_epochs": num_epochs,
        "num_minibatches": num_minibatches,
    }


SHARED = {**COMMON, **_sizes(4, 128, 4, 4), "learning_rate": 2.5e-4}
"""purejaxrl's settings."""
PUBLISHED: dict[str, tuple[float, str, dict[str, Any]]] = {
    "CartPole-v1": (475.0, "tanh", {**COMMON, **_sizes(5, 100, 5, 5), "learning_rate": 7.5e-4}),
    "Acrobot-v1": (
        -100.0,
        "tanh",
        {**COMMON, **_sizes(5, 100, 5, 5), "learning_rate": 7.5e-4, "normalize_observations": True},
    ),
    "MountainCar-v0": (
        -110.0,
        "tanh",
        {**COMMON, **_sizes(10, 20, 5, 5), "learning_rate": 2.5e-4, "gae_lambda": 0.98, "ent_coef": 0.0},
    ),
    "MountainCarContinuous-v0": (
        90.0,
        "relu",
        {
            **COMMON,
            **_sizes(5, 100, 10, 10),
            "learning_rate": 3e-4,
            "gamma": 0.9,
            "ent_coef": 0.0,
            "max_grad_norm": 10,
        },
    ),
    "Pendulum-v1": (
        -200.0,
        "swish",
        {
            **COMMON,
            **_sizes(100, 100, 10, 10),
            "learning_rate": 1e-3,
            "gamma": 0.995,
            "ent_coef": 0.0,
            "max_grad_norm": 10,
            "normalize_observations": True,
        },
    ),
}
"""The return that solves each environment, and rejax's activation and settings for it."""


def make_algorithm(env: str, activation: str, settings: dict[str, Any], steps: int, evaluations: int) -> Any:
    """Rejax's PPO, which evaluates greedily so many times."""
    import jax
    import jax.numpy as jnp
    import rejax

    def greedy(algo: Any, state: Any, obs: jax.Array) -> jax.Array:
        if algo.normalize_observations:
            obs = algo.normalize_obs(state.obs_rms_state, obs)
        action = algo.actor.apply(state.actor_ts.params, obs[None], method="_action_dist").mode()[0]
        return action if algo.discrete else jnp.clip(action, algo.action_space.low, algo.action_space.high)

    algo = rejax.get_algo("ppo").create(
        env=env,
        agent_kwargs={"activation": activation},
        total_timesteps=steps,
        eval_freq=steps // max(evaluations, 1),
        skip_initial_evaluation=True,
        **settings,
    )
    return with_evaluation(algo, greedy, EPISODES if evaluations else 0)


def prepare(
    members: int, steps: int, devices: int, env: str = "CartPole-v1", shared: bool = False, evaluations: int = 0
) -> tuple[Run, dict[str, Any]]:
    """Compiles the training; every run is a fresh one of other seeds.

    Args:
      members: seeds trained together, a multiple of `devices`.
      steps: environment steps of each member; `evaluations` times a multiple of the steps of an iteration.
      devices: devices that the members are split over.
      env: one of `PUBLISHED`.
      shared: purejaxrl's settings instead of rejax's own.
      evaluations: greedy evaluations of 32 episodes each, evenly spaced; 0 for a timed run.

    Returns:
      The work and information about it.

    Raises:
      ValueError: the members or the steps can't be divided evenly.
    """
    solved, activation, settings = PUBLISHED[env]
    settings = SHARED if shared else settings
    batch = settings["num_envs"] * settings["num_steps"]
    # rejax rounds up to whole iterations between evaluations, and would train for more steps than it was told.
    if steps % (batch * max(evaluations, 1)):
        raise ValueError(f"{steps=} must be a multiple of {batch} x {evaluations=}.")
    use_devices(devices)
    algo = make_algorithm(env, activation, settings, steps, evaluations)
    updates = steps // batch * settings["num_epochs"] * settings["num_minibatches"]
    run, info = contender(
        algo,
        lambda state: (state.actor_ts.params, state.critic_ts.params),
        members,
        devices,
        {"updates": members * updates},
        solved if evaluations else None,
    )
    return run, {**info, "differs": DIFFERS}


if __name__ == "__main__":
    serve(prepare)
