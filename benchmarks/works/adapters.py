"""jaxrl's environments in the interfaces of other libraries, and theirs in jaxrl's."""

from benchmarks.race import OURS, Contender, Work

NUM_ENVS = 10_000
ADAPTERS = "adapters"
"""The virtual environment that has the libraries, and all that jaxrl needs."""


def adapters(devices: int, rounds: int) -> list[Work]:
    """Both directions."""
    gymnax = [_gymnax(name, devices, rounds) for name in ("CartPole-v1", "Breakout-MinAtar")]
    # Boards on which episodes end within a run: after 190 steps and 31.
    jumanji = [_jumanji("Snake-v1", rounds, num_rows=6, num_cols=6), _jumanji("Game2048-v1", rounds, board_size=3)]
    vector = [_gymnasium_vector(mode, rounds) for mode in ("next step", "same step")]
    return [*vector, *gymnax, _brax(rounds), *jumanji]


def _gymnasium_vector(mode: str, rounds: int) -> Work:
    def contender(name: str, kind: str, steps: int, **more: str) -> Contender:
        options = {"env": "CartPole-v1", "num_envs": NUM_ENVS, "steps": steps, "kind": kind}
        return Contender(name, "peers.gymnasium_random_play", options, **more)

    return Work(
        f"gymnasium-vector-{mode.replace(' ', '-')}",
        f"CartPole through Gymnasium's VectorEnv.step, NumPy arrays in and out, resets in the {mode}, {NUM_ENVS:,} "
        "environments",
        "steps",
        (
            contender("jaxrl", f"jaxrl {mode}", 2_000, role=OURS),
            contender("Gymnasium CartPoleVectorEnv, resets in the next step", "vector", 500),
        ),
        rounds,
    )


def _gymnax(name: str, devices: int, rounds: int) -> Work:
    size = {"num_envs": 4_096, "steps": 512, "devices": devices, "returns": True}
    return Work(
        f"gymnax-{name.partition('-')[0].lower()}",
        f"gymnax's {name}, random actions, automatic reset with fresh random starts, 4,096 environments",
        "steps",
        (
            Contender("jaxrl", "ours.random_play", {"env": f"gymnax:{name}", **size}, OURS, ADAPTERS),
            Contender("gymnax", "peers.gymnax_random_play", {"env": name, **size}, peer=ADAPTERS),
        ),
        rounds,
    )


def _brax(rounds: int) -> Work:
    name, num_envs, steps = "inverted_pendulum", 512, 512
    size = {"num_envs": num_envs, "steps": steps}
    options = {"backend": "spring"}
    ours = {"env": f"brax:{name}", **size, "devices": 1, "returns": True, "parameters": options}
    return Work(
        f"brax-{name}",
        f"brax's {name} (spring), random actions, automatic reset, {num_envs} environments",
        "steps",
        (
            Contender("jaxrl, starts from a reserve", "ours.random_play", ours, OURS, ADAPTERS),
            Contender("brax", "peers.library_play", {"kind": "brax", "env": name, **size, **options}, peer=ADAPTERS),
            Contender(
                "brax, a fresh start in every step",
                "peers.library_play",
                {"kind": "fresh", "env": name, **size, **options},
                peer=ADAPTERS,
            ),
        ),
        rounds,
    )


def _jumanji(name: str, rounds: int, **options: int) -> Work:
    size = {"num_envs": 1_024, "steps": 512}
    ours = {"env": f"jumanji:{name}", **size, "devices": 1, "returns": True, "parameters": options}
    board = " x ".join(map(str, options.values()))
    return Work(
        f"jumanji-{name.partition('-')[0].lower()}",
        f"jumanji's {name} ({board}), random allowed actions, automatic reset with fresh random starts, 1,024 "
        "environments",
        "steps",
        (
            Contender("jaxrl", "ours.random_play", ours, OURS, ADAPTERS),
            Contender(
                "jumanji", "peers.library_play", {"kind": "jumanji", "env": name, **size, **options}, peer=ADAPTERS
            ),
        ),
        rounds,
    )
