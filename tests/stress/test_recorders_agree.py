"""The compiled and the Python recorder record the same graphs of random programs, with the same errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

EXAMPLES = 5000 if os.environ.get("DYNET_STRESS") == "all" else 150


class Worker:
    """A process that runs programs with one of the recorders."""

    def __init__(self, recorder: str):
        command = [sys.executable, "-W", "error", str(Path(__file__).with_name("recorder.py"))]
        environment = {**os.environ, "DYNET_RECORDER": recorder}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
        self.description = self.receive()["recorder"]

    def send(self, program) -> None:
        self.process.stdin.write(json.dumps(program) + "\n")
        self.process.stdin.flush()

    def receive(self) -> dict:
        line = self.process.stdout.readline()
        assert line, f"the worker has ended with {self.process.wait(60)}"
        return json.loads(line)

    def end(self) -> int:
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(60)


@pytest.fixture(scope="module")
def workers():
    both = [Worker("compiled"), Worker("python")]
    yield both
    assert [worker.end() for worker in both] == [0, 0]


number = st.integers(0, 99)


def test_the_workers_have_the_recorders_that_are_compared(workers):
    assert [worker.description for worker in workers] == ["compiled", "python: DYNET_RECORDER=python"]


def test_both_record_the_same(workers):
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
    @given(st.lists(st.tuples(number, number, number, number), max_size=30))
    def holds(program):
        for worker in workers:
            worker.send(program)
        compiled, python = [worker.receive() for worker in workers]
        for what in compiled:
            assert compiled[what] == python[what], what
        assert compiled["at"], "nothing was recorded"

    holds()
