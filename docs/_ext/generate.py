"""Everything of the documentation that is made from the code and from measured results, before Sphinx reads a page.

Nothing of it is committed, so nothing of it can be out of date. It goes to `docs/generated`: `environments`, a page for
each registered environment; `reference`, every public name; `parts`, tables that pages include; pictures; and the
notebook of `examples`.
"""

import shutil
from pathlib import Path
from typing import Any

from environment_pages import write_environment_pages
from game_page import write_game_page
from parts import write_parts
from reference import write_reference
from results import read_results
from sphinx.application import Sphinx
from sphinx.config import Config

DOCS = Path(__file__).parent.parent
GENERATED = DOCS / "generated"
ROOT = DOCS.parent


def write(path: Path, text: str) -> None:
    """Writes a file, unless it is that already: Sphinx reads again what has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def generate(app: Sphinx, config: Config) -> None:
    """Makes all of it."""
    GENERATED.mkdir(exist_ok=True)
    results = read_results(ROOT / "benchmarks" / "results" / "learning")
    write_environment_pages(GENERATED, results, write)
    write_parts(GENERATED, results, write)
    write_game_page(GENERATED, write)
    write_reference(GENERATED, write)
    notebook = GENERATED / "first_steps.ipynb"
    source = ROOT / "examples" / "first_steps.ipynb"
    if not notebook.exists() or notebook.read_bytes() != source.read_bytes():
        shutil.copyfile(source, notebook)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("config-inited", generate)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
