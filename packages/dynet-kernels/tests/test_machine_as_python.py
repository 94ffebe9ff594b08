"""The tape machine and its threads run as ordinary Python, without TVM, a compiler, a graph, or real threads."""

import ctypes
import random
import subprocess
import sys
from contextlib import suppress

import pytest

from dynet_kernels import layout as at
from dynet_kernels.kernels import SHARD_SIZE
from dynet_kernels.machine import atomics, modules, planner, sharing, team
from dynet_kernels.plan.nodes import Both, Context, Helper, Sharing

NAMES = ("base", "count", *at.SHARES)


class Program:
    """A tape in its own memory. Each instruction is (opcode, columns, how threads share it).

    Each opcode is for a kernel of two parameters. `ran` lists the calls of kernels: (opcode, the arguments `NAMES`, the
    parameters). All shards before `shards` are loaded.
    """

    def __init__(self, *instructions: tuple[int, int, int], shards: int = 3, threads: int = 1):
        count = len(instructions)
        self.ran: list[tuple[int, tuple, tuple]] = []
        sizes = {
            "context": len(at.CONTEXT),
            "table": 2 * count,
            "tape": count * len(at.INSTRUCTION),
            "code": at.MOST_SHARDS,
            "sharing": len(at.SHARING),
            "rows": threads * at.HELPER_ROW,
            "paces": at.PACES * len(at.PACE),
            "threads": threads * at.THREAD_ROW,
            "ahead": len(at.CONTEXT),
        }
        self.buffers = {name: (ctypes.c_int64 * size)() for name, size in sizes.items()}
        addresses = {name: ctypes.addressof(buffer) for name, buffer in self.buffers.items()}
        self.address = addresses["context"]
        self.context, self.sharing = Context(self.address), Sharing(addresses["sharing"])
        for name in ("table", "tape", "code", "sharing", "threads", "ahead"):
            setattr(self.context, name, addresses[name])
        self.context.fill(tape_count=count, status=at.READY, shared_work=1 << 40)
        self.sharing.fill(threads=threads, helpers=threads - 1, look=at.NEVER)
        self.sharing.fill(rows=addresses["rows"], paces=addresses["paces"])
        for number, (opcode, columns, shared) in enumerate(instructions):
            modules.tape_of(self.context)[number].fill(
                opcode=opcode, base=100 * number, count=columns, parameters=2 * number, shared=shared
            )
            self.buffers["table"][2 * number : 2 * number + 2] = [number, 7]
        for shard in range(shards):
            self.buffers["code"][shard] = handle = 1000 + shard
            kernels = [(place, self.kernel(shard * SHARD_SIZE + place), ("n", "seven"), NAMES) for place in range(2)]
            modules.FUNCTIONS_BY_HANDLE[handle] = modules.shard_runner(kernels)

    def kernel(self, opcode: int):
        def run(memory, index, *numbers):
            self.ran.append((opcode, numbers[: len(NAMES)], numbers[len(NAMES) :]))

        return run

    def helper(self, number: int) -> Helper:
        return team.nth_helper(self.sharing, number)


@pytest.fixture(autouse=True)
def no_handles(monkeypatch):
    monkeypatch.setattr(modules, "FUNCTIONS_BY_HANDLE", {})


def test_instructions_run_in_order_by_the_shards_of_their_kernels():
    program = Program((0, 1, 0), (1, 2, 0), (SHARD_SIZE, 3, 0), (2 * SHARD_SIZE + 1, 4, 0), (0, 5, 0))
    planner.run(program.address)
    assert (program.context.status, program.context.row) == (at.READY, 5)
    none = (0,) * len(at.SHARES)
    assert program.ran == [
        (opcode, (100 * number, number + 1, *none), (number, 7))
        for number, opcode in enumerate([0, 1, SHARD_SIZE, 2 * SHARD_SIZE + 1, 0])
    ]


