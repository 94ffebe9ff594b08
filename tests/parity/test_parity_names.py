"""The recorded names are still DyNet 2.1's; tests/test_original_names.py looks for them in this library."""

import original_names as recorded

from dynet_optim import _EXTRA_NAMES


def test_recorded_names_are_the_original_s(run):
    found = run("reference", "names.py")
    star = [name for name in recorded.DYNET if not name.startswith("_")]
    assert found["dynet"] == recorded.DYNET
    assert found["from dynet import *"] == star
    assert found["_dynet"] == sorted({*star, *recorded.UNDERSCORED} - {*recorded.NOT_UNDERSCORED})
    assert found["dynet_config"] == recorded.CONFIG
    assert found["classes"] == recorded.CLASSES


def test_every_keyword_of_a_trainer_is_taken_here(both):
    results = both("trainer_keywords.py")
    assert results.ours.keys() - {*_EXTRA_NAMES} == results.reference.keys()
    for trainer, keywords in results.reference.items():
        assert {*keywords} <= {*results.ours[trainer]}, trainer
