"""SAC and TD3 on Pendulum."""

from typing import Any

from benchmarks.contender import sharing
from benchmarks.race import BOUND, OURS, Contender, Work, member_count

SIZES = ((1, 4_000), (16, 2_000))
"""Members, and steps of each."""
LEARNING_STEPS, EVALUATIONS = 10_000, 20
BOUNDS: dict[str, dict[str, Any]] = {
    "sac": {"batch": 256, "delay": 1, "block_size": 2},
    "td3": {"batch": 100, "delay": 2, "block_size": 6},
}
"""Sizes of the updates, and about as many members side by side as jaxrl trains."""
STARTS = {"sac": 256, "td3": 1_000}
"""Steps before the first update."""


def speed(algorithm: str, devices: int, rounds: int) -> list[Work]:
    """An algorithm's speed at rejax's settings."""
    works = []
    for members, steps in SIZES:
        size = {"members": members, "steps": steps}
        trained = {"algorithm": algorithm, **size}
        shared = sharing(members, devices)
        bound = {"kind": "off_policy", **size, "devices": devices, "updates": steps - STARTS[algorithm]}
        contenders = (
            Contender("jaxrl", "ours.off_policy", {**trained, "devices": devices}, OURS),
            Contender("rejax", "peers.rejax_off_policy", {**trained, "devices": shared}, peer="rejax"),
            Contender("bound: the updates' matrix products alone", "ours.bound", {**bound, **BOUNDS[algorithm]}, BOUND),
        )
        title = f"{algorithm.upper()} on Pendulum at rejax's settings, {member_count(members)}, {steps:,} steps each"
        works.append(Work(f"{algorithm}-{members}", title, "steps", contenders, rounds))
    return works


def learning(algorithm: str, devices: int) -> list[Work]:
    """What it learns at everybody's own settings."""
    trained = {"algorithm": algorithm, "members": 16, "steps": LEARNING_STEPS, "evaluations": EVALUATIONS}
    note = "greedy evaluations included"
    contenders = (
        Contender("jaxrl", "ours.off_policy", {**trained, "devices": devices, "own": True}, OURS, note=note),
        Contender(
            "rejax",
            "peers.rejax_off_policy",
            {**trained, "devices": sharing(16, devices)},
            peer="rejax",
            note=f"{note}; its published settings",
        ),
    )
    title = (
        f"What {algorithm.upper()} learns on Pendulum at everybody's own settings (greedy): 16 members, "
        f"{LEARNING_STEPS:,} steps"
    )
    return [Work(f"{algorithm}-learning", title, "steps", contenders, 1)]
