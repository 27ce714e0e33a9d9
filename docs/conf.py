"""The documentation: `python -m sphinx -W -b html docs docs/_build/html`, from the root of the repository.

It needs the extra `docs` and no network, neither to be built nor to be read.
"""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]  # our extensions; benchmarks, envs of the examples

project = "jaxrl"
author = "The jaxrl authors"
html_show_copyright = False
release = version = importlib.metadata.version("jaxrl")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "generate",  # pages and tables made from the registry, the dataclasses and the measured results
    "public_names",  # every public name is in the reference
    "offline",  # no page needs another host
]
exclude_patterns = ["_build", "_ext", "generated/parts", "generated/site"]
root_doc = "index"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Code cells are executed once, and again when they change.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # no widgets, so nothing from a CDN

# MathJax as one file that draws formulas as SVG: no fonts, no CDN.
_mathjax = importlib.util.find_spec("sphinx-mathjax-offline")
assert _mathjax is not None, "pip install -e '.[docs]'"
assert _mathjax.origin is not None
mathjax_path = "tex-svg.js"

html_theme = "furo"
html_title = "jaxrl"
html_static_path = ["_static", str(Path(_mathjax.origin).parent / "static" / "mathjax" / "tex-svg.js")]
html_extra_path = ["generated/site"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#28508f", "color-brand-content": "#28508f"},
    "dark_css_variables": {"color-brand-primary": "#8fb4ea", "color-brand-content": "#8fb4ea"},
}

suppress_warnings = ["ref.python"]  # fields of several classes have the same name, and attributes are no links
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
