"""Memory that runs out in a sweep: smaller blocks, the same numbers."""

import numpy as np
import pandas as pd
import pytest
from small_sweeps import sweep, timeless

from jaxrl import loop
from jaxrl.sweeps import task

pytestmark = pytest.mark.usefixtures("fast_compilation")


def test_out_of_memory_halves_the_block(monkeypatch, capsys, whole):
    run, sizes = loop.run, []

    def refuse(agent, state, *arguments, **more):
        sizes.append(len(state.key))
        if len(state.key) > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes")
        return run(agent, state, *arguments, **more)

    monkeypatch.setattr(loop, "run", refuse)
    found = sweep()
    said = capsys.readouterr().out
    assert "a block of 4 members runs out of memory: trying blocks of 2" in said
    assert said.count("trying") == 2 * 2  # Once for each group and size: later batches begin small.
    table = timeless(found)
    np.testing.assert_allclose(table["greedy_return"], timeless(whole)["greedy_return"], rtol=1e-3)
    assert table[["trial", "seed"]].equals(timeless(whole)[["trial", "seed"]])


def test_other_errors_are_not_taken_for_lack_of_memory(monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("something else")

    monkeypatch.setattr(loop, "run", fail)
    with pytest.raises(RuntimeError, match="something else"):
        sweep()


def test_memory_that_runs_out_while_playing(monkeypatch, capsys, whole):
    real, sizes = task.evaluate, []

    def refuse(result, episodes, block_size):
        sizes.append(block_size)
        if block_size > 1:
            raise RuntimeError("RESOURCE_EXHAUSTED")
        return real(result, episodes, block_size=block_size)

    monkeypatch.setattr(task, "evaluate", refuse)
    pd.testing.assert_frame_equal(timeless(sweep()), timeless(whole), rtol=1e-4)
    assert sizes[:3] == [4, 2, 1]
    assert "playing runs out of memory" in capsys.readouterr().out
