"""From training to a file, and from the file to an application that knows nothing of jaxrl.

    pip install "jaxrl[export]"
    python examples/export_and_play.py

The last function is what an application on a phone or a server does, with LiteRT and NumPy alone.
"""

import argparse
from pathlib import Path

import jax
import numpy as np
from ai_edge_litert.interpreter import Interpreter

import jaxrl
from jaxrl.export import to_tflite


def main():
    """Trains, exports, and plays an episode with the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100_000, help="environment steps of every member")
    parser.add_argument("--out", type=Path, default=Path("runs/cartpole.tflite"))
    options = parser.parse_args()
    jaxrl.use_cpu_cores()
    agent = jaxrl.PPO(jaxrl.make("CartPole-v1"))
    result = jaxrl.train(agent, steps=options.steps, seeds=4, progress=False)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    report = to_tflite(result, options.out, quantize="float16")  # the best member; compared before it is kept
    print(f"{report.path}: {report.size} bytes, {report.form}; {report.equal_actions:.1%} equal actions")
    print(f"return of the file's episode: {play(agent.env, policy_of_file(options.out)):.0f}")


def play(env, policy):
    """Plays one episode: the return."""
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    state, obs = reset(jax.random.key(0))
    total = 0.0
    for t in range(env.max_steps):
        state, after = step(state, policy(obs), jax.random.key(t))
        obs, total = after.obs, total + float(after.reward)
        if after.terminated | after.truncated:
            break
    return total


def policy_of_file(path):
    """A function from an observation to the likeliest action, by the file alone."""
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()

    def act(obs):
        interpreter.set_tensor(given["index"], np.asarray(obs)[None])  # f32[1, 4], as the environment observes
        interpreter.invoke()
        return int(interpreter.get_tensor(wanted["index"]).argmax())  # f32[1, 2]: probabilities

    return act


if __name__ == "__main__":
    main()
