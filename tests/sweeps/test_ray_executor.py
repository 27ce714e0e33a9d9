"""Sweeps on a local Ray cluster: the same table, also where workers die."""

import os
import pickle
import signal
import threading
import time

import jax
import numpy as np
import pandas as pd
import psutil
import pytest
from small_runs import dqn

import jaxrl
from jaxrl import checkpoints
from jaxrl.sweeps import SweepConfig, plan_sweep
from jaxrl.sweeps.ray_executor import serialized
from jaxrl.sweeps.task import Start, Task

ray = pytest.importorskip("ray")
SPACE = {"learning_rate": [1e-3, 3e-3, 1e-2], "double": [False, True]}
SETTINGS = {"seeds": 2, "steps": 120, "log_points": 6, "episodes": 2, "block_size": 2, "devices": 1}


@pytest.fixture(scope="module")
def cluster():
    environment = {"env_vars": {"XLA_FLAGS": os.environ["XLA_FLAGS"], "JAX_PLATFORMS": "cpu"}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=environment)
    yield
    ray.shutdown()


def workers():
    return [p for p in psutil.process_iter(["cmdline"]) if "ray::_train_batch" in " ".join(p.info["cmdline"] or [])]


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_changes_nothing_in_the_table(tmp_path):
    arguments = {**SETTINGS, "rungs": 2, "progress": False}
    agent = dqn(learning_starts=0)
    reference = jaxrl.sweep(agent, SPACE, **arguments).table()
    killed = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while len(killed) < 2 and time.monotonic() < deadline:
            for process in workers():
                if process.pid not in killed and len(killed) < 2:
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    found = jaxrl.sweep(agent, SPACE, **arguments, executor="ray", out=tmp_path / "s", keep="best:1")
    killer.join()
    assert len(killed) == 2
    assert found.complete
    timeless = [frame.drop(columns="seconds") for frame in (found.table(), reference)]
    pd.testing.assert_frame_equal(*timeless, rtol=1e-3)
    assert found.member().params is not None


def test_a_task_travels_as_plain_data():
    plan = plan_sweep(SweepConfig(dqn(), SPACE, **SETTINGS))
    state = {"key": jax.random.key(0), "x": np.zeros(3)}
    sent = serialized(Task(plan.batches[0], 0, 6, 2, None, False), Start(state, 3))
    again = pickle.loads(pickle.dumps(sent))
    assert again.agent["class"] == "jaxrl.agents.dqn.DQN"
    assert set(again.start.state) == set(checkpoints.named_arrays(state))
    assert again.task.batch.plan.mesh is None
