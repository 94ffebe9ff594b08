"""Averages of parameters, the best parameters, and runs that are interrupted."""

import copy
import pickle

import numpy as np
import pytest
from trainer_models import Model

from dynet_core import ArgumentError, ArgumentTypeError, FileFormatError, ParameterCollection
from dynet_optim import (
    AdamWTrainer,
    AveragedParameters,
    CosineSchedule,
    EarlyStopping,
    PlateauSchedule,
    SimpleSGDTrainer,
    WarmUpSchedule,
    kept,
)
from dynet_optim.base import model_files, tensors_and_blocks


def equal(values, others):
    return all(np.array_equal(*pair) for pair in zip(values, others, strict=True))


def applied_values(averages, model):
    with averages.applied():
        return model.values()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_averages_follow_their_formula(decay, dense):
    model = Model()
    model.parameters[2].set_updated(False)
    model.tables[1].set_updated(False)
    trainer, averages = AdamWTrainer(model.collection, 0.1), AveragedParameters(model.collection, decay)
    trainer.set_sparse_updates(not dense)
    expected = None
    for _ in range(5):
        model.draw_gradients()
        trainer.update()
        averages.update()
        new = [value.astype(np.float64) for value in model.values()]
        beta = float(np.float32(decay))
        expected = [beta * a + (1 - beta) * p for a, p in zip(expected, new)] if expected else new
        before = model.values()
        for value, wanted in zip(applied_values(averages, model), expected):
            np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6)
        assert equal(model.values(), before)


def test_averages_of_parameters_that_do_not_change_are_the_parameters():
    model = Model()
    averages = AveragedParameters(model.collection)
    before = model.values()
    for _ in range(100):
        averages.update()
    assert equal(applied_values(averages, model), before)


def test_averages_between_backward_and_update_leave_the_gradients():
    models = Model(), Model()
    for model, uses_averages in zip(models, (False, True)):
        trainer = SimpleSGDTrainer(model.collection)
        averages, stopping = AveragedParameters(model.collection), EarlyStopping(model.collection, 2)
        for _ in range(3):
            model.draw_gradients()
            if uses_averages:
                averages.update()
                stopping.report(1.0)
            trainer.update()
    assert equal(*(model.values() for model in models))


def test_graphs_read_the_averages_and_then_the_parameters():
    m = ParameterCollection()
    w = m.parameters_from_numpy(np.array([1.0, 2.0]))
    averages = AveragedParameters(m, 0.5)
    averages.update()
    w.set_value([3.0, 6.0])
    averages.update()
    assert w.value() == [3, 6]
    with averages.applied():
        assert w.value() == [2, 4]
    assert w.value() == [3, 6]


def test_parameters_added_later_start_with_their_values():
    m = ParameterCollection()
    m.add_parameters(2, init=1.0)
    averages = AveragedParameters(m, 0.5)
    averages.update()
    later = m.add_parameters(2, init=8.0)
    averages.update()
    with averages.applied():
        assert later.value() == [8, 8]
    later.set_value([4, 4])
    averages.update()
    with averages.applied():
        assert later.value() == [6, 6]


def test_an_error_brings_the_parameters_back():
    model = Model()
    trainer, averages = SimpleSGDTrainer(model.collection), AveragedParameters(model.collection, 0.5)
    for _ in range(2):
        model.draw_gradients()
        trainer.update()
        averages.update()
    before = model.values()
    with pytest.raises(KeyError), averages.applied():
        assert not equal(model.values(), before)
        raise KeyError
    assert equal(model.values(), before)
    averages.update()


def test_what_is_refused_while_the_averages_are_applied(tmp_path):
    model = Model()
    averages = AveragedParameters(model.collection)
    with pytest.raises(ArgumentError, match="there are no averages before the first update"), averages.applied():
        pass
    averages.update()
    averages.save(tmp_path / "file")
    with averages.applied():
        for use in (averages.update, lambda: averages.save(tmp_path / "file"), averages.applied().__enter__,
                    lambda: averages.populate(tmp_path / "file")):  # fmt: skip
            with pytest.raises(ArgumentError, match=r"first leave the block of `with ...applied\(\)`"):
                use()


