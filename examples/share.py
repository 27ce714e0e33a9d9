"""Several machines train their shares of the seeds, and gather what they find.

Run it once on every machine; HOST:PORT is that of the first one:

    python share.py HOST:PORT PROCESSES PLACE
"""

import sys

import jax
from jax.experimental import multihost_utils

import jaxrl

address, processes, place = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
jax.distributed.initialize(address, processes, place)
seeds = range(64)[place::processes]
agent = jaxrl.DQN(jaxrl.make("CartPole-v1"))
result = jaxrl.train(agent, steps=50_000, seeds=list(seeds), out=f"runs/share-{place}", resume=True)
returns = multihost_utils.process_allgather(result.returns)  # f32[processes, members, episodes], everywhere
if place == 0:
    print(f"{returns.mean():.2f}")
