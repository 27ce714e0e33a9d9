"""SAC and TD3 on Pendulum-v1 by rejax: many members trained together in one compiled program.

The settings are those that rejax's repository publishes (`configs/gymnax/pendulum.yaml` of version 0.1.3), which
jaxrl takes over for its own work as far as it has them: see `benchmarks/ours/off_policy.py`. Not the same: see
`DIFFERS`. Learning curves are of greedy evaluations, whose time counts.
"""

from typing import Any

from benchmarks.contender import Run, serve
from benchmarks.peers.members import use_devices
from benchmarks.peers.rejax_training import contender, with_evaluation

EPISODES, SOLVED = 32, -200.0
COMMON: dict[str, Any] = {
    "env": "Pendulum-v1",
    "num_envs": 1,
    "buffer_size": 10_000,
    "num_epochs": 1,
    "gamma": 0.99,
    "normalize_observations": True,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "sac": {
        **COMMON,
        "agent_kwargs": {"activation": "swish"},
        "fill_buffer": 256,
        "batch_size": 256,
        "learning_rate": 0.01,
        "polyak": 0.98,
        "target_entropy_ratio": None,
    },
    "td3": {
        **COMMON,
        "actor_kwargs": {"activation": "swish"},
        "critic_kwargs": {"activation": "swish"},
        "fill_buffer": 1_000,
        "batch_size": 100,
        "learning_rate": 0.001,
        "polyak": 0.95,
        "max_grad_norm": 100,
        "exploration_noise": 0.3,
        "target_noise": 0.2,
        "target_noise_clip": 0.5,
        "policy_delay": 2,
    },
}
DIFFERS = {
    "sac": [
        "the policy is updated before the critics; its density leaves out the slope of the action's scale",
        "actions are the policy's from the first step on",
    ],
    "td3": ["the policy climbs the mean of both critics"],
}
EVERYWHERE = [
    "batches are drawn without replacement, by a number drawn for each row of the buffer in every update",
    "the observation stored as the next one is that after the reset; ends by the time limit count as terminal",
    "gradients are clipped element by element; moments are of all steps played, not of those learned from",
    "a fresh start is drawn in every step and selected where an episode ended",
    "no returns of training episodes are recorded",
]


def make_algorithm(algorithm: str, steps: int, evaluations: int) -> Any:
    """Rejax's algorithm, which evaluates greedily so many times."""
    import jax
    import jax.numpy as jnp
    import rejax

    def greedy(algo: Any, state: Any, obs: jax.Array) -> jax.Array:
        obs = algo.normalize_obs(state.obs_rms_state, obs)[None]
        if algorithm == "td3":
            return algo.actor.apply(state.actor_ts.params, obs)[0]
        mean = algo.actor.apply(state.actor_ts.params, obs, method="_action_dist").loc[0]
        low, high = algo.action_space.low, algo.action_space.high
        return (low + high) / 2 + (high - low) / 2 * jnp.tanh(mean)

    algo = rejax.get_algo(algorithm).create(
        total_timesteps=steps,
        eval_freq=steps // max(evaluations, 1),
        skip_initial_evaluation=True,
        **{key: dict(value) if isinstance(value, dict) else value for key, value in SETTINGS[algorithm].items()},
    )
    return with_evaluation(algo, greedy, EPISODES if evaluations else 0)


def prepare(algorithm: str, members: int, steps: int, devices: int, evaluations: int = 0) -> tuple[Run, dict[str, Any]]:
    """Compiles the training; every run is a fresh one of other seeds.

    Args:
      algorithm: "sac" or "td3".
      members: seeds trained together, a multiple of `devices`.
      steps: environment steps of each member; `evaluations` times an even number.
      devices: devices that the members are split over.
      evaluations: greedy evaluations of 32 episodes each, evenly spaced; 0 for a timed run.

    Returns:
      The work and information about it.

    Raises:
      ValueError: the steps can't be divided evenly.
    """
    if steps % (2 * max(evaluations, 1)):
        raise ValueError(f"{steps=} must be a multiple of 2 x {evaluations=}.")
    use_devices(devices)
    algo = make_algorithm(algorithm, steps, evaluations)
    result = {"updates": members * max(steps - SETTINGS[algorithm]["fill_buffer"] - 1, 0)}
    run, info = contender(
        algo,
        lambda state: (state.actor_ts.params, state.critic_ts.params),
        members,
        devices,
        result,
        SOLVED if evaluations else None,
    )
    return run, {**info, "differs": [*DIFFERS[algorithm], *EVERYWHERE]}


if __name__ == "__main__":
    serve(prepare)
