"""A training step of this project that times each of its phases.

The compiled machine's functions plan and run in one call. Here, planning and running are separate calls, and a clock is
read between them: the thread's CPU time, less the cost of reading it. `build` is `renew_cg` and the user's code with
all ops that it records; `rest` is the work of `value`, `backward` and `update` around the compiled calls.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

clock = time.thread_time_ns
PARTS = ("build", "plan", "forward", "backward", "update", "rest")


class Split:
    """A training step that times each of its phases, in seconds."""

    def __init__(self, steps):
        from dynet_core.compute.device import machine_in_use
        from dynet_core.recorder import next_generation
        from dynet_kernels.machine.library import PASS_NAMES

        steps.train()  # the first step loads kernels and the machine's functions
        self.steps = steps
        self.machine = machine_in_use()
        self.times = dict.fromkeys(PARTS, 0)
        self.reading = int(statistics.median(-clock() + clock() for _ in range(1000)))
        self.machine.is_watched = True
        next_generation()  # makes graphs fetch the machine's functions again
        self.machine.norm_and_update = None
        for phase in PASS_NAMES:
            part = "update" if phase == "gradient_norm" else phase
            setattr(self.machine, phase, self.timed(getattr(self.machine, f"plan_{phase}"), part))

    def timed(self, plan: Callable, part: str) -> Callable:
        """Return a function that plans and runs a phase, and reads a clock in between."""
        from dynet_kernels.layout import READY

        times, run, reading = self.times, self.machine.run, self.reading

        def call(context: int, *arguments) -> int:
            start = clock()
            status = plan(context, *arguments)
            planned = clock()
            times["plan"] += planned - start - reading
            if status == READY:
                run(context)
                times[part] += clock() - planned - reading
                self.readings += 1
            self.readings += 2
            return status

        return call

    def __call__(self) -> float:
        times, steps, reading = self.times, self.steps, self.reading
        self.readings, inside = 0, self.inside()
        start = clock()
        loss = steps.build()
        built = clock()
        times["build"] += built - start - reading * (1 + self.readings) - (self.inside() - inside)
        self.readings, inside = 0, self.inside()
        start = clock()
        value = loss.scalar_value()
        if steps.trainer:
            loss.backward()
            steps.trainer.update()
        end = clock()
        times["rest"] += end - start - reading * (1 + self.readings) - (self.inside() - inside)
        return value

    def inside(self) -> int:
        """Return the time that compiled calls have taken so far."""
        times = self.times
        return times["plan"] + times["forward"] + times["backward"] + times["update"]

    def take(self) -> dict[str, float]:
        """Return the seconds of each phase since the last call."""
        taken = {part: nanoseconds / 1e9 for part, nanoseconds in self.times.items()}
        self.times.update(dict.fromkeys(PARTS, 0))
        return taken
