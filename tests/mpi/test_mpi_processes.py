"""Ranks that also use MPI, processes and threads directly: none hangs or dies without a message."""

import pytest

AFTER_ALL = "MPI.Finalize() was called; call it after all uses of DataParallel"
BEFORE = "MPI.Finalize() was called before"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("finalize_at_the_end", ["rank"]),
        ("finalize_too_early", [AFTER_ALL, AFTER_ALL]),
        ("finalize_before", [BEFORE]),
        ("not_initialized", ["mpi4py.rc.initialize is False; call MPI.Init() before"]),
        ("fork", ["is a child of process", "was forked from", "was forked from", "2.0"]),
        ("spawn", ["is a child of process", "2.0"]),
        ("subprocesses", ["is a child of process", "2.0"]),
    ],
)
def test_programs_that_end_well(run, program, said):
    done = run(2, "processes.py", program)
    assert done.code == 0, done.err
    for words in set(said):
        assert done.out.count(words) == 2 * said.count(words), done.out
    assert "no error" not in done.out


def test_an_exception_in_a_thread_ends_all(run):
    done = run(2, "processes.py", "exception_in_a_thread")
    assert done.code != 0
    assert "ValueError: failed in a thread\n" in done.err
    assert "ends all ranks, because of this exception" in done.err


def test_ranks_that_have_imported_mpi_are_not_waited_for_either(run):
    done = run(2, "processes.py", "mpi_before_dynet", DYNET_MPI_SECONDS="1.5")
    assert done.code != 0
    assert "Timeout (0:00:01.500000)!" in done.err
    assert "in world" in done.err
