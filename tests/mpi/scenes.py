"""Scenes of two or more ranks that disagree, or fail together, and continue: every rank raises the same kind of error.

Each scene is a function of this rank's number; all run one after another in one program.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import numpy as np
from scene_tools import RANK, SCENES, gradient, model, other, raises, scene

import dynet as dy


@scene
def different_dimensions(rank, folder):
    with raises(
        dy.ParallelError, r"rank \d has a different model than rank \d: /_0 is \(\d,\) here, and \(\d,\) there"
    ):
        dy.DataParallel(dy.AdamTrainer(model(other((3,), (4,)))[0]))


@scene
def more_parameters(rank, folder):
    collection, _ = model()
    if rank == 1:
        collection.add_lookup_parameters((2, 2))
    with raises(dy.ParallelError, "a different model than rank .: .*lookup /_1"):
        dy.DataParallel(dy.AdamTrainer(collection))


@scene
def frozen_on_one(rank, folder):
    with raises(dy.ParallelError, "a different model than rank .: whether /_0 is updated is (True|False) here"):
        dy.DataParallel(dy.AdamTrainer(model(frozen=rank == 1)[0]))


@scene
def different_trainers(rank, folder):
    with raises(dy.ParallelError, "a different model than rank .: the trainer is (Adam|Amsgrad)Trainer here, and"):
        dy.DataParallel(other(dy.AdamTrainer, dy.AmsgradTrainer)(model()[0]))


@scene
def different_averages(rank, folder):
    with raises(dy.ParallelError, "a different model than rank .: average is (True|False) here"):
        dy.DataParallel(dy.AdamTrainer(model()[0]), average=rank == 1)


@scene
def different_rates(rank, folder):
    with raises(
        dy.ParallelError, "different options than rank .: the learning rate is 0.0[12] here, and 0.0[12] there"
    ):
        dy.DataParallel(dy.AdamTrainer(model()[0], other(0.01, 0.02)))


@scene
def different_hyperparameters(rank, folder):
    with raises(dy.ParallelError, "different options than rank .: eps is"):
        dy.DataParallel(dy.AdamTrainer(model()[0], eps=other(1e-8, 1e-6)))


@scene
def options_that_come_to_differ(rank, folder):
    """No value has changed, so the update can be done once the ranks agree again."""
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection, 0.25))
    gradient(w)
    for change, change_back, message in (
        (
            lambda: trainer.set_clip_threshold(2),
            lambda: trainer.set_clip_threshold(5),
            "the clipping threshold is (2|5).0 here",
        ),
        (lambda: trainer.set_sparse_updates(False), lambda: trainer.set_sparse_updates(True), "sparse updates is"),
        (lambda: collection.set_weight_decay(0.5), lambda: collection.set_weight_decay(0), "the weight decay is"),
        (
            lambda: setattr(trainer, "learning_rate", 1),
            lambda: setattr(trainer, "learning_rate", 0.25),
            r"DataParallel.update: rank . has different options than rank .: the learning rate is",
        ),
    ):
        if rank == 1:
            change()
        with raises(dy.ParallelError, message):
            trainer.update()
        if rank == 1:
            change_back()
    with raises(dy.ParallelError, "different options than rank .: s is (1|2).0 here, and (1|2).0 there"):
        trainer.update(other(1, 2))
    trainer.update()
    np.testing.assert_array_equal(w.as_array(), 1 - 0.25 * trainer.size)


@scene
def different_actions(rank, folder):
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection))
    gradient(w)
    pairs = [
        (trainer.update, lambda: trainer.total(1), "update", "total"),
        (lambda: trainer.save(folder / "no"), trainer.update, "save", "update"),
        (lambda: trainer.populate(folder / "no"), trainer.compare, "populate", "compare"),
    ]
    for mine, others, name, others_name in pairs:
        mine, others = (mine, name), (others, others_name)
        (act, own), (_, theirs) = other((mine, others), (others, mine))
        with raises(dy.ParallelError, f"^DataParallel.{own}: rank {rank} is in {own}, but rank . is in {theirs}$"):
            act()


@scene
def trainers_in_another_order(rank, folder):
    """Two models with the same shapes are told apart."""
    pairs = [model() for _ in "ab"]
    trainers = [dy.DataParallel(dy.SimpleSGDTrainer(collection)) for collection, _ in pairs]
    for _, w in pairs:
        gradient(w)
    with raises(dy.ParallelError, "the number of DataParallels before this is"):
        trainers[other(0, 1)].update()


@scene
def different_numbers_of_updates(rank, folder):
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection))
    trainer._update_count += rank == 1
    with raises(dy.ParallelError, "has done . updates?, but rank . has done .: all must call update equally"):
        trainer.update()


@scene
def values_that_differ(rank, folder):
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection), compare_every=2)
    gradient(w)
    trainer.update()
    if rank == 1:
        w.set_value(np.full(2, 2.0))
    with raises(dy.ParallelError, "after 1 updates, rank 1 has different values of /_0 than rank 0"):
        trainer.compare()
    gradient(w)
    with raises(dy.ParallelError, "after 2 updates, rank 1 has different values"):
        trainer.update()


@scene
def gradients_that_are_not_finite(rank, folder):
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection, 0.25))
    gradient(w, other(1.0, math.inf))
    with raises(dy.GradientError, "the gradient of /_0 is not finite"):
        trainer.update()
    gradient(w)
    trainer.update()
    trainer.compare()
    np.testing.assert_array_equal(w.as_array(), 1 - 0.25 * trainer.size)


@scene
def means(rank, folder):
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection, 0.25), average=True)
    with raises(dy.ParallelError, "with average=True, some rank must have examples"):
        trainer.update(examples=0)
    with raises(dy.ArgumentError, "needs the number of this rank's examples"):
        trainer.update()
    with raises(dy.ArgumentError, "examples is -1"):
        trainer.update(examples=-1)
    gradient(w, other(1.0, 2.0))
    trainer.update(examples=other(0, 4))  # the gradients of a rank without examples do not count
    np.testing.assert_array_equal(w.as_array(), 1 - 0.25 * 2)


@scene
def parameters_of_rank_0(rank, folder):
    """All ranks get rank 0's parameters at the start, however they were initialized."""
    collection, w = model()
    w.set_value(np.full(2, float(rank)))
    if rank == 1:
        dy.reset_random_seed(99)
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection))
    np.testing.assert_array_equal(w.as_array(), 0)
    collection.add_parameters((3, 3))  # its random values are also those of rank 0
    trainer.compare()


