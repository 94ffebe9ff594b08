"""Sphinx's settings; `nox -s docs` builds the pages."""

import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "extensions"))

import dynet  # noqa: E402

OWN = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["dynet"]

project = "DyNet on TVM"
author = OWN["authors"]
copyright = f"2026, {author}"  # noqa: A001
version = release = dynet.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "docstrings",
    "repository_links",
    "reference",
]
exclude_patterns = ["extensions", "Thumbs.db"]
templates_path: list[str] = []

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

default_role = "code"
add_module_names = False
python_use_unqualified_type_names = True
autodoc_typehints_format = "short"
# The page `reference/index` says what these are.
TYPES = ("Allow", "Array", "Dims", "Index", "Indices", "Init", "Key", "Number", "Numbers", "Path")
autodoc_type_aliases = {name: name for name in TYPES}
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
viewcode_follow_imported_members = True
viewcode_line_numbers = True

html_theme = "furo"
html_title = f"DyNet on TVM {release}"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

repository_url = OWN["repository"]
