"""Q-learning with tables."""

from benchmarks.race import OURS, Contender, Work, member_count

ENVIRONMENTS = ("CliffWalking-v1", "FrozenLake-v1", "Taxi-v4")
MEMBERS, STEPS, BLOCK_A_DEVICE = 1_024, 50_000, 64


def speed(devices: int, rounds: int) -> list[Work]:
    """Many members side by side: small tables, slippery ice, tables of 3,000 values with masks."""
    return [_speed(env, devices, rounds) for env in ENVIRONMENTS]


def _speed(env: str, devices: int, rounds: int) -> Work:
    options = {
        "env": env,
        "members": MEMBERS,
        "steps": STEPS,
        "devices": devices,
        "block_size": BLOCK_A_DEVICE * devices,
    }
    title = f"Q-learning on {env}, {member_count(MEMBERS)} of 16 environments, {STEPS:,} steps each, an update a step"
    short = env.split("-")[0].lower()
    return Work(f"q-{short}", title, "updates", (Contender("jaxrl", "ours.q_learning", options, OURS),), rounds)
