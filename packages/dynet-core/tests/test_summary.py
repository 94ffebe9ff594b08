"""`repr` and summaries of collections and parameters."""

import re

import dynet_core as dy


def model():
    collection = dy.ParameterCollection()
    collection.add_parameters((20, 30))
    part = collection.add_subcollection("<part>")
    part.add_lookup_parameters((1000, 3), name="words").set_updated(False)
    part.add_parameters(7)
    return collection, part


def test_a_table_of_a_collection():
    collection, part = model()
    rows = [re.split("  +", line) for line in str(collection).splitlines() if not line.startswith("-")]
    assert rows == [
        ["name", "kind", "shape", "numbers", "trained", "bytes"],
        ["/_0", "(20, 30)", "600", "yes", "2,400"],
        ["/<part>/_0", "(7,)", "7", "yes", "28"],
        ["/<part>/words", "lookup", "(1000, 3)", "3,000", "frozen", "12,000"],
        ["3 in all", "3,607", "1 frozen", "14,428"],
    ]
    assert str(part).count("\n") == 5 and "/_0 " not in str(part).replace("/<part>/_0", "")


def test_a_table_without_lookup_parameters_or_without_any():
    collection = dy.ParameterCollection()
    assert str(collection).splitlines()[-1].split() == ["0", "in", "all", "0", "0"]
    collection.add_parameters(2)
    assert str(collection).splitlines()[0].split() == ["name", "shape", "numbers", "trained", "bytes"]


def test_lines_of_the_table_end_together():
    lines = str(model()[0]).splitlines()
    assert len({len(line) for line in lines}) == 1


def test_a_notebook_gets_the_table_as_html():
    text = model()[0]._repr_html_()
    assert '<td style="text-align: left">/&lt;part&gt;/words</td>' in text and "<part>" not in text
    assert text.count("<tr>") == 5 and text.startswith("<table>") and text.endswith("</table>")
    assert 'right">14,428</th>' in text


def test_lines():
    collection, part = model()
    assert repr(collection) == "<ParameterCollection /: 2 parameters, 1 lookup parameter, 3,607 numbers, 1 frozen>"
    assert repr(part) == "<ParameterCollection /<part>/: 1 parameter, 1 lookup parameter, 3,007 numbers, 1 frozen>"
    p, (table,) = collection.parameters_list()[0], collection.lookup_parameters_list()
    assert repr(p) == "Parameter /_0 (20, 30)"
    assert repr(table) == "LookupParameter /<part>/words (1000, 3), frozen"
    assert repr(p.expr(update=False)) == repr(p)