@pytest.mark.parametrize("opcode", [2, SHARD_SIZE - 1, 3 * SHARD_SIZE, at.MOST_SHARDS * SHARD_SIZE, 1 << 40, -1])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_instruction_without_code_ends_the_run(opcode, threads):
    program = Program((0, 1, 0), (opcode, 1, 0), (0, 1, 0), threads=threads)
    planner.run(program.address)
    assert (program.context.status, program.context.row) == (at.NO_CODE, 1)
    assert [opcode for opcode, *_ in program.ran] == [0]


def test_kernels_of_a_gpu_stop_where_the_driver_refuses_one():
    program, ran = Program((0, 1, 0), (1, 1, 0), (0, 1, 0)), []
    running = modules.Running(program.address)
    running.run_until_other_shard(lambda number, *_: ran.append(number), fails=lambda: len(ran) == 2)
    assert ran == [0, 1] and program.context.row == 1


@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_parts_of_an_instruction_are_the_whole(parts):
    program = Program((0, 11, at.BY_COLUMNS), (1, 4, at.BY_ROWS), threads=parts)
    for number in range(2):
        for part in range(parts):
            team.run_part(program.address, number, number + 1, part, parts)
    assert program.context.status == at.READY
    calls = [(opcode, dict(zip(NAMES, numbers))) for opcode, numbers, _ in program.ran]
    columns, rows = ([numbers for opcode, numbers in calls if opcode == wanted] for wanted in (0, 1))
    assert sum(one["count"] for one in columns) == 11
    place = 0
    for one in columns:
        assert one == dict.fromkeys(NAMES, 0) | {
            "base": place,
            "count": one["count"],
            "others": 11 - one["count"],
            "columns_before": place,
        }
        place += one["count"]
    assert [(one["base"], one["count"], one["others"], one["columns_before"]) for one in rows] == [
        (100, 4, 0, 0)
    ] * parts
    ends = [at.ALL_ROWS - one["rows_after"] for one in rows]
    assert [one["rows_before"] for one in rows] == [0, *ends[:-1]] and ends[-1] == at.ALL_ROWS


class Asleep(Exception):
    pass


class Helpers:
    """Simulated helpers that run in random turns, whenever the main thread reads the state of one or the clock."""

    def __init__(self, program: Program, dice: random.Random, monkeypatch):
        self.program, self.dice, self.busy, self.now = program, dice, False, 0
        self.since = [0] * program.sharing.threads
        self.turns = dice.choice([0.1, 0.3, 0.9])
        self.real = team.state_of
        monkeypatch.setattr(team, "state_of", self.state_of)
        monkeypatch.setattr(team, "time", self.time)
        monkeypatch.setattr(team, "yield_core", lambda: None)
        monkeypatch.setattr(atomics, "acquire_lock", self.sleep)
        monkeypatch.setattr(atomics, "release_lock", lambda lock: None)
        for number in range(1, program.sharing.threads):
            program.helper(number).state = dice.choice([at.STARTED, at.ASLEEP, at.IDLE, at.IDLE])

    def state_of(self, helper):
        self.others()
        return self.real(helper)

    def time(self, clock=0):
        self.others()
        self.now += 1000
        return self.now

    def sleep(self, lock):
        raise Asleep

    def others(self):
        if self.busy:
            return
        self.busy = True
        for number in range(1, self.program.sharing.threads):
            helper = self.program.helper(number)
            if self.dice.random() < self.turns:
                if helper.state in (at.STARTED, at.COMING):
                    helper.state = at.IDLE
                elif helper.state != at.ASLEEP:
                    with suppress(Asleep):
                        self.since[number] = team.look_for_work(self.program.sharing, helper, 0, self.since[number])
        self.busy = False


