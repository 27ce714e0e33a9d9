"""DQN on CartPole: speed, learning, scaling, memory and compiling."""

from benchmarks.contender import sharing
from benchmarks.race import BOUND, OURS, Contender, Work, member_count


def _products(members: int, steps: int, updates: int, devices: int) -> Contender:
    options = {"kind": "products", "members": members, "steps": steps, "updates": updates, "devices": devices}
    return Contender("bound: the updates' matrix products alone", "ours.bound", options, BOUND)


def speed(devices: int, rounds: int) -> list[Work]:
    """DQN's speed at three sizes, and what it learns meanwhile."""
    return [_speed(members, steps, devices, rounds) for members, steps in ((1, 20_000), (128, 5_000), (1_024, 3_000))]


def _speed(members: int, steps: int, devices: int, rounds: int) -> Work:
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
                "peers.stable_baselines3_training",
                {"steps": steps, "processes": devices},
                peer="stable-baselines3",
                note=f"{devices} processes with one training each, one thread a process",
            )
        )
    contenders.append(_products(members, steps, steps - 1_000, devices))
    title = f"DQN on CartPole, {member_count(members)}, {steps:,} steps each (an update in all but 1,000)"
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
            "peers.stable_baselines3_training",
            {"steps": steps, "processes": devices, "curve": True},
            peer="stable-baselines3",
            note="one training a core in place of 16",
        ),
    )
    return [Work("dqn-learning", f"What these settings learn: 16 members, {steps:,} steps", "steps", contenders, 1)]


def scaling(devices: int, rounds: int) -> list[Work]:
    """DQN from one member to 4,096, in blocks as jaxrl chooses them."""
    works = []
    for members in (1, 4, 16, 64, 256, 1_024, 4_096):
        steps = 10_000 if members < 64 else 1_000
        options = {"members": members, "steps": steps, "devices": devices, "learning_starts": 100}
        contenders = (Contender("jaxrl", "ours.dqn", options, OURS), _products(members, steps, steps - 100, devices))
        works.append(
            Work(f"scaling-{members}", f"DQN on CartPole, {member_count(members)}", "steps", contenders, rounds)
        )
    return works


def memory(devices: int) -> list[Work]:
    """The memory of one block, which is what grows with members that are trained at once."""
    works = []
    for members in (16, 64, 256, 1_024):
        options = {"members": members, "steps": 200, "devices": devices, "block_size": members, "learning_starts": 100}
        contender = Contender("jaxrl", "ours.dqn", options, OURS)
        works.append(Work(f"memory-{members}", f"{member_count(members)} in one block", "steps", (contender,), 1))
    return works


def compiling(devices: int) -> list[Work]:
    """The time of compiling, against members at once and against the width of the network."""
    sizes = [(members, 64) for members in (1, 16, 256)] + [(16, width) for width in (128, 256, 512)]
    works = []
    for members, width in sizes:
        options = {"members": members, "steps": 200, "devices": devices, "block_size": members, "learning_starts": 100}
        contender = Contender("jaxrl", "ours.dqn", {**options, "hidden": [width, width]}, OURS)
        title = f"{member_count(members)} in one block, layers of {width}"
        works.append(Work(f"compile-{members}-{width}", title, "steps", (contender,), 1))
    return works
