"""JavaScript for the tests: by Node.js, and by Chromium."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxrl.web.program import Program
from jaxrl.web.source import packaged, program_source

NODE = shutil.which("node")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without the last ones it looks for updates, on a network that a test has no use for.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed")


def plain(value: Any) -> Any:
    """Arrays as nested lists, whatever holds them; numbers that JSON lacks by name."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, float) and not np.isfinite(value):
        return {np.inf: "Infinity", -np.inf: "-Infinity"}.get(value, "NaN")
    return plain(np.asarray(value).tolist()) if hasattr(value, "dtype") else value


def in_node(script: str, given: Any, folder: Path) -> Any:
    """What a script, which makes `result` of `given`, gives."""
    file = folder / "script.mjs"
    file.write_text(
        'import { readFileSync } from "node:fs";\n'
        "const numbers = (_, x) => (['NaN', 'Infinity', '-Infinity'].includes(x) ? Number(x) : x);\n"
        "const arrays = (_, x) => (ArrayBuffer.isView(x) ? Array.from(x) : x);\n"
        "const texts = (_, x) => (typeof x === 'number' && !Number.isFinite(x) ? String(x) : arrays(_, x));\n"
        f"const given = JSON.parse(readFileSync(0, 'utf8'), numbers);\n{script}\n"
        "process.stdout.write(JSON.stringify(result, texts));\n"
    )
    assert NODE is not None
    done = subprocess.run(
        [NODE, str(file)], input=json.dumps(plain(given)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run_program(program: Program, rows: list[dict[str, Any]], folder: Path) -> list[dict[str, np.ndarray]]:
    """The outputs of a program in Node.js for each row of inputs, in their shapes and types."""
    script = f"{packaged('runtime.js')}\nconst program = {program_source(program)};\nconst result = given.map(program);"
    flat = [{name: np.asarray(x).reshape(-1) for name, x in row.items()} for row in rows]

    def shaped(name: str, values: list[Any]) -> np.ndarray:
        output = program.outputs[name]
        return np.asarray([float(x) for x in values]).astype(output.dtype).reshape(output.shape)

    return [{name: shaped(name, x) for name, x in given.items()} for given in in_node(script, flat, folder)]


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium; a skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def context(browser: Any, **options: Any) -> Iterator[Any]:
    """A context of a browser, where an error on a page fails the test."""
    opened = browser.new_context(**options)
    opened.set_default_timeout(20_000)
    errors: list[str] = []
    opened.on("weberror", lambda error: errors.append(str(error.error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert not errors
