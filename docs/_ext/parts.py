"""Tables that pages include: the fields and scores of each algorithm, what `check_env` finds, all wrappers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from results import WORKS, Results, chosen, draw_curves, explanation, scores, scores_table
from tables import agent_fields, fields_table, shown, table

from jaxrl.agents import ALGORITHMS
from jaxrl.env_checker import CODES
from jaxrl.presets import PRESETS
from jaxrl.wrappers import WRAPPERS

HOME = """\
```{image} /generated/curves/home.svg
:alt: Learning curves of three presets
:class: curves
```

Training return over the environment steps of a seed: median and quartiles over seeds, of
[](benchmarks.md#what-presets-learn). The dotted line is the return from which the task counts as solved.
"""


def write_parts(folder: Path, results: Results, write: Callable[[Path, str], None]) -> None:
    """Writes all of them to `folder/parts`."""
    parts = folder / "parts"
    for algorithm, kind in ALGORITHMS.items():
        write(parts / f"fields-{algorithm}.md", agent_fields(kind))
        write(parts / f"presets-{algorithm}.md", presets(algorithm))
        measured = chosen(results, algorithm=algorithm)
        missing = [name for name, work in WORKS.items() if work.algorithm == algorithm and name not in measured]
        if measured:
            draw_curves(measured, folder / "curves" / f"{algorithm}.svg")
        write(parts / f"scores-{algorithm}.md", scores(measured, "env", missing, f"/generated/curves/{algorithm}.svg"))
    write(parts / "scores-all.md", scores_all(results))
    write(parts / "home.md", home(folder, results))
    findings = ((f"`{code}`", severity, advice) for code, (severity, advice) in CODES.items())
    write(parts / "findings.md", table(("code", "severity", "what to do"), findings))
    write(parts / "wrappers.md", "\n".join(wrapper(name, kind) for name, kind in WRAPPERS.items()))


def home(folder: Path, results: Results) -> str:
    """The learning curves of the home page; "" where none of them is measured."""
    shown_there = {
        name: results[name] for name in ("ppo-cartpole", "sac-pendulum", "q-learning-taxi") if name in results
    }
    if not shown_there:
        return ""
    draw_curves(shown_there, folder / "curves" / "home.svg")
    return HOME


def presets(algorithm: str) -> str:
    """The presets of an algorithm; where there is none, a word that says so."""
    rows = []
    for name, preset in PRESETS.items():
        if preset.algorithm == algorithm:
            fields = ", ".join(f"`{field}` = {shown(value)}" for field, value in preset.fields.items()) or "defaults"
            rows.append((f"`{name}`", f"[{preset.env}](/generated/environments/{preset.env}.md)", fields))
    return table(("preset", "environment", "fields"), rows) if rows else "There is no preset; the defaults are used.\n"


def scores_all(results: Results) -> str:
    """One table of everything that is measured."""
    by_name = dict(sorted(results.items(), key=lambda item: (item[1]["env"], item[0])))
    if not by_name:
        return "Nothing is measured yet.\n"
    return scores_table(by_name, "env") + "\n" + explanation(by_name)


def wrapper(name: str, kind: type) -> str:
    """A section on a wrapper."""
    first = (kind.__doc__ or "").strip().splitlines()[0]
    fields = [field for field in dataclasses.fields(kind) if field.name != "env"]
    values = {f.name: "" if f.default is dataclasses.MISSING else f.default for f in fields}
    return f"### {name}\n\n{first} See {{py:class}}`jaxrl.wrappers.{name}`.\n\n{fields_table(kind, values)}"