def whole(ran, wanted: list):
    """Check that the kernels ran each instruction once, whole or in parts, in order."""
    found, calls = [], [(opcode, dict(zip(NAMES, numbers)), parameters[0]) for opcode, numbers, parameters in ran]
    for opcode, numbers, number in calls:
        if not found or found[-1][0] != number:
            found.append([number, opcode, 0, 0])
        found[-1][2] += numbers["count"] if wanted[number][2] != at.BY_ROWS else 0
        found[-1][3] += at.ALL_ROWS - numbers["rows_before"] - numbers["rows_after"]
    assert [one[:2] for one in found] == [[number, opcode] for number, (opcode, *_) in enumerate(wanted)]
    for (*_, columns, rows), (_, count, shared) in zip(found, wanted):
        assert rows == at.ALL_ROWS if shared == at.BY_ROWS else columns == count


@pytest.mark.parametrize("seed", range(40))
def test_threads_share_a_tape(seed, monkeypatch):
    dice = random.Random(seed)
    ways = [at.ALONE, at.BY_ROWS, at.BY_COLUMNS]
    wanted = [(dice.choice([0, 1, SHARD_SIZE]), dice.randrange(4, 20), dice.choice(ways)) for _ in range(12)]
    program = Program(*wanted, threads=dice.randrange(2, 5))
    program.sharing.fill(least_pass=dice.choice([0, 1]), balance=dice.choice([-1, 0, 5_000_000]))
    Helpers(program, dice, monkeypatch)
    for _ in range(8):
        program.ran.clear()
        planner.run(program.address)
        assert program.context.status == at.READY and program.sharing.context == 0
        whole(program.ran, wanted)
        assert team.LEAST_BALANCE <= program.sharing.balance <= team.MOST_BALANCE


def test_all_threads_take_part_if_told_so(monkeypatch):
    program = Program(*[(0, 40, at.BY_COLUMNS)] * 8, threads=4)
    Helpers(program, random.Random(1), monkeypatch)
    planner.run(program.address)
    assert {numbers[NAMES.index("columns_before")] for _, numbers, _ in program.ran} >= {10, 20, 30}


def test_a_pass_alone_is_remembered():
    program = Program((0, 1, at.ALONE), threads=2)
    program.sharing.fill(helpers=0, least_pass=1)
    planner.run(program.address)
    (place,) = [k for k in range(at.PACES) if program.buffers["paces"][k * len(at.PACE)]]
    assert place == 2 * 41  # not a forward pass; the work has 41 bits
    number, took, work = program.buffers["paces"][place * len(at.PACE) :][: len(at.PACE)]
    assert number == 1 and took > 0 and work == 1 << 40
    assert program.sharing.wanted == 1  # it could have used a helper


@pytest.mark.parametrize("helped", [0, 1])
def test_a_helper_plans_the_backward_pass_ahead(helped, monkeypatch):
    program = Program(*[(0, 8, at.BY_COLUMNS)] * 6, threads=2)
    planned = []

    def plan(address, loss, size, everything):
        planned.append((loss, size, everything))
        Context(address).fill(backward_plan=5, backward_tape_count=77, status=at.TOO_SMALL)

    monkeypatch.setattr(team.PLAN_BACKWARD, "python_function", plan)
    monkeypatch.setattr(team, "should_plan_ahead", lambda address: helped)
    program.context.fill(node_count=9, backward_plan=-1, backward_expected=1)
    Helpers(program, random.Random(3), monkeypatch)
    planner.run(program.address)
    assert planned == [(8, 0, 0)] * helped
    context = program.context
    assert (context.backward_plan, context.backward_tape_count) == ((5, 77) if helped else (-1, 0))
    assert context.status == at.READY and context.backward_expected == 1 - helped
    whole(program.ran, [(0, 8, at.BY_COLUMNS)] * 6)


def test_locks_clocks_and_states():
    lock = sharing._new_lock()
    atomics.release_lock(lock)
    atomics.acquire_lock(lock)
    assert atomics.time() > 0 and atomics.time(atomics.CPU_TIME) > 0
    atomics.yield_core()
    helper = Program(threads=2).helper(1)
    assert not atomics.change_state(helper, at.IDLE, at.ORDERED) and atomics.change_state(helper, at.STARTED, at.IDLE)
    assert atomics.state_of(helper) == at.IDLE