@pytest.mark.parametrize("lower_is_better", [True, False])
def test_the_best_parameters_are_kept_and_restored(lower_is_better):
    model = Model()
    model.parameters[1].set_updated(False)
    trainer = SimpleSGDTrainer(model.collection)
    stopping = EarlyStopping(model.collection, 2, lower_is_better=lower_is_better, min_change=0.25)
    seen = []
    reports = [(3, True), (2, True), (1.9, False), (1.5, True), (2, False), (1.3, False)]
    for index, (score, is_best) in enumerate(reports):
        model.draw_gradients()
        trainer.update()
        seen.append(model.values())
        assert stopping.report(score if lower_is_better else -score) == is_best
        assert stopping.should_stop == (index == 5)
    for _ in range(2):
        stopping.restore()
        assert equal(model.values(), seen[3])
        model.parameters[0].set_value([np.nan])
    assert stopping.report(-100 if lower_is_better else 100)
    assert not stopping.should_stop


def test_there_is_nothing_to_restore_before_a_report():
    model = Model()
    stopping, before = EarlyStopping(model.collection, 2), model.values()
    for score in (np.nan, np.inf):
        with pytest.raises(ArgumentError, match="EarlyStopping.report: score must be a finite number"):
            stopping.report(score)
    with pytest.raises(ArgumentError, match="there are no best parameters before the first report"):
        stopping.restore()
    assert equal(model.values(), before)


class Run:
    """All that a program trains with."""

    def __init__(self):
        self.model = Model()
        self.trainer = AdamWTrainer(self.model.collection, 0.1, no_decay=self.model.parameters[:2])
        self.plateau = PlateauSchedule(0.5, patience=2)
        self.averages = AveragedParameters(self.model.collection, 0.9)
        self.stopping = EarlyStopping(self.model.collection, 3)
        self.trainer.set_schedule(WarmUpSchedule(4, then=self.plateau))
        parts = self.model.collection, self.trainer, self.averages, self.stopping
        self.parts = dict(zip(("model", "trainer", "averages", "best"), parts))

    def train(self, begin, end):
        for step in range(begin, end):
            self.model.random = np.random.default_rng(step)
            self.model.draw_gradients()
            self.trainer.update()
            self.averages.update()
            score = float(np.random.default_rng(step).random())
            self.plateau.report(score)
            self.stopping.report(score)

    def results(self):
        found = [*self.model.values(), *applied_values(self.averages, self.model), np.array(self.trainer.learning_rate)]
        self.stopping.restore()
        return [*found, *self.model.values(), np.array(self.stopping.should_stop)]


@pytest.mark.parametrize("suffix", ["", ".safetensors"])
def test_an_interrupted_run_gives_the_same_bits(suffix, tmp_path):
    through = Run()
    through.train(0, 20)
    begin = 0
    for end in (7, 13, 20):
        run = Run()
        if begin:
            for name, part in run.parts.items():
                part.populate(str(tmp_path / name) + suffix)
        run.train(begin, end)
        for name, part in run.parts.items():
            part.save(str(tmp_path / name) + suffix)
        begin = end
    assert equal(run.results(), through.results())


KINDS = {"AveragedParameters": lambda m: AveragedParameters(m), "EarlyStopping": lambda m: EarlyStopping(m, 2)}


def begun(kind, model):
    kept = KINDS[kind](model.collection)
    kept.update() if kind == "AveragedParameters" else kept.report(1.0)
    return kept


