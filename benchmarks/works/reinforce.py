"""REINFORCE on Plane Strike."""

from benchmarks.race import OURS, Contender, Work, member_count


def speed(devices: int, rounds: int) -> list[Work]:
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
        title = f"REINFORCE on Plane Strike, network 128-64-64, one update for each 64 games, {member_count(members)}"
        works.append(Work(f"reinforce-{members}", title, "games", contenders, rounds))
    return works
