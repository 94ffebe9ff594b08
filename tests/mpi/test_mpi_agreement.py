"""Ranks that disagree or fail together, and checkpoints of several ranks."""

import pytest


@pytest.mark.parametrize("ranks", [2, 3])
def test_scenes(run, tmp_path, ranks):
    done = run(ranks, "scenes.py", tmp_path)
    assert done.code == 0, done.err
    assert done.out.count(" scenes") == ranks
