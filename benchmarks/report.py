"""Results as Markdown and as pictures, from the JSON alone."""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.race import BOUND, OURS, PEER

COLORS = {OURS: "#c44e2c", PEER: "#4a6fa5", BOUND: "#9a9a9a"}
Results = dict[str, Any]


def write(results: Results, folder: Path) -> None:
    """Writes `results.json`, `results.md` and the pictures that the results have data for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    pictures = [draw(results, folder) for draw in (_speeds, _learning, _scaling, _memory, _compiling)]
    (folder / "results.md").write_text(_markdown(results, [name for name in pictures if name]))


def count(number: float | None) -> str:
    """A number with three significant digits and a unit for thousands or millions."""
    if number is None:
        return "-"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def ratio(number: float | None) -> str:
    """A ratio with three significant digits."""
    return "-" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _markdown(results: Results, pictures: list[str]) -> str:
    lines = ["# Results", "", *_machine(results["machine"]), "", *_headlines(results["works"])]
    for key, work in results["works"].items():
        if len(work["rows"]) > 1 or _learns(key):
            when = f"{work['machine']['date']}, commit {work['machine']['commit']}"
            lines += ["", f"## {work['title']}", "", when, "", *_table(work, _learns(key))]
    for name, title, rows in (
        ("memory", "Memory of the members trained at once", _memory_rows),
        ("compile", "Compiling", _compile_rows),
    ):
        chosen = _sized(results, name)
        if chosen:
            lines += ["", f"## {title}", "", *rows(chosen)]
    if "starting" in results:
        lines += ["", "## Starting", "", "| seconds, medians of fresh processes | |", "|---|--:|"]
        lines += [f"| {name.replace('_', ' ')} | {value:.2f} |" for name, value in results["starting"].items()]
    if "sweep" in results:
        lines += ["", "## Sweeps", "", *(f"- {line}" for line in results["sweep"])]
    lines += ["", *(f"![{name}]({name})\n" for name in pictures)]
    return "\n".join(lines).rstrip() + "\n"


def _machine(machine: dict[str, Any]) -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    gpu = f" {machine['gpu']}," if machine.get("gpu") else ""
    return [
        f"{machine['device'].upper()}:{gpu} {machine['cores']} cores of "
        f"{machine['processor']}, {machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, "
        f"{packages}."
    ]


def _headlines(works: dict[str, Any]) -> list[str]:
    lines = ["| work | jaxrl | best peer | ratio |", "|---|--:|--:|--:|"]
    for work in works.values():
        if work.get("best_peer"):
            ours = next(row for row in work["rows"].values() if row["role"] == OURS)
            best = work["rows"][work["best_peer"]]
            lines.append(
                f"| {work['title']} | {count(ours['speed'])} {work['unit']}/s | {work['best_peer']}, "
                f"{count(best['speed'])} | **{ratio(work['ratio'])}** |"
            )
    return lines if len(lines) > 2 else []


def _learns(key: str) -> bool:
    """Whether a work is about what is learned, rather than about speed."""
    return key.endswith("-learning")


def _table(work: dict[str, Any], learning: bool = False) -> list[str]:
    lines = [f"| | {work['unit']}/s | slowest, fastest | jaxrl to this | compile, s | |", "|---|--:|--:|--:|--:|---|"]
    for name, row in work["rows"].items():
        if "absent" in row:
            lines.append(f"| {name} | absent | | | | {row['absent']} |")
            continue
        compiled = f"{row['compile_seconds']:.1f}" if "compile_seconds" in row else ""
        remarks = "; ".join([*([row["note"]] if row["note"] else []), *_facts(row, learning)])
        lines.append(
            f"| {name} | {count(row['speed'])} | {count(row['slowest'])}, {count(row['fastest'])} | "
            f"{ratio(row.get('ours_to_this'))} | {compiled} | {remarks} |"
        )
    return lines


def _facts(row: dict[str, Any], learning: bool) -> list[str]:
    names = {"solved": "{:.0%} of the members solve it at the end"} if learning else {}
    names |= {
        "episode_length": "mean episode {:.1f} steps",
        "final_return": "return at the end {:.4g}",
        "strikes_a_game": "strikes a game {:.1f}",
        "final_length": "at the end {:.1f}",
    }
    info = [text.format(row[name]) for name, text in names.items() if row.get(name) is not None]
    grown = row.get("measured_bytes")
    return info if grown is None else [*info, f"the process grew by {grown / 2**20:,.0f} MiB"]


def _sized(results: Results, name: str) -> list[tuple[list[int], dict[str, Any]]]:
    """The sizes and our rows of the works called `name-SIZE...`."""
    result = []
    for key, work in results["works"].items():
        if re.fullmatch(rf"{name}(-\d+)+", key):
            result.append(([int(part) for part in key.split("-")[1:]], work["rows"][OURS]))
    return result


def _memory_rows(chosen: list[tuple[list[int], dict[str, Any]]]) -> list[str]:
    lines = ["| members | predicted, MiB | measured growth of the process, MiB |", "|--:|--:|--:|"]
    return lines + [f"| {size} | {told:.0f} | {grown:.0f} |" for size, told, grown in _mebibytes(chosen)]


def _mebibytes(chosen: list[tuple[list[int], dict[str, Any]]]) -> list[tuple[int, float, float]]:
    """Members, and the MiB that were predicted for them and measured."""
    return [
        (size[0], size[0] * row["predicted_bytes_per_member"] / 2**20, row["measured_bytes"] / 2**20)
        for size, row in chosen
    ]


def _compile_rows(chosen: list[tuple[list[int], dict[str, Any]]]) -> list[str]:
    lines = ["| members at once | width of the layers | seconds |", "|--:|--:|--:|"]
    return lines + [f"| {size[0]} | {size[1]} | {row['compile_seconds']:.2f} |" for size, row in chosen]


def _speeds(results: Results, folder: Path) -> str | None:
    works = [work for key, work in results["works"].items() if work.get("best_peer") and not _learns(key)]
    if not works:
        return None
    bars = [(work, name, row) for work in works for name, row in work["rows"].items() if "speed" in row]
    figure, axis = plt.subplots(figsize=(10, 0.3 * (len(bars) + 2 * len(works)) + 0.6))
    place, labels = 0.0, []
    for work in works:
        beside = axis.get_yaxis_transform()
        axis.text(0.005, place, work["title"], transform=beside, fontsize=8.5, va="center", fontweight="bold")
        place -= 1
        for name, row in work["rows"].items():
            if "speed" in row:
                axis.barh(place, row["speed"], color=COLORS[row["role"]], height=0.75)
                axis.text(row["speed"] * 1.08, place, count(row["speed"]), va="center", fontsize=8)
                labels.append((place, name))
                place -= 1
        place -= 0.6
    axis.set_ylim(place, 1)
    axis.set_xscale("log")
    axis.set_xlim(1e3 if min(row["speed"] for _, _, row in bars) > 1e3 else 10, 2e10)
    axis.set_yticks([at for at, _ in labels], [name for _, name in labels], fontsize=8)
    axis.set_xlabel("steps or games a second")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    return _save(figure, folder, "speeds.png")


def _learning(results: Results, folder: Path) -> str | None:
    works = [work for key, work in results["works"].items() if _learns(key)]
    if not works:
        return None
    figure, axes = plt.subplots(len(works), 2, figsize=(10, 3.6 * len(works)), sharey="row", squeeze=False)
    for row_of_axes, work in zip(axes, works, strict=True):
        _learning_curves(row_of_axes, work)
    axes[-1][0].set_xlabel("environment steps of a member")
    axes[-1][1].set_xlabel("seconds (of 16 members; Stable-Baselines3: one a core)")
    return _save(figure, folder, "learning.png")


def _learning_curves(axes: Any, work: dict[str, Any]) -> None:
    """Draws the contenders' curves against steps and against seconds."""
    for color, (name, row) in zip(plt.cm.tab10.colors, work["rows"].items(), strict=False):  # type: ignore[attr-defined]
        points = [(steps, value) for steps, value in row.get("curve", ()) if value is not None]
        if points:
            steps, values = zip(*points, strict=True)
            members = row["steps"] / row["curve"][-1][0]
            axes[0].plot(steps, values, label=name, color=color)
            axes[1].plot([step * members / row["speed"] for step in steps], values, color=color)
    axes[0].set_title(work["title"], fontsize=9, loc="left")
    axes[1].set_xscale("log")
    axes[0].set_ylabel("mean return")
    axes[0].legend(frameon=False)


