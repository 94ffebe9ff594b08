"""The cost model of data parallel training is correct, and the benchmark runs."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

import mpi

NETWORK = mpi.Network("some", 1e-5, 1e9)


def test_an_allreduce_takes_the_best_way():
    assert mpi.allreduce_seconds(NETWORK, 2, 0) == pytest.approx(1e-5)
    assert mpi.allreduce_seconds(NETWORK, 16, 8) == pytest.approx(4e-5 + 32e-9)  # recursive doubling
    assert mpi.allreduce_seconds(NETWORK, 16, 1e9) == pytest.approx(8e-5 + 2 * 15 / 16)  # Rabenseifner's
    assert mpi.allreduce_seconds(NETWORK, 3, 1e9) == pytest.approx(4e-5 + 4 / 3)  # a ring


def test_more_bytes_and_more_ranks_take_longer():
    seconds = [mpi.exchange_seconds(NETWORK, 16, dense, 0, 0, 1e-10) for dense in (0, 1e3, 1e6, 1e9)]
    assert seconds == sorted(seconds)
    seconds = [mpi.exchange_seconds(NETWORK, ranks, 1e6, 1e6, 1e3, 1e-10) for ranks in (1, *mpi.NODES)]
    assert seconds == sorted(seconds) and seconds[0] == 0


def test_rows_that_ranks_share_count_once():
    rows = [[1, 2], [2, 3], [4], [4, 5]]
    assert mpi.together(rows, 1) == (1.75, 1.75)
    assert mpi.together(rows, 2) == (2.5, 3.5)
    assert mpi.together(rows, 4) == (5, 7)


@pytest.mark.mpi
def test_it_runs(capsys, monkeypatch):
    if not importlib.util.find_spec("mpi4py") or not shutil.which("mpiexec", path=str(Path(sys.executable).parent)):
        pytest.skip("there is no mpi4py or no mpiexec")
    monkeypatch.setattr(sys, "argv", ["mpi.py", "--tasks", "tagger", "--ranks", "1", "2", "--steps", "3"])
    mpi.main()
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| tagger | 1 | 0 | ") for line in lines) == 1
    assert sum(line.startswith("| tagger | 2 | ") for line in lines) == 1
    assert sum(line.startswith("| tagger | 100 Gbit/s, RDMA | ") for line in lines) == 1
