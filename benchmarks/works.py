"""What is measured: the pieces of work of each part, with their contenders."""

from benchmarks.contender import sharing
from benchmarks.race import BOUND, OURS, Contender, Work

CARTPOLE_BYTES = 24
"""State, length and return of one CartPole: four numbers and two."""
PLANE_STRIKE_BYTES = 24
"""Two sets of 64 cells, length and return."""


def _copy(items: int, size: int, steps: int, devices: int) -> Contender:
    options = {"kind": "copy", "items": items, "bytes_per_item": size, "steps": steps, "devices": devices}
    return Contender(f"bound: {size} bytes read and written a step", "ours.bound", options, BOUND)


def _members(number: int) -> str:
    return f"{number:,} member{'s' * (number > 1)}"


def _products(members: int, steps: int, updates: int, devices: int) -> Contender:
    options = {"kind": "products", "members": members, "steps": steps, "updates": updates, "devices": devices}
    return Contender("bound: the updates' matrix products alone", "ours.bound", options, BOUND)


def env(devices: int, rounds: int) -> list[Work]:
    """Random play."""
    return [
        *(_cartpole(num_envs, steps, devices, rounds) for num_envs, steps in ((65_536, 512), (1_024, 16_384))),
        Work(
            "env-plane-strike",
            "Plane Strike, random untried cells, automatic reset, 65,536 games",
            "steps",
            (
                Contender("jaxrl", "ours.random_play", _play("PlaneStrike-v0", 65_536, 512, devices), OURS),
                Contender(
                    "Python, a cell chosen anew each step",
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
        ),
    ]


def _play(name: str, num_envs: int, steps: int, devices: int) -> dict:
    return {"env": name, "num_envs": num_envs, "steps": steps, "devices": devices}


def _cartpole(num_envs: int, steps: int, devices: int, rounds: int) -> Work:
    size = {"num_envs": num_envs, "steps": steps // 4}
    contenders = (
        Contender("jaxrl", "ours.random_play", _play("CartPole-v1", num_envs, steps, devices), OURS),
        Contender("gymnax", "peers.gymnax_cartpole", {**size, "devices": devices}, peer="gymnax"),
        Contender("Gymnasium CartPoleVectorEnv", "peers.gymnasium_cartpole", {**size, "kind": "vector"}, peer="gymnax"),
        Contender(
            "Gymnasium SyncVectorEnv",
            "peers.gymnasium_cartpole",
            {"num_envs": min(num_envs, 256), "steps": 200, "kind": "sync"},
            peer="gymnax",
            note=f"{min(num_envs, 256)} environments: its speed does not grow with them",
        ),
        _copy(num_envs, CARTPOLE_BYTES, 2_048 * 65_536 // num_envs, devices),
    )
    return Work(
        f"env-cartpole-{num_envs}",
        f"CartPole, random actions, automatic reset with fresh random starts, {num_envs:,} environments",
        "steps",
        contenders,
        rounds,
    )


def dqn(devices: int, rounds: int) -> list[Work]:
    """DQN's speed at three sizes, and what it learns meanwhile."""
    return [_dqn(members, steps, devices, rounds) for members, steps in ((1, 20_000), (128, 5_000), (1_024, 3_000))]


def _dqn(members: int, steps: int, devices: int, rounds: int) -> Work:
    size = {"members": members, "steps": steps}
    contenders = [
        Contender("jaxrl", "ours.dqn", {**size, "devices": devices}, OURS),
        Contender("plain JAX by hand", "peers.hand_written_dqn", {**size, "devices": devices}),
    ]
    if members <= 128:
        contenders.append(
            Contender("rejax", "peers.rejax_dqn", {**size, "devices": sharing(members, devices)}, peer="rejax")
        )
    if members == 1:
        contenders.append(
            Contender(
                "Stable-Baselines3",
                "peers.stable_baselines3_dqn",
                {"steps": steps, "processes": devices},
                peer="stable-baselines3",
                note=f"{devices} processes with one training each, one thread a process",
            )
        )
    contenders.append(_products(members, steps, steps - 1_000, devices))
    title = f"DQN on CartPole, {_members(members)}, {steps:,} steps each (an update in all but 1,000)"
    return Work(f"dqn-{members}", title, "steps", tuple(contenders), rounds)


def learning(devices: int) -> list[Work]:
    """What the same settings learn."""
    steps, size = 50_000, {"members": 16, "steps": 50_000}
    contenders = (
        Contender("jaxrl", "ours.dqn", {**size, "devices": devices}, OURS),
        Contender("plain JAX by hand", "peers.hand_written_dqn", {**size, "devices": devices}),
        Contender(
            "rejax",
            "peers.rejax_dqn",
            {**size, "evaluations": 20, "devices": sharing(16, devices)},
            peer="rejax",
            note="greedy evaluations included",
        ),
        Contender(
            "Stable-Baselines3",
            "peers.stable_baselines3_dqn",
            {"steps": steps, "processes": devices, "curve": True},
            peer="stable-baselines3",
            note="one training a core in place of 16",
        ),
    )
    return [Work("dqn-learning", f"What these settings learn: 16 members, {steps:,} steps", "steps", contenders, 1)]


def reinforce(devices: int, rounds: int) -> list[Work]:
    """REINFORCE on Plane Strike."""
    works = []
    for members, updates in ((1, 50), (16, 50)):
        options = {"members": members, "updates": updates, "devices": devices}
        contenders = (
            Contender("jaxrl", "ours.reinforce", options, OURS),
            Contender(
                "Python games, network in compiled JAX",
                "peers.plane_strike_reinforce",
                {"updates": updates},
                note="one member, one core",
            ),
        )
        title = f"REINFORCE on Plane Strike, network 128-64-64, one update for each 64 games, {_members(members)}"
        works.append(Work(f"reinforce-{members}", title, "games", contenders, rounds))
    return works


def scaling(devices: int, rounds: int) -> list[Work]:
    """DQN from one member to 4,096, in blocks as jaxrl chooses them."""
    works = []
    for members in (1, 4, 16, 64, 256, 1_024, 4_096):
        steps = 10_000 if members < 64 else 1_000
        options = {"members": members, "steps": steps, "devices": devices, "learning_starts": 100}
        contenders = (Contender("jaxrl", "ours.dqn", options, OURS), _products(members, steps, steps - 100, devices))
        works.append(Work(f"scaling-{members}", f"DQN on CartPole, {_members(members)}", "steps", contenders, rounds))
    return works


def memory(devices: int) -> list[Work]:
    """The memory of one block, which is what grows with members that are trained at once."""
    works = []
    for members in (16, 64, 256, 1_024):
        options = {"members": members, "steps": 200, "devices": devices, "block": members, "learning_starts": 100}
        contender = Contender("jaxrl", "ours.dqn", options, OURS)
        works.append(Work(f"memory-{members}", f"{_members(members)} in one block", "steps", (contender,), 1))
    return works


def compiling(devices: int) -> list[Work]:
    """The time of compiling, against members at once and against the width of the network."""
    sizes = [(members, 64) for members in (1, 16, 256)] + [(16, width) for width in (128, 256, 512)]
    works = []
    for members, width in sizes:
        options = {"members": members, "steps": 200, "devices": devices, "block": members, "learning_starts": 100}
        contender = Contender("jaxrl", "ours.dqn", {**options, "hidden": [width, width]}, OURS)
        title = f"{_members(members)} in one block, layers of {width}"
        works.append(Work(f"compile-{members}-{width}", title, "steps", (contender,), 1))
    return works
