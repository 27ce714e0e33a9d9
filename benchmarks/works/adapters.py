"""jaxrl's environments in the interfaces of other libraries, and theirs in jaxrl's."""

from benchmarks.race import OURS, Contender, Work

NUM_ENVS = 10_000


def adapters(devices: int, rounds: int) -> list[Work]:
    """Both directions."""
    return [_gymnasium_vector(rounds)]


def _gymnasium_vector(rounds: int) -> Work:
    def contender(name: str, kind: str, steps: int, **more: str) -> Contender:
        options = {"env": "CartPole-v1", "num_envs": NUM_ENVS, "steps": steps, "kind": kind}
        return Contender(name, "peers.gymnasium_random_play", options, **more)

    return Work(
        "gymnasium-vector",
        f"CartPole through Gymnasium's VectorEnv.step, NumPy arrays in and out, {NUM_ENVS:,} environments",
        "steps",
        (
            contender("jaxrl", "jaxrl", 2_000, role=OURS),
            contender("Gymnasium CartPoleVectorEnv", "vector", 500),
        ),
        rounds,
    )
