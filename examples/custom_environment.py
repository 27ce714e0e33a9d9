"""A custom environment, from its first line to a sweep over its physics.

A rocket hovers: gravity pulls, a gust of wind pushes, the engine is off or on. How strong may gravity be before agents
of one training budget no longer keep the height? All values of gravity are trained side by side, in one program.

    python examples/custom_environment.py
"""

import argparse

import jax
import jax.numpy as jnp

import jaxrl


@jaxrl.pytree
class Rocket(jaxrl.Environment):
    """Stay near a height of 10 m. Observation: (height - 10) / 10 and velocity / 10; actions: engine off, engine on."""

    gravity: float = jaxrl.leaf(default=5.0, above=0)
    """Acceleration of gravity, m/s^2. A leaf: it may differ from member to member."""
    thrust: float = jaxrl.leaf(default=10.0, above=0)
    """Acceleration by the engine, m/s^2."""
    wind: float = jaxrl.leaf(default=0.5, minimum=0)
    """Standard deviation of the gusts' acceleration, m/s^2."""
    max_steps: int = jaxrl.static(default=100, minimum=1)
    """Most steps of one episode, of 0.1 s each. Static: another value is another program."""

    @property
    def observation_space(self):
        """f32[2], without bounds."""
        return jaxrl.Box(shape=(2,))

    @property
    def action_space(self):
        """0 switches the engine off, 1 on."""
        return jaxrl.Discrete(2)

    def reset(self, key):
        """Starts at rest, at 5 to 15 m; the state is (height, velocity)."""
        state = jnp.stack([jax.random.uniform(key, minval=5.0, maxval=15.0), jnp.float32(0)])
        return state, self.observe(state)

    def step(self, state, action, key):
        """One step of 0.1 s; the episode terminates on the ground or above 20 m, and costs the rest of its rewards."""
        acceleration = action * self.thrust - self.gravity + self.wind * jax.random.normal(key)
        velocity = state[1] + 0.1 * acceleration
        state = jnp.stack([state[0] + 0.1 * velocity, velocity])
        reward = 1 - jnp.abs(state[0] - 10) / 10
        terminated = (state[0] <= 0) | (state[0] >= 20)
        return state, jaxrl.TimeStep(self.observe(state), reward, terminated)

    def observe(self, state):
        """The state, scaled to numbers near 1."""
        return (state - jnp.array([10.0, 0.0])) / 10


def main():
    """Checks the environment, and sweeps its gravity and the learning rate."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=40_000, help="environment steps of every member")
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    jaxrl.use_cpu_cores()
    print(jaxrl.check_env(Rocket()))  # Raises with a list of what to mend, if there is anything.
    space = {"env.gravity": [1.0, 5.0, 9.0, 11.0], "learning_rate": [1e-3, 4e-3]}
    sweep = jaxrl.sweep(jaxrl.PPO(Rocket()), space, **vars(options), progress=False)
    best = sweep.table().groupby(["env.gravity", "learning_rate"])["greedy_return"].mean().unstack()
    print("greedy return (at most 100) by gravity and learning rate:", best.round(1), sep="\n")


if __name__ == "__main__":
    main()
