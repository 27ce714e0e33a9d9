"""Tried against the installed wheel, from an empty folder: `python smoke.py`."""

from pathlib import Path

import jaxrl
import jaxrl.envs

here = Path.cwd()
assert here not in Path(jaxrl.__file__).parents, "this is the checkout, not the wheel"
assert jaxrl.envs.__name__ == "jaxrl.envs"
assert {"CartPole-v0", "CartPole-v1", "PlaneStrike-v0"} <= set(jaxrl.envs.names())
assert (Path(jaxrl.__file__).parent / "py.typed").exists()
agent = jaxrl.Reinforce(jaxrl.make("PlaneStrike-v0"), hidden=(8,), num_envs=2, episodes_per_update=2)
result = jaxrl.train(agent, iterations=3, seeds=2, progress=False)
assert result.returns.shape == (2, 32)
print("the wheel works:", jaxrl.__file__)
