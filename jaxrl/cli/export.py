"""The commands `jaxrl export` and `jaxrl inspect`: files for phones and servers."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import tyro

from jaxrl.cli.options import MemberName, Run, Trusted
from jaxrl.cli.tables import choose_member, exact_score_notes, print_rows
from jaxrl.spaces import Box


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes a member's policy as a TFLite file or a SavedModel, if it plays like the member (extra `export`)."""

    examples: ClassVar[str] = (
        "jaxrl export runs/planes planestrike.tflite\n"
        "jaxrl export runs/planes small.tflite --quantize int8 --member 3\n"
        "jaxrl export runs/first served --format saved-model"
    )

    run: Run
    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="The file, or folder, to write.")]
    member: MemberName = "best"
    format: Literal["tflite", "saved-model"] = "tflite"
    """For phones and browsers, or for TensorFlow Serving."""
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
        from jaxrl.export import to_saved_model, to_tflite

        member, greedy_return = choose_member(self.run, self.member, self.trust)
        notes = {"run": self.run.name, "greedy_return": greedy_return} | exact_score_notes(member)
        options: dict[str, Any] = {"output": self.output, "mask": self.mask, "notes": notes}
        if self.format == "saved-model":
            if self.quantize != "none":
                raise ValueError("--quantize is for TFLite files: a SavedModel holds float32")
            report = to_saved_model(member, self.path, **options)
        else:
            batch = 1 if self.batch == "1" else self.batch
            report = to_tflite(member, self.path, quantize=self.quantize, batch=batch, **options)
        what = f"member {member.index} (seed {member.seed})"
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