def content(kept):
    return [*kept._state, *(tensor.values.tolist() for tensor, _ in tensors_and_blocks(kept._table.prepared()))]


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_refused_change_nothing(kind, tmp_path):
    model, file = Model(), tmp_path / "file"
    kept = begun(kind, model)
    kept.save(file)
    model.parameters[0].set_value([100.0])
    begun_again = begun(kind, model)
    before = content(begun_again)
    stored = model_files.load_all(file)
    for place, number in ((0, np.nan), (3, -1.0), (3, 0.5), (-1, np.inf)):
        own = stored[0].values.copy()
        own[place] = number
        stored[0].values[:], own = own, stored[0].values.copy()
        model_files.save(stored, tmp_path / "damaged")
        stored[0].values[:] = own
        with pytest.raises(FileFormatError):
            begun_again.populate(tmp_path / "damaged")
    text = file.read_bytes()
    (tmp_path / "short").write_bytes(text[: len(text) // 2])
    other_kind = next(name for name in KINDS if name != kind)
    begun(other_kind, model).save(tmp_path / "other")
    SimpleSGDTrainer(model.collection).save(tmp_path / "trainer")
    begun(kind, Model(shapes=[(2,)])).save(tmp_path / "small")
    for name in ("short", "other", "trainer", "small"):
        with pytest.raises(FileFormatError):
            begun_again.populate(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        begun_again.populate(tmp_path / "nowhere")
    assert content(begun_again) == before
    begun_again.populate(file)
    assert content(begun_again) == content(kept)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda m: AveragedParameters(m, 1.0), ArgumentError, "AveragedParameters: decay must be at least 0 and less"),
        (lambda m: AveragedParameters(m, "0.9"), ArgumentTypeError, "AveragedParameters: decay must be a number"),
        (lambda m: AveragedParameters([m]), ArgumentTypeError, "AveragedParameters: expected a ParameterCollection"),
        (lambda m: EarlyStopping(m, 0), ArgumentError, "EarlyStopping: patience must be at least 1, got 0"),
        (lambda m: EarlyStopping(m, 1, lower_is_better=None), ArgumentTypeError, "EarlyStopping: lower_is_better must"),
        (lambda m: EarlyStopping(m, 1, min_change=-1), ArgumentError, "EarlyStopping: min_change must be"),
        (lambda m: EarlyStopping(None, 1), ArgumentTypeError, "EarlyStopping: expected a ParameterCollection, got"),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(ParameterCollection())


def test_a_schedule_of_two_is_the_same_after_a_stop(tmp_path):
    trainers = []
    for stops in (False, True):
        model = Model()
        trainer = SimpleSGDTrainer(model.collection)
        trainer.set_schedule(WarmUpSchedule(3, then=CosineSchedule(6)))
        for step in range(8):
            if stops and step == 5:
                trainer.save(tmp_path / "trainer")
                trainer = SimpleSGDTrainer(model.collection)
                trainer.set_schedule(WarmUpSchedule(3, then=CosineSchedule(6)))
                trainer.populate(tmp_path / "trainer")
            model.draw_gradients()
            trainer.update()
        trainers.append(model.values())
    assert equal(*trainers)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [0, 1])
def test_an_interrupt_in_applied_leaves_the_parameters(monkeypatch, call, when):
    """At the start of the block or at its end, before or after the compiled call that changes the parameters."""
    model, calls, put = Model(), [], kept._put
    averages = AveragedParameters(model.collection, 0.5)
    averages.update()
    for values in model.parameters:
        values.set_value(np.full(values.shape(), 3.0))
    before = model.values()

    def interrupted(table):
        calls.append(table)
        if len(calls) - 1 != call:
            return put(table)
        if when == "after":
            put(table)
        raise KeyboardInterrupt

    monkeypatch.setattr(kept, "_put", interrupted)
    with pytest.raises(KeyboardInterrupt), averages.applied():
        assert not equal(model.values(), before)
    averages.update()  # brings back what the interrupt has left
    assert equal(model.values(), before)
    with averages.applied():
        assert not equal(model.values(), before)
    assert equal(model.values(), before)


def test_training_after_an_interrupted_end_of_applied_is_kept(monkeypatch):
    model, put = Model(), kept._put
    averages = AveragedParameters(model.collection, 0.5)
    averages.update()
    monkeypatch.setattr(kept, "_put", lambda table: put(table) if table is averages._table else interrupt())
    with pytest.raises(KeyboardInterrupt), averages.applied():
        pass
    monkeypatch.undo()
    model.parameters[0].set_value(np.full(model.parameters[0].shape(), 7.0))
    averages.update()
    assert (model.values()[0] == 7).all()


def interrupt():
    raise KeyboardInterrupt


def test_parameters_quantized_in_applied():
    model = Model()
    averages = AveragedParameters(model.collection)
    averages.update()
    with pytest.raises(ArgumentError, match="quantized"), averages.applied():
        model.collection.quantize()
    with pytest.raises(ArgumentError, match="quantized"):
        averages.update()


def test_a_report_that_fails_or_is_interrupted_changes_nothing(monkeypatch):
    model = Model()
    stopping = EarlyStopping(model.collection, 2)
    stopping.report(2.0)
    best = model.values()
    model.parameters[0].set_value(np.full(model.parameters[0].shape(), 7.0))
    with monkeypatch.context() as patch:
        patch.setattr(type(stopping._table), "run_other", lambda *arguments: interrupt())
        with pytest.raises(KeyboardInterrupt):
            stopping.report(1.0)
        with pytest.raises(KeyboardInterrupt):
            stopping.restore()
    stopping.restore()
    assert equal(model.values(), best)
    assert stopping.report(1.5)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("make", [AveragedParameters, lambda m: EarlyStopping(m, 2)])
def test_copies_are_refused(make, copied):
    with pytest.raises(ArgumentTypeError, match="use save"):
        copied(make(Model().collection))


@pytest.mark.parametrize("make", [AveragedParameters, lambda m: EarlyStopping(m, 2), lambda m: PlateauSchedule()])
def test_attributes_that_do_not_exist(make):
    with pytest.raises(AttributeError, match="patience"):
        make(Model().collection).patience = 3
