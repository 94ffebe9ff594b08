"""DyNet's text format: writing, reading, and refused files."""

import numpy as np
import pytest

from dynet_core import ArgumentError, FileFormatError, ParameterCollection

TWO = """#Parameter# /_0 {2,2} 65 ZERO_GRAD
+1.00000000e+00 +2.00000000e+00 +3.00000000e+00 +4.00000000e+00 
#LookupParameter# /_1 {2,3} 194 FULL_GRAD
+1.00000000e+00 +2.00000000e+00 +3.00000000e+00 +4.00000000e+00 +5.00000000e+00 +6.00000000e+00 
+0.00000000e+00 +0.00000000e+00 +7.00000000e+00 +0.00000000e+00 +0.00000000e+00 +0.00000000e+00 
"""


def model_for_two() -> ParameterCollection:
    model = ParameterCollection()
    model.add_parameters((2, 2), init=0)
    model.add_lookup_parameters((3, 2), init=0)
    return model


def arrays(model) -> list:
    everything = [*model.parameters_list(), *model.lookup_parameters_list()]
    return [[p.as_array().tolist(), p.grad_as_array().tolist()] for p in everything]


def populated(tmp_path, text: str | bytes) -> ParameterCollection:
    file = tmp_path / "model"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    model = model_for_two()
    model.populate(file)
    return model


def test_a_file_is_read(tmp_path):
    model = populated(tmp_path, TWO)
    assert arrays(model) == [
        [[[1, 3], [2, 4]], [[0, 0], [0, 0]]],
        [[[1, 2], [3, 4], [5, 6]], [[0, 0], [7, 0], [0, 0]]],
    ]


def test_what_is_read_is_written_again(tmp_path):
    model = populated(tmp_path, TWO)
    model.save(tmp_path / "again")
    assert (tmp_path / "again").read_text() == TWO


@pytest.mark.parametrize(
    "text", [TWO.replace("\n", "\r\n"), TWO[:-1], TWO[:-2], TWO + "\n\n", TWO.replace(" ZERO_GRAD", "")]
)
def test_small_differences_do_not_matter(text, tmp_path):
    assert arrays(populated(tmp_path, text)) == arrays(populated(tmp_path, TWO))


def test_infinities_as_dynet_writes_them_are_read(tmp_path):
    text = TWO.replace("+2.00000000e+00", "+inf", 1).replace("+3.00000000e+00", "-nan", 1)
    value = populated(tmp_path, text).parameters_list()[0].as_array()
    np.testing.assert_array_equal(value, [[1, np.nan], [np.inf, 4]])


def test_a_table_of_numbers_may_have_one_dimension_as_dynet_writes_it(tmp_path):
    file = tmp_path / "model"
    file.write_text("#LookupParameter# /_0 {3} 49 ZERO_GRAD\n+1.00000000e+00 +2.00000000e+00 +3.00000000e+00 \n")
    model = ParameterCollection()
    table = model.add_lookup_parameters((3,))
    model.populate(file)
    assert table.as_array().tolist() == [[1], [2], [3]]
    again = ParameterCollection()
    assert again.load_lookup_param(file, "/_0").as_array().tolist() == [[1], [2], [3]]
    with pytest.raises(FileFormatError, match=r"\(3, 1\) in the file, \(3, 2\) in the model"):
        other = ParameterCollection()
        other.add_lookup_parameters((3, 2))
        other.populate(file)


@pytest.mark.parametrize(
    "old, new",
    [
        ("#Parameter#", "#Parameters#"),
        ("{2,2}", "{2,-2}"),
        ("{2,2}", "{2,0}"),
        ("{2,2}", "{4}"),
        ("{2,2}", "{2,2,1}"),
        ("{2,2}", "{1,1,1,1,1,1,2,2}"),
        ("{2,2} 65", "{99999999999,99999999999} 159999999999680000000017"),
        ("{2,2} 65", "{200000,200000} 640000000001"),
        ("65", "64"),
        ("65", "130"),
        ("ZERO_GRAD", "HALF_GRAD"),
        ("/_0", "/_0 x"),
        ("+4.00000000e+00", "+four0000000e+00"),
        ("+4.00000000e+00 ", ""),
        ("FULL_GRAD", "ZERO_GRAD"),
        ("#LookupParameter#", "#Parameter#"),
        (TWO[: TWO.index("#Look")], ""),
        (TWO[TWO.index("#Look") :], ""),
        (TWO, TWO + TWO),
        (TWO, ""),
        (TWO, "\0" * 100),
    ],
)
def test_a_damaged_file_changes_nothing(old, new, tmp_path):
    text = TWO.replace(old, new, 1)
    assert text != TWO
    model = model_for_two()
    model.parameters_list()[0].set_value([[5, 6], [7, 8]])
    before = arrays(model)
    file = tmp_path / "model"
    file.write_text(text)
    with pytest.raises(FileFormatError):
        model.populate(file)
    assert arrays(model) == before


