"""The commands `jaxrl export` and `jaxrl inspect`: files for phones, servers and browsers."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import tyro

from jaxrl.cli.options import MemberName, Run, Trusted
from jaxrl.cli.tables import choose_member, exact_score_notes, member_label, print_rows
from jaxrl.spaces import Box


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes a member's policy as a file for phones, servers or browsers, if it plays like the member."""

    examples: ClassVar[str] = (
        "jaxrl export runs/planes planestrike.tflite\n"
        "jaxrl export runs/planes small.tflite --quantize int8 --member 3\n"
        "jaxrl export runs/first served --format saved-model\n"
        "jaxrl export runs/planes page --format web"
    )

    run: Run
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="The file, or folder, to write.")]
    member: MemberName = "best"
    format: Literal["tflite", "saved-model", "js", "web"] = "tflite"
    """tflite: for phones. saved-model: for TensorFlow Serving. js: a module of JavaScript, for feed-forward policies.
    web: a page on which to play Plane Strike against the agent, or CartPole beside it."""
    output: Annotated[
        Literal["probabilities", "logits", "q-values", "action"] | None,
        tyro.conf.DisallowNone,
        tyro.conf.arg(help_behavior_hint="(default: probabilities or q-values, by the algorithm; continuous: action)"),
    ] = None
    """What comes out."""
    mask: bool = False
    """Take the allowed actions, of discrete ones, as an input."""
    quantize: Literal["none", "float16", "dynamic", "int8"] = "none"
    """How a TFLite file holds numbers: float32; weights in float16; weights in 8 bits; all in 8 bits."""
    batch: Literal["1", "dynamic"] = "1"
    """Observations at once, of a TFLite file."""
    trust: Trusted = ()

    def execute(self) -> int:
        """Exports, and prints how file and policy compare."""
        self._check_options()
        member, greedy_return = choose_member(self.run, self.member, self.trust)
        notes = {"run": self.run.name, "greedy_return": greedy_return} | exact_score_notes(member)
        report = self._written(member, notes)
        what = member_label(self.run, member)
        print_rows(
            f"{report.path}: {what} of {self.run}",
            [
                ("output", report.output),
                ("quantization", report.quantize),
                ("form", report.form),
                ("size", f"{report.size:,} bytes"),
                *_agreement_rows(report, not isinstance(member.agent.env.action_space, Box)),
                ("seconds", f"{report.seconds:.1f}"),
            ],
        )
        return 0

    def _check_options(self) -> None:
        """Raises a ValueError where an option does not fit the format."""
        if self.format != "tflite" and self.quantize != "none":
            raise ValueError(f"--quantize is for TFLite files: --format {self.format} holds float32")
        if self.format in ("js", "web") and self.batch != "1":
            raise ValueError(f"--batch is for TFLite files: --format {self.format} takes one observation")
        if self.format == "web" and (self.output is not None or self.mask):
            raise ValueError("--output and --mask are not for --format web: a page shows what the policy decides by")

    def _written(self, member: Any, notes: dict[str, Any]) -> Any:
        """The report of the export."""
        from jaxrl import export

        options: dict[str, Any] = {"output": self.output, "mask": self.mask, "notes": notes}
        match self.format:
            case "web":
                return export.to_page(member, self.path, notes=notes)
            case "js":
                return export.to_javascript(member, self.path, **options)
            case "saved-model":
                return export.to_saved_model(member, self.path, **options)
        batch = 1 if self.batch == "1" else self.batch
        return export.to_tflite(member, self.path, quantize=self.quantize, batch=batch, **options)


@dataclasses.dataclass(frozen=True)
class Inspect:
    """Shows what a TFLite file takes, gives, computes with, and says of itself (extra `export`)."""

    examples: ClassVar[str] = "jaxrl inspect planestrike.tflite"

    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.tflite", help="The file.")]

    def execute(self) -> int:
        """Prints the table."""
        from jaxrl.export.tflite_file import PolicyFile

        file = PolicyFile(self.file)
        rows = [("input", _tensor(name, detail)) for name, detail in file.inputs.items()]
        rows += [("output", _tensor(name, detail)) for name, detail in file.outputs.items()]
        rows.append(("operations", ", ".join(f"{name} x {count}" for name, count in sorted(file.operations.items()))))
        rows.append(("size", f"{file.size:,} bytes"))
        if file.metadata is None:
            rows.append(("metadata", "none by jaxrl"))
        else:
            for key, value in file.metadata.items():
                rows += _carry_rows(value) if key == "carry" else [(key.replace("_", " "), str(value))]
        print_rows(str(self.file), rows)
        return 0


def _agreement_rows(report: Any, discrete: bool) -> list[tuple[str, str]]:
    """How file and policy compare, as (what, value)."""
    from jaxrl.export.parity import CLOSE

    equal = "equal greedy actions" if discrete else f"actions within {CLOSE:.0%} of their range"
    rows = [
        (equal, f"{report.equal_actions:.2%} of {report.observations} observations"),
        ("greatest difference", f"{report.greatest_difference:.2g}"),
    ]
    if report.equal_actions_along is not None:
        rows += [
            (f"{equal}, along episodes", f"{report.equal_actions_along:.2%}"),
            ("greatest difference, along episodes", f"{report.greatest_difference_along:.2g}"),
        ]
    return rows


def _carry_rows(carry: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """What a policy with memory carries from step to step, as (what, value)."""
    return [
        (
            "carry",
            f"{entry['input']}: {entry['dtype']}{entry['shape']}, at the start of an episode {entry['initial']}, "
            f"then {entry['output']}",
        )
        for entry in carry
    ]


def _tensor(name: str, detail: dict[str, Any]) -> str:
    shape = ["any" if size == -1 else int(size) for size in detail["shape_signature"]]
    return f"{name}: {np.dtype(detail['dtype']).name}[{', '.join(map(str, shape))}]"
