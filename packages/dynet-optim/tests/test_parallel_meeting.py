"""The checks that ranks make before they exchange data, with threads in the place of ranks."""

import threading

import pytest

from dynet_core.errors import ParallelError
from dynet_optim import ranks
from dynet_optim.ranks import Meeting, difference, digest


class Ranks:
    """Communicators for this many threads."""

    def __init__(self, size):
        self.size, self.barrier, self.given = size, threading.Barrier(size, timeout=60), [None] * size

    def run(self, work):
        """Run work(meeting, rank) in each thread; return the results or errors by rank."""
        found = [None] * self.size

        def one(rank):
            try:
                found[rank] = work(Meeting(Comm(self, rank)), rank)
            except Exception as error:
                found[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


class Comm:
    def __init__(self, ranks, rank):
        self.ranks, self.rank, self.size = ranks, rank, ranks.size

    def allgather(self, value):
        self.ranks.given[self.rank] = value
        self.ranks.barrier.wait()
        found = list(self.ranks.given)
        self.ranks.barrier.wait()
        return found

    def Allgather(self, own, everyone):
        everyone[:] = self.allgather(own.copy())


@pytest.fixture(autouse=True)
def no_end(monkeypatch):
    """Meetings of threads do not meet again when Python ends."""
    monkeypatch.setattr(ranks.atexit, "register", lambda function: None)


def test_ranks_that_agree_get_all_headers():
    found = Ranks(3).run(lambda m, rank: m.meet("update", 4, own_counts=(10 + rank, rank, 0)).copy())
    for headers in found:
        assert headers[:, ranks.EXAMPLES].tolist() == [10, 11, 12]
        assert headers[:, ranks.TOUCHED].tolist() == [0, 1, 2]


@pytest.mark.parametrize("different", range(3))
def test_all_ranks_hear_of_one_that_differs(different):
    def work(m, rank):
        model = [("the trainer", "Adam"), ("/w", (3, 2 + (rank == different)))]
        m.meet("update", 0, (model, digest(model)))

    for rank, error in enumerate(Ranks(3).run(work)):
        assert type(error) is ParallelError
        assert f"rank {rank} has a different model than rank " in str(error)
        assert "/w is (3, " in str(error)


def test_a_rank_that_has_ended_stays_ended():
    def work(m, rank):
        if rank == 1:
            return m._end()
        messages = []
        for _ in "abc":
            with pytest.raises(ParallelError) as raised:
                m.meet("update", 1)
            messages.append(str(raised.value))
        m._end()
        return messages

    first, second, third = Ranks(3).run(work)
    assert second is None
    assert first == 3 * [first[0]]
    assert "rank 0 has done 1 update and goes on, but rank 1 has ended after 0" in first[0]
    assert "rank 2 has done 1 update" in third[0]


def test_only_one_thread_at_a_time_exchanges(monkeypatch):
    def work(m, rank):
        errors = []

        def second():
            try:
                with m.exchange():
                    m.meet("total", 0)
            except ParallelError as error:
                errors.append(str(error))

        with m.exchange():
            m.meet("update", 0)
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
        with m.exchange():
            m.meet("total", 0)
        return errors

    for rank, errors in enumerate(Ranks(2).run(work)):
        assert [error.split(",")[0] for error in errors] == [
            f"DataParallel: rank {rank} is in the middle of an exchange"
        ]


def test_a_signal_handler_cannot_exchange_in_the_middle_of_an_exchange(monkeypatch):
    """If the handler's error were passed on, the other ranks would wait for this one."""
    ended = []
    monkeypatch.setattr(ranks, "end_all", ended.append)

    def work(m, rank):
        with m.exchange(), m.exchange():
            pass

    assert [type(error) for error in Ranks(1).run(work)] == [type(None)]
    assert ended == ["this exception in the middle of an exchange"]


def test_forked_children_do_not_exchange(monkeypatch):
    def work(m, rank):
        m.process_id += 1
        with m.exchange():
            m.meet("update", 0)

    for rank, error in enumerate(Ranks(2).run(work)):
        assert type(error) is ParallelError
        assert str(error).startswith(f"DataParallel: this process was forked from rank {rank} and is not a rank")


def test_nothing_is_exchanged_after_mpi_is_finalized(monkeypatch):
    monkeypatch.setattr(ranks, "is_finalized", lambda: True)

    def work(m, rank):
        with m.exchange():
            m.meet("update", 0)

    def end(m, rank):
        m._end()

    (error,) = Ranks(1).run(work)
    assert type(error) is ParallelError
    assert "MPI.Finalize() was called" in str(error)
    assert Ranks(1).run(end) == [None]


def test_ranks_that_end_together_say_nothing():
    assert Ranks(3).run(lambda m, rank: m._end()) == [None] * 3


@pytest.mark.parametrize(
    ("own", "others", "said"),
    [
        ([("a", 1)], [("a", 2)], "a is 1 here, and 2 there"),
        ([("a", 1)], [("b", 1)], "where this has a, rank 3 has b"),
        ([("a", 1), ("b", 2)], [("a", 1)], "b is only here"),
        ([("a", 1)], [("a", 1), ("b", 2)], "b is only there"),
    ],
)
def test_differences_in_words(own, others, said):
    assert difference(own, others, 3) == said
