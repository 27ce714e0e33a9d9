"""PPO on brax's inverted_pendulum (spring): `python -m benchmarks.brax_learning [--steps N] [--seeds N] [--brax]`.

Needs jaxrl[brax]. Prints the mean return of greedy episodes against environment steps; 1,000 is the most that an
episode can earn. brax's own notebook (`notebooks/training.ipynb` of google/brax) trains this task for 2,000,000 steps
by its PPO in 2,048 environments and keeps no curve of it; `--brax` runs that here beside ours, for as many steps.
"""

import argparse
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxrl

NAME, BACKEND = "inverted_pendulum", "spring"
EVALUATIONS = 10


def ours(steps: int, seeds: int) -> None:
    """Trains jaxrl's PPO, and prints the returns of each member."""
    env = jaxrl.make(f"brax:{NAME}", backend=BACKEND)
    agent = jaxrl.PPO(env, num_envs=32, rollout_steps=64, normalize_observations=True)
    begin = time.perf_counter()
    result = jaxrl.train(
        agent, steps=steps, seeds=seeds, evaluate_every=steps // EVALUATIONS, evaluation_episodes=16, progress=False
    )
    print(f"jaxrl's PPO, {seeds} seeds, 32 environments: {time.perf_counter() - begin:.0f} s")
    returns = result.log["evaluation_return"]
    for slot in np.flatnonzero(~np.isnan(returns).all(axis=0)):
        print(f"  {int(result.log['step'][0, slot]):>9,} steps: " + ", ".join(f"{x:.0f}" for x in returns[:, slot]))


def of_brax(steps: int) -> None:
    """Trains brax's PPO at the settings of its notebook, and prints the returns."""
    # brax 0.14.2 trains by a function that JAX 0.10 no longer has.
    vars(jax)["device_put_replicated"] = lambda x, devices: jax.tree.map(lambda y: jnp.stack([y] * len(devices)), x)
    import brax.envs
    from brax.training.agents.ppo.train import train

    def report(step: int, metrics: dict[str, Any]) -> None:
        print(f"  {step:>9,} steps: {float(metrics['eval/episode_reward']):.0f}", flush=True)

    settings: dict[str, Any] = {
        "reward_scaling": 10,
        "episode_length": 1000,
        "normalize_observations": True,
        "action_repeat": 1,
    }
    settings |= {"unroll_length": 5, "num_minibatches": 32, "num_updates_per_batch": 4, "discounting": 0.97}
    settings |= {"learning_rate": 3e-4, "entropy_cost": 1e-2, "num_envs": 2048, "batch_size": 1024, "seed": 1}
    env = brax.envs.get_environment(NAME, backend=BACKEND)
    begin = time.perf_counter()
    print("brax's PPO, 1 seed, 2,048 environments")
    functools.partial(train, **settings)(
        environment=env, num_timesteps=steps, num_evals=EVALUATIONS, progress_fn=report
    )
    print(f"  {time.perf_counter() - begin:.0f} s")


def main() -> None:
    """Reads the command line, and trains."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.brax_learning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=600_000, help="environment steps of a member")
    parser.add_argument("--seeds", type=int, default=2, help="members")
    parser.add_argument("--brax", action="store_true", help="train brax's own PPO too")
    arguments = parser.parse_args()
    ours(arguments.steps, arguments.seeds)
    if arguments.brax:
        of_brax(arguments.steps)


if __name__ == "__main__":
    main()
