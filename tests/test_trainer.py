"""The log of a finished run, by hand."""

import numpy as np

from jaxrl.agents.base import Mean
from jaxrl.blocks import finished_log


def test_a_member_whose_loss_is_never_finite_counts_as_diverged() -> None:
    inf, nan = np.inf, np.nan
    total = np.asarray([[0, inf, inf], [0, inf, 1], [0, 1, 2], [0, nan, -inf], [0, 0, 0]], np.float32)
    count = np.asarray([[0, 1, 2], [0, 1, 1], [0, 1, 1], [0, 1, 1], [0, 0, 0]], np.float32)
    ones = np.ones_like(total)
    log = finished_log({"loss": Mean(total, count), "steps": Mean(ones, ones), "diverged": Mean(0 * ones, ones)})
    assert log["diverged"].tolist() == [
        [False, True, True],
        [False] * 3,
        [False] * 3,
        [False, True, True],
        [False] * 3,
    ]
    # What was found by the parameters stays.
    log = finished_log({"loss": Mean(ones, ones), "steps": Mean(ones, ones), "diverged": Mean(ones, ones)})
    assert log["diverged"].all()
