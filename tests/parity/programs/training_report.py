"""Reports a program's training results as one line of JSON on stdout."""

import json
import os
import time

FIRST = 10


def cpu_seconds():
    """CPU time of this process and of its finished children."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


class Report:
    """Collects losses, and measures the computing time since it was created."""

    def __init__(self):
        self.began = cpu_seconds()
        self.losses = []

    def loss(self, value):
        """Note the loss of the next training step."""
        self.losses.append(float(value))

    def end(self, quality):
        """Print the first losses, the mean of the last tenth, and the quality on held-out data."""
        last = self.losses[-max(1, len(self.losses) // 10) :]
        print(
            json.dumps(
                {
                    "first losses": self.losses[:FIRST],
                    "final loss": sum(last) / len(last),
                    "quality": float(quality),
                    "CPU seconds": cpu_seconds() - self.began,
                }
            ),
            flush=True,
        )
