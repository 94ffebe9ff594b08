"""A program of two ranks, one of which fails:

    mpiexec -n 2 python faults.py exception "in backward" 1 checkpoint

The arguments are the fault, the moment, the failing rank, and the checkpoint file. When the rank fails, it writes the
time to a second file with the added suffix ".moment".
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import dynet as dy
from dynet_core.files import model_files
from dynet_optim import parallel, ranks

FAULT, MOMENT, RANK, FILE = sys.argv[1:]
UPDATES = 6
MOMENTS = (
    "before the start", "at the start", "before the first update", "in backward", "before an update",
    "in an update, before the exchange", "in an exchange", "in an update, after the exchange", "in total", "in save",
    "after a save", "in populate", "at the end",
)  # fmt: skip
done = 0  # number of updates


def own_rank() -> str:
    """This rank's number, also before it is connected."""
    return os.environ.get("PMI_RANK") or os.environ.get("OMPI_COMM_WORLD_RANK") or "0"


def reach(moment: str) -> None:
    """Fail if this is the chosen rank, moment and fault."""
    late_enough = done >= 3 or MOMENTS.index(moment) < 3
    if moment != MOMENT or own_rank() != RANK or not late_enough:
        return
    reached = Path(f"{FILE}.moment")
    if not reached.exists():
        reached.write_text(str(time.time()))
    if FAULT == "exception":
        raise ValueError(f"failed {moment}")
    if FAULT == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if FAULT == "wait":
        time.sleep(1000)
    if FAULT == "exit":
        sys.exit(0)


def reaching(moment: str, function, after: bool = False):
    """Wrap the function, with a moment before or after it."""

    def reached(*arguments, **keywords):
        if not after:
            reach(moment)
        result = function(*arguments, **keywords)
        if after:
            reach(moment)
        return result

    return reached


def main() -> None:
    global done
    reach("before the start")
    model = dy.ParameterCollection()
    E, W = model.add_lookup_parameters((9, 4)), model.add_parameters((3, 4))
    parallel.DataParallel._broadcast = reaching("at the start", parallel.DataParallel._broadcast)
    trainer = dy.DataParallel(dy.AdamTrainer(model))
    reach("before the first update")
    ranks.Meeting.meet = reaching("in an update, before the exchange", ranks.Meeting.meet)
    parallel.Gradients.add_up = reaching("in an exchange", parallel.Gradients.add_up)
    trainer.trainer.update = reaching("in an update, after the exchange", trainer.trainer.update)
    model_files.write = reaching("in save", model_files.write, after=True)
    parallel.DataParallel._broadcast = reaching("in populate", parallel.DataParallel._broadcast)
    for number in range(UPDATES):
        dy.renew_cg()
        loss = dy.pickneglogsoftmax(W * E[number + trainer.rank], 1)
        value = loss.value()
        reach("in backward")
        loss.backward()
        reach("before an update")
        trainer.update()
        done += 1
        reach("in total")
        trainer.total(value)
        if done in (2, 4):
            trainer.save(FILE, {"done": done})
        reach("after a save")
    trainer.populate(FILE)
    reach("at the end")


if __name__ == "__main__":
    main()