def _scaling(results: Results, folder: Path) -> str | None:
    chosen = [work for key, work in results["works"].items() if key.startswith("scaling-")]
    if not chosen:
        return None
    sizes = [int(key.split("-")[1]) for key in results["works"] if key.startswith("scaling-")]
    figure, axis = plt.subplots(figsize=(6, 3.6))
    for name, role in (("jaxrl", OURS), ("the update's matrix products alone", BOUND)):
        rows = [next(row for row in work["rows"].values() if row["role"] == role) for work in chosen]
        axis.plot(sizes, [row["speed"] for row in rows], "o-", label=name, color=COLORS[role])
        slowest, fastest = ([row[edge] for row in rows] for edge in ("slowest", "fastest"))
        axis.fill_between(sizes, slowest, fastest, color=COLORS[role], alpha=0.2)
    axis.set_xscale("log", base=2)
    axis.set_ylim(0)
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.set_xlabel("members")
    axis.set_ylabel("steps a second, over all members")
    axis.legend(frameon=False)
    return _save(figure, folder, "scaling.png")


def _memory(results: Results, folder: Path) -> str | None:
    chosen = _sized(results, "memory")
    if not chosen:
        return None
    figure, axis = plt.subplots(figsize=(6, 3.6))
    sizes, predicted, measured = zip(*_mebibytes(chosen), strict=True)
    axis.plot(sizes, predicted, "o--", color=COLORS[BOUND], label="predicted")
    axis.plot(sizes, measured, "o-", color=COLORS[OURS], label="measured")
    axis.set_xlabel("members trained at once")
    axis.set_ylabel("MiB")
    axis.legend(frameon=False)
    return _save(figure, folder, "memory.png")


def _compiling(results: Results, folder: Path) -> str | None:
    chosen = _sized(results, "compile")
    if not chosen:
        return None
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for axis, part, fixed, label in (
        (axes[0], 0, (1, 64), "members at once (layers of 64)"),
        (axes[1], 1, (0, 16), "width of the two layers (16 members)"),
    ):
        points = sorted((size[part], row["compile_seconds"]) for size, row in chosen if size[fixed[0]] == fixed[1])
        axis.plot(*zip(*points, strict=True), "o-", color=COLORS[OURS])
        axis.set_xscale("log", base=2)
        axis.set_xlabel(label)
    axes[0].set_ylim(0)
    axes[0].set_ylabel("seconds to compile")
    return _save(figure, folder, "compile.png")


def _save(figure: Any, folder: Path, name: str) -> str:
    figure.tight_layout()
    figure.savefig(folder / name, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return name
