"""What a terminal obeys is shown, and not obeyed: in tables, warnings, error lines, and texts by themselves."""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrl.cli import main
from jaxrl.cli.tables import print_rows
from jaxrl.export.tflite_file import PolicyFile, PolicyFileError, write_metadata
from jaxrl.export.tflite_file.metadata import require_initial
from jaxrl.text import printable

NASTY = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\x00\u202egnp.exe\u2028"
REFERENCE = Path(__file__).parent / "data" / "planestrike_tf.tflite"


def assert_tame(text: str) -> None:
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in "\n\t"], text


def test_control_characters_are_written_as_in_python() -> None:
    assert printable("\x1b[2J\x07") == "\\x1b[2J\\x07"
    assert printable("\u202e\ud800\U000e0001") == "\\u202e\\ud800\\U000e0001"
    for plain in ("naïve — ✓ 日本語 😀", "a\tb\nc", "C:\\temp", ""):
        assert printable(plain) == plain
    assert_tame(printable("".join(map(chr, range(0x3000)))))
    assert printable(Path("a/\x1b")) == "a/\\x1b"


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(NASTY, [(NASTY, NASTY)])
    output = capsys.readouterr().out
    assert_tame(output)
    assert output.count("owned") == 3


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", f"runs/{NASTY.replace(chr(0), '')}"],
        ["train", "dqn", "--env", NASTY],
        ["check", f"{NASTY}:X"],
        ["envs", NASTY],
        [NASTY],
        ["inspect", f"{NASTY.replace(chr(0), '')}.tflite"],
        ["sweep", f"{NASTY.replace(chr(0), '')}.toml"],
    ],
)
def test_error_lines(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    output = capsys.readouterr()
    assert output.err.startswith("jaxrl: error: ")
    assert output.err.count("\n") == 1
    assert_tame(output.err + output.out)


def test_names_in_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for config in ({"format": NASTY}, {NASTY: 1}, [NASTY]):
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert main(["evaluate", str(tmp_path)]) == 2
    assert_tame(capsys.readouterr().err)


def noted(metadata: Any, folder: Path) -> Path:
    pytest.importorskip("ai_edge_litert")
    file = folder / "file.tflite"
    file.write_bytes(write_metadata(REFERENCE.read_bytes(), metadata))
    return file


def test_metadata_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    carry = [{"input": NASTY, "output": NASTY, "shape": [1], "dtype": NASTY, "initial": 0}]
    file = noted({"environment": NASTY, NASTY: [NASTY], "output": NASTY, "carry": carry}, tmp_path)
    assert main(["inspect", str(file)]) == 0
    output = capsys.readouterr().out
    assert_tame(output)
    assert len(re.findall("own", output)) > 4


CARRY = {"input": "carry_0", "output": "next_carry_0", "shape": [2], "dtype": "float32", "initial": 0}


def test_what_a_carry_begins_with_has_its_shape() -> None:
    inputs = {"carry_0": {"shape_signature": np.asarray([-1, 2])}}
    for initial in (0, [1, 2], [0.5]):
        require_initial([CARRY | {"initial": initial}], inputs)
    for initial in ([1, 2, 3], [[1, 2]], "nothing"):
        with pytest.raises(ValueError, match="begins with what does not fit carry_0"):
            require_initial([CARRY | {"initial": initial}], inputs)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ([1, 2], "its metadata is a list, and must be an object"),
        ("text", "its metadata is a string"),
        (3, "its metadata is a number"),
        (True, "its metadata is a boolean"),
        ({"output": 3}, "output in its metadata is a number, and must be a string"),
        ({"output": None}, "output in its metadata is a null"),
        ({"output": ["action"]}, "output in its metadata is a list"),
        ({"carry": {"input": "carry_0"}}, "carry in its metadata must be a list of objects"),
        ({"carry": ["carry_0"]}, "carry in its metadata must be a list of objects"),
        ({"carry": [{}]}, "carry in its metadata must be a list of objects"),
        ({"carry": [CARRY | {"input": 3}]}, "carry in its metadata must be a list of objects"),
        ({"carry": [CARRY | {"initial": "x"}]}, "begins with what does not fit carry_0"),
        ({"carry": [CARRY | {"initial": {"a": 1}}]}, "begins with what does not fit carry_0"),
        ({"carry": [CARRY | {"initial": [[1], [2, 3]]}]}, "begins with what does not fit carry_0"),
    ],
)
def test_metadata_of_the_wrong_type_is_one_line(
    metadata: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = noted(metadata, tmp_path)
    with pytest.raises(PolicyFileError, match=words):
        PolicyFile(file)
    for command in (["inspect", str(file)], ["evaluate", str(file), "--env", "PlaneStrike-v0"]):
        assert main(command) == 2
        output = capsys.readouterr().err
        assert words in output
        assert output.count("\n") == 1
