"""Every public name of `dynet` is on exactly one page of the reference."""

from collections import Counter
from pathlib import Path

import reference

import dynet as dy

PAGES = reference.pages(Path(__file__).resolve().parents[2] / "docs" / "reference")


def test_every_public_name_has_one_page():
    counts = Counter(name for names in PAGES.values() for name in names)
    assert sorted(counts) == sorted(dy._PUBLIC)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_name_but_modules_is_documented():
    without = [name for name in dy._PUBLIC if not getattr(getattr(dy, name), "__doc__", None)]
    assert sorted(without) == ["Expression"]  # the reference has the methods of Expression


def test_a_page_is_filled():
    page = reference.expanded("# Losses\n\n<!-- names of dynet_ops.loss -->\n\n<!-- names: AdamTrainer -->\n")
    assert ".. autofunction:: dynet.softmax\n" in page
    assert ".. autoclass:: dynet.AdamTrainer\n" in page
    assert "<!--" not in page


def test_the_table_of_operations_speaks():
    assert "*Random: each pass draws other numbers.*" in reference.directive("dropout")
    assert "*No gradient.*" in reference.directive("argmax")
    assert "*" not in reference.directive("tanh")
