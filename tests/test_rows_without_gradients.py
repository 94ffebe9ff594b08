"""Rows that are looked up but do not affect the loss are not updated, nor are the trainers' states for them."""

import numpy as np
import pytest

import dynet as dy

KINDS = (
    dy.SimpleSGDTrainer, dy.CyclicalSGDTrainer, dy.MomentumSGDTrainer, dy.AdagradTrainer, dy.AdadeltaTrainer,
    dy.RMSPropTrainer, dy.AdamTrainer, dy.AdamWTrainer, dy.AmsgradTrainer,
)  # fmt: skip


def trained(kind, looks_up):
    model = dy.Model()
    table = model.add_lookup_parameters((3, 2), init=1.0)
    trainer = kind(model)
    seen = []
    for in_loss in (True, True, False, False, True):
        dy.renew_cg()
        if looks_up:
            table[1]
        loss = dy.squared_norm(table[0])
        (loss + dy.squared_norm(table[1]) if in_loss else loss).backward()
        trainer.update()
        seen.append(table.as_array()[1])
    return np.array(seen)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_outside_the_loss_do_not_change(kind):
    seen = trained(kind, True)
    np.testing.assert_array_equal(seen, trained(kind, False))
    assert (seen[1] == seen[3]).all() and (seen[4] != seen[3]).all()
