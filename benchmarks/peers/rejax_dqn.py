"""DQN on CartPole-v1 by rejax: many members trained together in one compiled program.

The same as in jaxrl's work: the task, 64-64 relu networks initialised alike, one step of one environment and
one update of 32 transitions from 10,000 in each iteration, the first 1,000 steps only collecting, double
DQN, Adam at 1e-3, discount 0.99, a soft target update of 0.01 in every step, and exploration from 1 to 0.04
over the first 10,000 steps (over all of them where there are fewer).

Not the same: see `DIFFERS`. What costs most is how rejax samples: without replacement by `jax.random.choice`
with probabilities, which in every update draws a number for each of the 10,000 rows of the buffer and takes
the 32 greatest. The first update is one step later than in jaxrl.
"""

from typing import Any

from benchmarks.contender import Run, serve
from benchmarks.peers.members import use_devices
from benchmarks.peers.rejax_training import contender, with_evaluation

BUFFER, LEARNING_START, EXPLORATION = 10_000, 1_000, 10_000
EPISODES, SOLVED = 8, 475.0
DIFFERS = [
    "batches are drawn without replacement, by a number drawn for each row of the buffer in every update",
    "the observation stored as the next one is that after the reset; ends by the time limit count as terminal",
    "actions are uniform until learning starts, whatever epsilon is",
    "half the squared error",
    "gradients pass through an element-wise clip at infinity",
    "a fresh start is drawn in every step and selected where an episode ended",
    "no returns of training episodes are recorded",
]


def make_algorithm(steps: int, evaluations: int) -> Any:
    """Rejax's DQN with the settings of the benchmark."""
    import jax
    import jax.numpy as jnp
    import rejax

    def greedy(algo: Any, state: Any, obs: jax.Array) -> jax.Array:
        return jnp.argmax(algo.agent.apply(state.q_ts.params, obs[None])[0])

    algo = rejax.get_algo("dqn").create(
        env="CartPole-v1",
        agent_kwargs={"activation": "relu"},
        num_envs=1,
        total_timesteps=steps,
        eval_freq=steps // max(evaluations, 1),
        skip_initial_evaluation=True,
        buffer_size=BUFFER,
        fill_buffer=LEARNING_START,
        batch_size=32,
        learning_rate=1e-3,
        gamma=0.99,
        ddqn=True,
        target_update_freq=1,
        polyak=0.99,  # What is kept of the target network.
        eps_start=1.0,
        eps_end=0.04,
        exploration_fraction=min(EXPLORATION / steps, 1.0),
        max_grad_norm=jnp.inf,
    )
    return with_evaluation(algo, greedy, EPISODES if evaluations else 0)


def prepare(members: int, steps: int, devices: int, evaluations: int = 0) -> tuple[Run, dict[str, Any]]:
    """Compiles the training; every run is a fresh one of other seeds.

    Args:
      members: seeds trained together, a multiple of `devices`.
      steps: environment steps of each member; a multiple of `evaluations`.
      devices: devices that the members are split over.
      evaluations: greedy evaluations of 8 episodes each, evenly spaced; 0 for a timed run.

    Returns:
      The work and information about it.

    Raises:
      ValueError: the members or the steps can't be divided evenly.
    """
    if steps % max(evaluations, 1):
        raise ValueError(f"{steps=} must be a multiple of {evaluations=}.")
    use_devices(devices)
    algo = make_algorithm(steps, evaluations)
    result = {"updates": members * max(steps - LEARNING_START - 1, 0)}
    solved = SOLVED if evaluations else None
    run, info = contender(algo, lambda state: state.q_ts.params, members, devices, result, solved)
    return run, {**info, "differs": DIFFERS}


if __name__ == "__main__":
    serve(prepare)
