"""Replay by priority beside uniform replay, and how its cost grows with the buffer."""

from benchmarks.race import OURS, Contender, Work


def speed(devices: int, rounds: int) -> list[Work]:
    """A training step with either, and drawing alone from 1,000 to 1,000,000 items."""
    size = {"members": 64, "steps": 3_000, "devices": devices}
    training = Work(
        "replay-64",
        "DQN on CartPole, 64 members, 10,000 items each: prioritized and uniform replay",
        "steps",
        tuple(
            Contender(f"jaxrl, {name}", "ours.replay", {**size, "replay": name}, role)
            for name, role in (("prioritized", OURS), ("uniform", "peer"))
        ),
        rounds,
    )
    growth = [
        Work(
            f"replay-items-{items}",
            f"Drawing 32 by priority alone, {items:,} items, 16 members",
            "steps",
            (Contender("jaxrl", "ours.replay", {"members": 16, "steps": 2_000, "devices": 1, "items": items}, OURS),),
            rounds,
        )
        for items in (1_000, 10_000, 100_000, 1_000_000)
    ]
    return [training, *growth]
