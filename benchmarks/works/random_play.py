"""Environments under random actions."""

from typing import Any

from benchmarks.race import BOUND, OURS, Contender, Work

SIZES = ((65_536, 512), (1_024, 16_384))
"""Environments, and steps of each."""
STATE_NUMBERS = {
    "CartPole-v1": 4,
    "Pendulum-v1": 2,
    "Acrobot-v1": 4,
    "MountainCar-v0": 2,
    "MountainCarContinuous-v0": 2,
}
REWARDS_VARY = ("Pendulum-v1", "MountainCarContinuous-v0")
PLANE_STRIKE_BYTES = 24
"""Two sets of 64 cells, length and return."""

STACK: list[tuple[str, dict[str, Any]]] = [
    ("StickyAction", {"p": 0.25}),
    ("ScaleReward", {"scale": 0.1}),
    ("ObservationMask", {"keep": (0, 2)}),
    ("FrameStack", {"k": 4}),
    ("TimeAware", {}),
]
"""Five wrappers, from the inside out; `benchmarks.ours.fused` does the same."""


def env(devices: int, rounds: int) -> list[Work]:
    """Random play of every environment."""
    classic = [_classic(name, *size, devices, rounds) for name in STATE_NUMBERS for size in SIZES]
    return [*classic, _plane_strike(devices, rounds), _wrappers(devices, rounds)]


def _copy(items: int, size: int, steps: int, devices: int) -> Contender:
    options = {"kind": "copy", "items": items, "bytes_per_item": size, "steps": steps, "devices": devices}
    return Contender(f"bound: {size} bytes read and written a step", "ours.bound", options, BOUND)


def _play(name: str, num_envs: int, steps: int, devices: int) -> dict:
    return {"env": name, "num_envs": num_envs, "steps": steps, "devices": devices}


def _classic(name: str, num_envs: int, steps: int, devices: int, rounds: int) -> Work:
    size = {"env": name, "num_envs": num_envs, "steps": steps // 4}
    returns = {"returns": name in REWARDS_VARY}
    contenders = [
        Contender("jaxrl", "ours.random_play", _play(name, num_envs, steps, devices) | returns, OURS),
        Contender("gymnax", "peers.gymnax_random_play", {**size, **returns, "devices": devices}, peer="gymnax"),
    ]
    if name == "CartPole-v1":
        contenders.append(
            Contender(
                "Gymnasium CartPoleVectorEnv",
                "peers.gymnasium_random_play",
                {**size, "kind": "vector"},
                peer="gymnax",
            )
        )
    short = name.split("-")[0]
    return Work(
        f"env-{short.lower()}-{num_envs}",
        f"{short}, random actions, automatic reset with fresh random starts, {num_envs:,} environments",
        "steps",
        (
            *contenders,
            Contender(
                "Gymnasium SyncVectorEnv",
                "peers.gymnasium_random_play",
                {"env": name, "num_envs": min(num_envs, 256), "steps": 200, "kind": "sync"},
                peer="gymnax",
                note=f"{min(num_envs, 256)} environments: its speed does not grow with them",
            ),
            _copy(num_envs, 4 * STATE_NUMBERS[name] + 8, 2_048 * 65_536 // num_envs, devices),
        ),
        rounds,
    )


def _wrappers(devices: int, rounds: int) -> Work:
    """Five wrappers beside the same computation written as one environment."""
    shown = {"returns": True, "observations": True}
    play = {name: _play(name, 65_536, 512, devices) | shown for name in ("CartPole-v1", "benchmarks.ours.fused:Fused")}
    bare, fused = play.values()
    return Work(
        "env-wrappers",
        "CartPole in five wrappers (sticky actions, scaled rewards, no velocities, frames, time), 65,536 environments",
        "steps",
        (
            Contender("jaxrl, five wrappers", "ours.random_play", {**bare, "wraps": STACK}, OURS),
            Contender("jaxrl, one environment that does the same, by hand", "ours.random_play", fused),
            Contender("bare CartPole", "ours.random_play", bare, BOUND),
        ),
        rounds,
    )


def _plane_strike(devices: int, rounds: int) -> Work:
    return Work(
        "env-plane-strike",
        "Plane Strike, random untried cells, automatic reset, 65,536 games",
        "steps",
        (
            Contender("jaxrl", "ours.random_play", _play("PlaneStrike-v0", 65_536, 512, devices), OURS),
            Contender(
                "Python, a new cell each step",
                "peers.plane_strike_python",
                {"games": 1_000, "player": "choice"},
                note="one core",
            ),
            Contender(
                "Python, cells shuffled before the game",
                "peers.plane_strike_python",
                {"games": 5_000, "player": "shuffled"},
                note="one core; the player looks at nothing",
            ),
            _copy(65_536, PLANE_STRIKE_BYTES, 2_048, devices),
        ),
        rounds,
    )
