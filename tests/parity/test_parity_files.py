"""Parity of files: each library reads the other's builders, nested collections and gradients."""

import pytest


@pytest.mark.parametrize("meaning", ["coupled", "vanilla"])
@pytest.mark.parametrize("writer, reader", [("ours", "reference"), ("reference", "ours"), ("ours", "ours")])
def test_files_are_exchanged(writer, reader, meaning, run, tmp_path):
    written = run(writer, "files.py", "write", str(tmp_path), "1", meaning)
    read = run(reader, "files.py", "read", str(tmp_path), "2", meaning)
    assert read == written


def test_names_are_those_of_dynet(both, tmp_path):
    results = both("files.py", "write", str(tmp_path), "1", "vanilla")
    for part in ("objects", "whole"):
        ours, reference = results.ours[part], results.reference[part]
        assert [name for name, *_ in ours] == [name for name, *_ in reference]


def test_the_same_model_gives_the_same_file(run, tmp_path):
    for library in ("ours", "reference"):
        (tmp_path / library).mkdir()
        run(library, "files.py", "write", str(tmp_path / library), "1", "vanilla")
    ours, reference = [(tmp_path / library / "objects.data").read_bytes() for library in ("ours", "reference")]
    assert ours == reference


@pytest.mark.parametrize("writer, reader", [("ours", "reference"), ("reference", "ours"), ("ours", "ours")])
def test_specs_with_objects_of_users_classes_are_exchanged(writer, reader, run, tmp_path):
    written = run(writer, "vocabularies.py", "write", str(tmp_path), "1")
    assert run(reader, "vocabularies.py", "read", str(tmp_path), "2") == written


@pytest.mark.parametrize("reader", ["reference", "ours"])
def test_files_of_frozen_parameters_are_read(reader, run, tmp_path):
    written = run("ours", "frozen.py", "write", str(tmp_path))
    assert (tmp_path / "objects.data").read_text().count(" FROZEN\n") == 3
    assert run(reader, "frozen.py", "read", str(tmp_path)) == written