class Trainer:
    """Stand-ins for the planners of a trainer's passes; they plan a tape of one instruction."""

    def __init__(self, monkeypatch, squares: float, limit: float, statuses: dict[str, int]):
        self.program, self.calls = Program((0, 1, 0)), []
        self.totals = (ctypes.c_double * 4)(9.0, 9.0, 9.0, 9.0)
        self.limit, self.squares, self.statuses = limit, squares, statuses
        self.counts = [(ctypes.c_int64 * 1)(count) for count in (41, 3)]
        self.program.context.changes, self.program.context.changed = map(ctypes.addressof, self.counts)
        self.numbers = (ctypes.c_int64 * len(at.BOTH))(*range(10, 10 + len(at.BOTH)))
        self.both = Both(ctypes.addressof(self.numbers))
        assert ctypes.addressof(self.totals) % 4 == 0
        self.both.totals = ctypes.addressof(self.totals) // 4
        self.totals[1] = limit
        for name in ("gradient_norm", "update"):
            monkeypatch.setattr(
                planner.PLAN_FUNCTIONS[name], "python_function", lambda *given, name=name: self.plan(name, *given)
            )

    def plan(self, name, address, *numbers):
        assert address == self.program.address
        assert self.totals[0] == 0.0
        self.calls.append((name, numbers))
        self.totals[0] += self.squares
        self.program.context.status = self.statuses.get(name, at.READY)

    def run(self) -> int:
        self.totals[0] = 8.0
        return planner.norm_and_update(self.program.address, ctypes.addressof(self.numbers))


@pytest.mark.parametrize(
    "squares, statuses, expected, ran, changed",
    [
        (3.0, {}, at.NOT_BELOW, 1, 0),
        (float("nan"), {}, at.NOT_BELOW, 1, 0),
        (0.0, {}, at.READY, 2, 1),
        (0.0, {"gradient_norm": at.TOO_SMALL}, at.TOO_SMALL, 0, 0),
        (0.0, {"update": at.TOO_SMALL}, at.TOO_SMALL, 1, 0),
    ],
)
def test_an_update_unless_gradients_must_be_clipped(squares, statuses, expected, ran, changed, monkeypatch):
    trainer = Trainer(monkeypatch, squares, 2.0, statuses)
    both = trainer.both
    assert trainer.run() == expected == trainer.program.context.status
    assert len(trainer.program.ran) == ran
    assert [count[0] for count in trainer.counts] == ([42, 42] if changed else [41, 3])
    name, numbers = trainer.calls[0]
    assert name == "gradient_norm" and numbers == (both.norm, 0, both.count, both.states, both.dense, both.totals)
    if len(trainer.calls) > 1:
        told = (both.opcode, both.count, both.states, both.numbers, both.numbers_address, both.dense)
        assert trainer.calls[1:] == [("update", told)]


def test_an_update_without_code_changes_nothing(monkeypatch):
    trainer = Trainer(monkeypatch, 0.0, 2.0, {})
    modules.tape_of(trainer.program.context)[0].opcode = 2
    assert trainer.run() == at.NO_CODE and trainer.counts[0][0] == 41


@pytest.mark.parametrize("name", ["forward", "backward"])
@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("wanted", [0, 1])
@pytest.mark.parametrize("status", [at.READY, at.TOO_SMALL])
def test_a_pass_is_planned_and_run(name, runs, wanted, status, monkeypatch):
    program, planned = Program((0, 1, 0)), []

    def plan(address, *numbers):
        planned.append(numbers)
        program.context.status = status

    monkeypatch.setattr(planner.PLAN_FUNCTIONS[name], "python_function", plan)
    program.sharing.wanted = wanted
    found = planner.pass_function(name, runs)(program.address, 1, 2, 3)
    waits = wanted and runs and name == "forward"
    assert found == program.context.status == (at.NO_HELPERS if waits else status)
    assert planned == [(1, 2, 3)] * (not waits)
    assert len(program.ran) == (runs and not waits and status == at.READY)


def test_no_tvm():
    code = "import sys, dynet_kernels.machine.planner; sys.exit('tvm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
