"""Searches for the fastest tuning parameters of a family: changes one axis at a time, and keeps what is faster."""

from __future__ import annotations

import time
from collections.abc import Callable

from .. import tuning
from ..cuda.driver import CudaError
from . import timing
from .axes import AXES
from .shapes import STUDIES, Study
from .timing import Candidate, Timer

# A candidate replaces the best one if it takes less than GAIN times its time on average, and at most LOSS times for
# each workload. Smaller gains may be errors of measurement.
GAIN = 0.985
LOSS = 1.05


class WrongResult(RuntimeError):
    """Raised if kernels do not compute what numpy does, even with the parameters from which the search starts."""


class Search:
    """A search for the fastest tuning parameters of one family of kernels.

    Args:
        family: the name of the family.
        timer: the device.
        start: the parameters of the family from which to start.
        study: what to time; None for what `shapes.STUDIES` has for the family.
    """

    def __init__(self, family: str, timer: Timer, start: tuning.Parameters, study: Study | None = None):
        self.family, self.timer, self.start = family, timer, start
        self.study = study or STUDIES[family]
        self.tried, self.refused = 0, 0

    def _compiled(self, values: tuning.Parameters) -> Candidate:
        return self.timer.compiled(self.study.kernels, self.family, values)

    def steps(self) -> int:
        """Return about how many candidates `run` will try if it has enough time."""
        return sum(len(list(axis.variants(self.start, self.timer.registers))) for axis in AXES[self.family])

    def run(self, seconds: float, report: Callable[[str], None] = lambda text: None) -> tuple[tuning.Parameters, bool]:
        """Search for at most `seconds`. Return the best parameters, and whether all candidates were tried.

        `report` is called with a text after each candidate. If kernels with the first parameters do not compute what
        numpy does, raise WrongResult.
        """
        end = time.monotonic() + seconds
        workloads = self.study.workloads()
        values, best = self.start, self._compiled(self.start)
        wrong = [workload.label for workload in workloads if not best.is_right(workload)]
        if wrong:
            raise WrongResult(f"{self.family}: kernels compute something wrong for {', '.join(wrong)}")
        for axis in AXES[self.family]:
            touched = [workload for workload in workloads if axis.touches(workload)]
            for variant in axis.variants(values, self.timer.registers):
                if time.monotonic() > end:
                    return values, False
                faster = self._if_better(best, variant, workloads, touched)
                if faster:
                    values, best = variant, faster
                report(f"{self.family}: {axis.name}")
        return values, True

    def _if_better(
        self, best: Candidate, variant: tuning.Parameters, workloads: list, touched: list
    ) -> Candidate | None:
        """Compile and time a variant. Return the candidate if it is right, and faster than the best one, else None."""
        self.tried += 1
        try:
            candidate = self._compiled(variant)
            right = all(candidate.is_right(workload) for workload in workloads)
        except CudaError:  # the compiler or the driver refuses it, for example because a block has too many threads
            right = False
        if not right:
            self.refused += 1
            return None
        mean, _ = timing.ratio(candidate, best, touched)
        if mean >= GAIN:
            return None
        mean, _ = timing.ratio(candidate, best, touched, 21)  # confirm the gain by a longer measurement
        _, largest = timing.ratio(candidate, best, workloads, 15)
        return candidate if mean < GAIN and largest <= LOSS else None

    def figures(self, values: tuning.Parameters) -> dict[str, float]:
        """Return for each workload, by label, its speed (work per second) relative to that with default parameters."""
        pair = [self._compiled(values), self._compiled(self.timer.default(self.family))]
        *_, least = timing.least_times(pair, self.study.workloads(), 15)
        return {label: round(default / tuned, 2) for label, (tuned, default) in least.items()}
