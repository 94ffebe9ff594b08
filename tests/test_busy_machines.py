"""If helper threads get no core, the main thread continues alone with the same results; sharing resumes later."""

import os

import pytest
from training_programs import run

SETUP = """
from dynet_kernels import layout as at
from dynet_kernels.machine import team
HELPER = at.HELPER_ROW  # where the row of the first helper begins

def helper(name, value=None):
    if value is not None:
        sharing._helpers[HELPER + at.HELPER[name]] = value
    return sharing._helpers[HELPER + at.HELPER[name]]

def balance(value=None):
    if value is not None:
        sharing._settings[at.SHARING.balance] = value
    return sharing._settings[at.SHARING.balance]

def steps():
    return train(dy.GRUBuilder, dy.AdamTrainer)

expected = steps()
sharing.use(2, 0, 1)  # all passes are worth sharing, but only as long as it pays
"""

NO_CORE = """
sharing._start_thread = lambda *arguments: None  # a helper that never gets a core
balance(0)
steps()
assert sharing._settings[at.SHARING.helpers] == 1
helper("state", at.{state})
for _ in range(3):
    balance(10**7)
    helper("row", 1 << 40)
    assert steps() == expected
    assert helper("state") == at.{state}
    assert (helper("row") != 1 << 40) == ("{state}" == "IDLE")  # it was given orders, which were taken back
    assert balance() < 10**7  # they have cost a little and brought nothing
print("done")
"""


@pytest.mark.few(each=2)
@pytest.mark.parametrize("state", ["STARTED", "COMING", "IDLE", "WORKING"])
def test_a_helper_without_a_core(state):
    assert run(SETUP + NO_CORE.format(state=state), DYNET_NUM_THREADS="1") == ["done"]


DEBT = """
steps(), steps()
balance(-1 << 40)
steps()
assert team.LEAST_BALANCE <= balance() < 0  # debts are limited
while helper("state") != at.ASLEEP:  # helpers do not look for work while the main thread goes on alone
    time.sleep(0.001)
before = balance(-1 << 24)
assert steps() == expected
assert before < balance() < 0 and helper("state") == at.ASLEEP
balance(-1000)
while balance() < 0:  # what runs alone pays the debt
    assert steps() == expected
helper("row", 1 << 40)
while helper("row") == 1 << 40:  # until the helper has got orders again
    balance(10**7)
    assert steps() == expected
print("done")
"""


def test_a_debt_is_paid_by_passes_alone():
    assert run(SETUP + DEBT, DYNET_NUM_THREADS="1") == ["done"]


FAR = """
def paces(*values):
    for row in range(at.PACES):
        sharing._paces[row * len(at.PACE) : (row + 1) * len(at.PACE)] = values

paces(team.PERIOD - team.TRIALS, 0, 0)
steps()
assert any(sharing._paces[at.PACE.time :: len(at.PACE)])  # trials have run
for alone, is_loss in ((1, True), (1 << 40, False), (1, True)):  # nanoseconds for 2 ** 40 picoseconds of work
    helper("row", 1 << 40)
    while helper("row") == 1 << 40:  # until the helper has got orders
        paces(0, alone, 1 << 40)  # no trial soon
        balance(team.MOST_BALANCE)
        assert steps() == expected
    for _ in range(1000):
        if (balance() < 0) == is_loss:
            break
        if not is_loss:  # another program may have taken the helper's core
            balance(team.MOST_BALANCE)
        paces(0, alone, 1 << 40)
        assert steps() == expected
    assert (balance() < 0) == is_loss
print("done")
"""


def test_sharing_that_takes_longer_than_passes_alone_is_a_loss():
    assert run(SETUP + FAR, DYNET_NUM_THREADS="1") == ["done"]


CORES = """
from dynet_kernels import layout as at

def threads():
    if sharing._settings[at.SHARING.look] != at.NEVER:
        sharing._settings[at.SHARING.look] = 0  # as if a second had passed
    for _ in range(2):  # the first pass asks that cores be counted, the second begins with it
        dy.renew_cg()
        dy.sum_batches(dy.squared_norm(W * dy.inputTensor(np.ones((1000, 64), np.float32), batched=True))).value()
    return sharing.thread_count()

W = dy.ParameterCollection().add_parameters((1000, 1000))
if told:
    sharing.use(told)
cores = os.sched_getaffinity(0)
found = [threads()]
os.sched_setaffinity(0, {min(cores)})
found.append(threads())
os.sched_setaffinity(0, cores)
print(*found, threads(), min(len(cores), sharing.MOST_DEFAULT_THREADS, sharing._quota_cores()))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="sets which cores a process may use")
def test_cores_are_counted_again():
    first, second, third, several = run(CORES, "told = 0\n")
    assert (first, second, third) == (several, "1", several)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="sets which cores a process may use")
def test_cores_are_not_counted_if_the_number_was_told():
    assert run(CORES, "told = 3\n")[:3] == ["3"] * 3


FORK = """
steps(), steps()
for _ in range(3):
    balance(0)
    steps()
    balance(-1)
    child = os.fork()
    if not child:
        assert balance() == 0 and sharing.thread_count() == 1
        assert steps() == expected
        sharing.use(2, 0, 1)  # it may have helpers of its own
        assert steps() == expected and steps() == expected
        sys.exit(sharing._settings[at.SHARING.helpers])
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert steps() == expected
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_no_debt_and_may_have_helpers():
    assert run(SETUP + FORK, DYNET_NUM_THREADS="1") == ["done"]
