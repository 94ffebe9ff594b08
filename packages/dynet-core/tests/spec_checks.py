"""Helpers shared by the tests of classes in model files."""

import pickle

from dynet_core.files import meta
from dynet_core.files.names import allowed_by_name


class Holder:
    """A class that a file may name as the class of an object."""

    from_spec = None


def read_again(value, protocol=4, allow=()):
    return of_pickle(pickle.dumps((Holder, value, "/holder/"), protocol), allow)


def of_pickle(content, allow=()):
    """The spec of the only object in a `.meta` file."""
    (record,) = meta.read_records(content, "model.meta", allowed_by_name(allow))
    return record.spec


def assert_same(found, expected):
    """Check that types, contents and attributes are the same."""
    assert type(found) is type(expected)
    assert getattr(found, "default_factory", None) is getattr(expected, "default_factory", None)
    if isinstance(expected, (list, tuple)):
        for mine, theirs in zip(found, expected, strict=True):
            assert_same(mine, theirs)
    elif isinstance(expected, dict):
        assert_same(list(found.items()), list(expected.items()))
    else:
        assert found == expected
    if hasattr(expected, "attribute"):
        assert found.attribute == expected.attribute