@scene
def parameters_added_later_are_initialised_alike(rank, folder):
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection, 0.25))
    collection.add_parameters((3, 3))
    trainer.compare()
    gradient(w)
    trainer.update()
    np.testing.assert_array_equal(w.as_array(), 1 - 0.25 * trainer.size)


@scene
def parameters_added_later_with_other_values(rank, folder):
    """Their gradients would be wrong. No value has changed, so the update can be done once the values are the same."""
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection, 0.25))
    collection.add_parameters((3, 3), init=1.0)
    if rank == 1:
        dy.ParameterCollection().add_parameters(50)  # draws random values
    added = collection.add_parameters(3)
    trainer.total(1)  # an exchange of another kind comes first
    gradient(w)
    for _ in "ab":
        with raises(
            dy.ParallelError, "update: /_2, which was added later, has different initial values on rank 1 than on"
        ):
            trainer.update()
    added.set_value(np.ones(3))
    trainer.update()
    np.testing.assert_array_equal(w.as_array(), 1 - 0.25 * trainer.size)
    dy.reset_random_seed(3)  # the way to fix it
    collection.add_parameters(3)
    gradient(w)
    trainer.update()
    trainer.compare()


@scene
def dropout(rank, folder):
    """Each rank draws its own masks, and loading a checkpoint restores every rank's position."""

    def drawn():
        dy.renew_cg()
        return dy.dropout(dy.ones(64), 0.5).npvalue(dtype=np.float32)

    collection, _ = model()
    dy.reset_random_seed(5)
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection))
    masks = np.empty((trainer.size, 64), np.float32)
    trainer._comm.Allgather(drawn(), masks)
    assert len(np.unique(masks, axis=0)) == trainer.size
    again = np.empty_like(masks)
    dy.reset_random_seed(5)
    trainer._comm.Allgather(drawn(), again)
    np.testing.assert_array_equal(again, masks)  # also if the seed is set after `DataParallel` is made
    for _ in range(rank):
        drawn()
    trainer.save(folder / "dropout")
    expected = drawn()
    trainer.populate(folder / "dropout")
    np.testing.assert_array_equal(drawn(), expected)


