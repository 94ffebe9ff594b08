"""Every op, builder, trainer and task gives on the emulated GPU what it gives on the CPU, in two orders of threads."""

import emulation
import gpu_checks
import pytest

pytestmark = pytest.mark.usefixtures("emulated")
ORDERS = ["forward", "backward"]


@pytest.mark.parametrize("name", gpu_checks.OPS)
def test_op(name, counts):
    numbers = [number for op, number in gpu_checks.samples() if op == name]
    for number in numbers:
        for order in ORDERS:
            with emulation.order(order):
                gpu_checks.check_op(name, number)
        counts["compared"] += 1


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", gpu_checks.BUILDERS)
def test_builder(name, order):
    with emulation.order(order):
        gpu_checks.check_losses(lambda: gpu_checks.train_builder(name))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", gpu_checks.TRAINERS)
def test_trainer(name, order):
    with emulation.order(order):
        gpu_checks.check_trainer(name)


@pytest.mark.parametrize("name", gpu_checks.TASKS)
def test_task(name):
    gpu_checks.check_losses(lambda: gpu_checks.train_task(name))