@pytest.mark.parametrize("length", range(len(TWO) - 2))
def test_a_file_that_ends_too_soon_says_where(length, tmp_path):
    with pytest.raises(FileFormatError) as caught:
        populated(tmp_path, TWO[:length])
    message, entry = str(caught.value), "#Lookup" if length > TWO.index("#Look") else "#Parameter"
    assert message.startswith(str(tmp_path / "model"))
    if length == 0 or TWO.index("#Look") - 2 <= length <= TWO.index("#Look"):
        assert "lookup parameter /_1 (3, 2) is in the model only" in message  # whole entries, but too few
        return
    start = TWO.index(entry)
    end_of_head = TWO.index("\n", start)
    if f", byte {start}: " in message:
        head = "the file ends in the first line of an entry: expected '#Parameter# NAME {DIMS} BYTES ...', found b'#"
        values = f"values of /_{int(start > 0)} are announced, but the file ends at byte {length}"
        assert head in message or values in message
        assert length < end_of_head + 16 and (head not in message or length < end_of_head)
    else:
        count, name = (6, "/_1") if start else (4, "/_0")
        whole, line = TWO[end_of_head + 1 : length].count("e+00"), "values"
        if start and whole >= 6:
            whole, line = whole - 6, "numbers of the gradient"
        expected = f", byte {length}: the file ends after {whole} of the {count} {line} of {name}"
        assert message.endswith(expected)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="is not a name"):
        populated(tmp_path, TWO.encode().replace(b"/_0", b"/\xff"))


def test_names_that_the_format_cannot_hold_are_refused(tmp_path):
    model = ParameterCollection()
    parameter = model.add_parameters(2, name="a b")
    for save in (lambda: model.save(tmp_path / "model"), lambda: parameter.save(tmp_path / "model", "a#")):
        with pytest.raises(ArgumentError, match="cannot be a name in a file"):
            save()
    assert list(tmp_path.iterdir()) == []
    parameter.save(tmp_path / "model", "/é")
    assert model.load_param(tmp_path / "model", "/é").as_array().tolist() == parameter.as_array().tolist()


def test_a_collection_that_was_appended_to_itself(tmp_path):
    model = ParameterCollection()
    model.add_parameters(2)
    for _ in range(2):
        model.save(tmp_path / "model", append=True)
    message = "holds 2 parameters and 0 lookup parameters, some under the same name, as after save.append=True."
    with pytest.raises(FileFormatError, match=message):
        model.populate(tmp_path / "model")


def test_collections_are_found_by_their_name(tmp_path):
    model = ParameterCollection()
    first, second = model.add_subcollection("a"), model.add_subcollection("a")
    for number, part in enumerate((first, second)):
        part.add_parameters(2, init=number)
        part.add_lookup_parameters((2, 2), init=number)
    file = tmp_path / "model"
    first.save(file)
    second.save(file, append=True)
    first.save(file, "/copy", append=True)
    for key in ("/a", "/a/", "/copy"):
        second.populate(file, key)
        assert second.parameters_list()[0].as_array().tolist() == [0, 0]
        second.populate(file, "/a_1/")
        assert second.parameters_list()[0].as_array().tolist() == [1, 1]
    for key in ("", "/b", "/a_1/_"):
        with pytest.raises(FileFormatError):
            second.populate(file, key)
    with pytest.raises(ArgumentError, match="begins with '/'"):
        first.save(file, "copy")


def test_single_parameters(tmp_path):
    model = model_for_two()
    (parameter,), (table,) = model.parameters_list(), model.lookup_parameters_list()
    parameter.set_value([[1, 2], [3, 4]])
    table.init_row(1, [5, 6])
    file = tmp_path / "model"
    parameter.save(file)
    table.save(file, "rows", append=True)
    other = ParameterCollection()
    loaded = other.load_param(file, "/_0"), other.load_lookup_param(file, key="rows")
    assert [p.name() for p in loaded] == ["/_0", "rows"]
    assert other.parameters_list() + other.lookup_parameters_list() == list(loaded)
    assert [p.as_array().tolist() for p in loaded] == [[[1, 2], [3, 4]], [[0, 0], [5, 6], [0, 0]]]
    assert other.add_parameters(1).name() == "/_2"
    parameter.zero()
    parameter.populate(file, "/_0")
    assert parameter.as_array().tolist() == [[1, 2], [3, 4]]
    with pytest.raises(FileFormatError, match="holds no parameter named 'rows'"):
        other.load_param(file, "rows")
    with pytest.raises(FileFormatError, match="is .2, 2. in the file, .3,. in the model"):
        other.add_parameters(3).populate(file, "/_0")
    assert len(other.parameters_list()) == 3


def test_the_manuals_names(tmp_path):
    model = model_for_two()
    model.parameters_list()[0].set_value([[1, 2], [3, 4]])
    file = tmp_path / "model"
    model.save_all(file)
    copy = model_for_two()
    copy.load_all(file)
    assert arrays(copy) == arrays(model)
    assert arrays(ParameterCollection.from_file(file)) == arrays(model)
    loaded = ParameterCollection().load(file)
    assert [p.name() for p in loaded] == ["/_0", "/_1"]


def test_gradients_of_rows_that_were_loaded_are_updated_rows(tmp_path):
    table = populated(tmp_path, TWO).lookup_parameters_list()[0]
    touched = table._storage.touched_list
    assert touched.tolist() == [1, 1, 0, 0, 0, 1, 0, 0]


def test_a_file_that_is_missing_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        model_for_two().populate(tmp_path / "nothing")
