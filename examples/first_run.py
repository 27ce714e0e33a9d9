"""The first run: 16 DQN agents learn CartPole at once, and are judged over episodes that they did not train on.

    python examples/first_run.py

About a minute on two CPU cores. The run is kept in `runs/first`, to be loaded, resumed, rendered or exported later.
"""

import argparse

import jaxrl


def main():
    """Trains the preset, and prints how good every seed is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=50_000, help="environment steps of every member")
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--out", default="runs/first")
    options = parser.parse_args()
    jaxrl.use_cpu_cores()  # Every CPU core becomes a device; call it before anything else of JAX.

    # A preset is an agent with settings known to work. By hand: jaxrl.DQN(jaxrl.make("CartPole-v1"), n_step=5).
    agent = jaxrl.preset("dqn-cartpole").agent()
    result = jaxrl.train(agent, steps=options.steps, seeds=options.seeds, out=options.out, progress=False)

    # Members are the leading axis of everything: the log, the parameters, the returns.
    print("training return at the last log point:", result.log["episode_return"][:, -1].round(1))
    returns = jaxrl.evaluate(result, episodes=64)  # f32[members, 64], greedy episodes
    solved = returns.mean(axis=1) >= agent.env.solved_return
    print(f"{solved.sum()} of {result.members} seeds solved CartPole; mean greedy return {returns.mean():.1f}")

    # One member alone, from the files of the run: what an application would use.
    member = jaxrl.load(options.out).best()
    print("its action for a pole that leans to the right:", int(member.policy([0.0, 0.0, 0.05, 0.0])))


if __name__ == "__main__":
    main()
