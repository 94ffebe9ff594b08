"""Generated documentation is up to date."""

import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def test_the_list_of_operations_is_that_of_the_code():
    made = runpy.run_path(str(DOCS / "make_ops.py"))
    for file, text in (("FILE", "text"), ("CALLS", "calls"), ("NAMES", "package")):
        assert made[file].read_text() == made[text](), f"python docs/make_ops.py writes {made[file].name} anew"
