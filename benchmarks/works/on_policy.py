"""PPO, with and without memory, and A2C."""

from typing import Any

from benchmarks.contender import sharing
from benchmarks.race import BOUND, OURS, Contender, Work, member_count

PPO_SIZES = ((1, 102_400), (16, 51_200), (64, 20_480))
RECURRENT_SIZES = ((1, 10_240), (16, 5_120))
A2C_SIZES = ((1, 50_000), (16, 50_000))
"""Members, and steps of each."""
LEARNING = {
    "Acrobot-v1": 100_000,
    "Pendulum-v1": 300_000,
    "MountainCarContinuous-v0": 300_000,
    "MountainCar-v0": 1_000_000,
}
"""Steps of a training of 16 members on each environment besides CartPole."""
EVALUATIONS = 20


def ppo(devices: int, rounds: int) -> list[Work]:
    """PPO's speed at purejaxrl's settings."""
    return [
        *(_ppo(members, steps, devices, rounds) for members, steps in PPO_SIZES),
        *(_recurrent(members, steps, devices, rounds) for members, steps in RECURRENT_SIZES),
    ]


def _ppo(members: int, steps: int, devices: int, rounds: int) -> Work:
    size, shared = {"members": members, "steps": steps}, sharing(members, devices)
    contenders = [
        Contender("jaxrl", "ours.ppo", {**size, "devices": devices}, OURS),
        Contender("purejaxrl", "peers.purejaxrl_ppo", {**size, "devices": shared}, peer="purejaxrl"),
        Contender(
            "rejax",
            "peers.rejax_ppo",
            {**size, "devices": shared, "shared": True},
            peer="rejax",
            note="at purejaxrl's settings",
        ),
    ]
    if members == 1:
        contenders.append(_stable_baselines3("ppo", 10_240, devices))
    contenders.append(_products("on_policy", size, devices))
    title = f"PPO on CartPole at purejaxrl's settings, {member_count(members)}, {steps:,} steps each"
    return Work(f"ppo-{members}", title, "steps", tuple(contenders), rounds)


def _recurrent(members: int, steps: int, devices: int, rounds: int) -> Work:
    size = {"members": members, "steps": steps}
    contenders = (
        Contender("jaxrl", "ours.ppo", {**size, "devices": devices, "memory": True}, OURS),
        Contender(
            "purejaxrl",
            "peers.purejaxrl_ppo",
            {**size, "devices": sharing(members, devices), "memory": True},
            peer="purejaxrl",
        ),
        _products("recurrent", size, devices),
    )
    title = f"PPO with a GRU of 128 on CartPole at purejaxrl's settings, {member_count(members)}, {steps:,} steps each"
    return Work(f"ppo-gru-{members}", title, "steps", contenders, rounds)


def _products(kind: str, size: dict[str, Any], devices: int, **options: Any) -> Contender:
    options = {"kind": kind, **size, "devices": devices, **options}
    return Contender("bound: rollouts' and updates' matrix products alone", "ours.bound", options, BOUND)


def _stable_baselines3(algorithm: str, steps: int, devices: int) -> Contender:
    return Contender(
        "Stable-Baselines3",
        "peers.stable_baselines3_training",
        {"algorithm": algorithm, "steps": steps, "processes": devices},
        peer="stable-baselines3",
        note=f"{devices} processes with one training each, one thread a process",
    )


def ppo_learning(devices: int) -> list[Work]:
    """What PPO learns: at purejaxrl's settings for its own length, and at everybody's own settings."""
    size = {"members": 16, "steps": 512_000}
    contenders = (
        Contender("jaxrl", "ours.ppo", {**size, "devices": devices, "curve": True}, OURS),
        Contender(
            "purejaxrl",
            "peers.purejaxrl_ppo",
            {**size, "devices": sharing(16, devices), "curve": True},
            peer="purejaxrl",
        ),
    )
    title = "What PPO learns at purejaxrl's settings (episodes of the exploring policy): 16 members, 512,000 steps"
    return [
        Work("ppo-learning", title, "steps", contenders, 1),
        *(_presets(env, steps, devices) for env, steps in {"CartPole-v1": 100_000, **LEARNING}.items()),
    ]


def _presets(env: str, steps: int, devices: int) -> Work:
    size = {"members": 16, "steps": steps, "env": env, "evaluations": EVALUATIONS}
    contenders = (
        Contender("jaxrl", "ours.ppo", {**size, "devices": devices}, OURS, note="greedy evaluations included"),
        Contender(
            "rejax",
            "peers.rejax_ppo",
            {**size, "devices": sharing(16, devices)},
            peer="rejax",
            note="greedy evaluations included; its published settings",
        ),
    )
    title = f"What PPO learns on {env} at everybody's own settings (greedy): 16 members, {steps:,} steps"
    return Work(f"ppo-{env.split('-')[0].lower()}-learning", title, "steps", contenders, 1)


def a2c(devices: int, rounds: int) -> list[Work]:
    """A2C's speed at Stable-Baselines3's settings."""
    works = []
    for members, steps in A2C_SIZES:
        size = {"members": members, "steps": steps}
        contenders = [Contender("jaxrl", "ours.a2c", {**size, "devices": devices}, OURS)]
        if members == 1:
            contenders.append(_stable_baselines3("a2c", 10_000, devices))
        batch = {"num_envs": 8, "rollout_steps": 5, "epochs": 1, "minibatches": 1}
        contenders.append(_products("on_policy", size, devices, sizes=batch))
        title = f"A2C on CartPole, 8 environments of 5 steps an update, {member_count(members)}, {steps:,} steps each"
        works.append(Work(f"a2c-{members}", title, "steps", tuple(contenders), rounds))
    return works


def a2c_learning(devices: int) -> list[Work]:
    """What A2C's own settings learn."""
    options = {"members": 16, "steps": 500_000, "devices": devices, "evaluations": EVALUATIONS}
    contender = Contender("jaxrl", "ours.a2c", options, OURS, note="greedy evaluations included")
    title = "What A2C learns on CartPole at its own settings (greedy): 16 members, 500,000 steps"
    return [Work("a2c-learning", title, "steps", (contender,), 1)]


def compiling(devices: int) -> list[Work]:
    """The time of compiling PPO, without memory and with it."""
    works = []
    for key, memory in (("ppo-compile", False), ("ppo-gru-compile", True)):
        options = {"members": 16, "steps": 5_120, "devices": devices, "memory": memory}
        title = f"Compiling PPO{' with a GRU' if memory else ''} at purejaxrl's settings, 16 members"
        works.append(Work(key, title, "steps", (Contender("jaxrl", "ours.ppo", options, OURS),), 1))
    return works