@scene
def totals(rank, folder):
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(model()[0]))
    assert trainer.total(rank + 1) == trainer.size * (trainer.size + 1) / 2
    assert trainer.total(other(1.0, math.inf)) == math.inf
    assert math.isnan(trainer.total(other(-math.inf, math.inf)))
    with raises(dy.ArgumentTypeError, "DataParallel.total: number must be a number, not str 'x'"):
        trainer.total("x")


@scene
def shares(rank, folder):
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(model()[0]))
    for count in range(9):
        parts = trainer._comm.allgather(trainer.share(list(range(count))))
        assert sum(parts, []) == list(range(count))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


@scene
def wrong_arguments_of_one_rank(rank, folder):
    """They are found before any data is exchanged."""
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection))
    if rank == 1:
        for wrong, kind in (("x", dy.ArgumentTypeError), (math.nan, dy.ArgumentError)):
            with raises(kind, "DataParallel.update: s must be"):
                trainer.update(wrong)
    gradient(w)
    trainer.update()


@scene
def a_factor_that_is_too_large(rank, folder):
    """It is also found before any data is exchanged."""
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection, 100.0))
    trainer.set_clip_threshold(0)
    gradient(w)
    with raises(dy.ArgumentError, "DataParallel.update: learning rate 100.0 times s, 3e.37, is too large"):
        trainer.update(3e37)
    trainer.update(0.25)
    np.testing.assert_array_equal(w.as_array(), 1 - 25 * trainer.size)


@scene
def gradients_that_are_zero(rank, folder):
    """No rank warns if any of them had a backward pass; warnings are errors here."""
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection, 0.25))
    for _ in range(2):
        if rank == 1:
            dy.renew_cg()
            dy.rectify(dy.sum_elems(w) - 9).backward()
        trainer.update()
    with raises(dy.DynetWarning, "no trained parameter"):
        trainer.update()
    gradient(w)
    trainer.update()
    np.testing.assert_array_equal(w.as_array(), 1 - 0.25 * trainer.size)


@scene
def files(rank, folder):
    collection, w = model()
    trainer = dy.DataParallel(dy.MomentumSGDTrainer(collection, 0.25))
    file = folder / "checkpoint"
    gradient(w)
    trainer.update()
    trainer.save(file, {"minibatch": 7})
    values = w.as_array()
    gradient(w)
    trainer.update()
    later = w.as_array()
    text = trainer._comm.bcast(file.read_bytes())
    for damage in (b"", text[: len(text) // 2], text.replace(b"/ranks", b"/tanks"), b"x" + text[1:]):
        if rank == 0:
            (folder / "damaged").write_bytes(damage)
        with raises(dy.FileFormatError, "damaged"):
            trainer.populate(folder / "damaged")
        np.testing.assert_array_equal(w.as_array(), later)
    with raises(dy.MissingFileError, "no such"):
        trainer.populate(folder / "no such")
    with raises(FileNotFoundError, "no folder"):
        trainer.save(folder / "no folder" / "checkpoint")
    with raises(dy.ArgumentError, "position 'a b'"):
        trainer.save(file, {"a b": 1})
    assert trainer.populate(file) == {"minibatch": 7}
    np.testing.assert_array_equal(w.as_array(), values)
    gradient(w)
    trainer.update()
    np.testing.assert_array_equal(w.as_array(), later)
    trainer.compare()
    assert os.listdir(folder).count("checkpoint") == 1


@scene
def errors_that_cannot_be_sent(rank, folder):
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def fail(noises):
        raise Odd(1, 2)

    trainer = dy.DataParallel(dy.SimpleSGDTrainer(model()[0]))
    with raises(Odd if rank == 0 else dy.ParallelError, "^1 and 2" if rank == 0 else "rank 0 has raised Odd: 1 and 2"):
        trainer._on_rank_0("save", fail)


@scene
def one_that_ends(rank, folder):
    """The last scene: the other ranks get an error at each operation, and do not wait for it."""
    collection, w = model()
    trainer = dy.DataParallel(dy.SimpleSGDTrainer(collection))
    for _ in "ab":
        gradient(w)
        trainer.update()
    if rank == 1:
        return
    for _ in "ab":
        with raises(dy.ParallelError, "has done 2 updates and goes on, but rank 1 has ended after 2"):
            trainer.update()


if __name__ == "__main__":
    for each in SCENES:
        try:
            each(RANK, Path(sys.argv[1]))
        except BaseException:
            print(f"rank {RANK}, scene {each.__name__}:", file=sys.stderr)
            raise
    print(f"{len(SCENES)} scenes", flush=True)
