"""The error raised when a file is read into something that it does not fit."""

import pytest

import dynet as dy


def model(rows=3):
    made = dy.Model()
    encoder, decoder = made.add_subcollection("enc"), made.add_subcollection("dec")
    encoder.add_parameters((2, rows), name="W")
    decoder.add_parameters(2, name="W")
    decoder.add_lookup_parameters((5, 2), name="E")
    return made, decoder


@pytest.mark.parametrize("end", ["", ".safetensors"])
def test_keys_that_the_file_lacks(tmp_path, end):
    made, decoder = model()
    file = str(tmp_path / "model") + end
    made.save(file)
    with pytest.raises(dy.FileFormatError, match="holds nothing under /wrong/: it holds .*/enc/"):
        decoder.populate(file, "/wrong/")
    with pytest.raises(dy.FileFormatError, match="holds nothing under /decoder: it holds /dec/, /enc/$"):
        decoder.populate(file, "/decoder")
    with pytest.raises(dy.FileFormatError, match="no parameter named '/dec/V': it holds /dec/W, /enc/W$"):
        decoder.parameters_list()[0].populate(file, "/dec/V")
    with pytest.raises(dy.FileFormatError, match="no lookup parameter named '/dec/F': it holds /dec/E$"):
        decoder.lookup_parameters_list()[0].populate(file, "/dec/F")


def test_a_trainer_whose_model_has_changed(tmp_path):
    trainer = dy.AdamTrainer(model()[0])
    trainer.save(tmp_path / "trainer")
    wider = dy.AdamTrainer(model(4)[0])
    with pytest.raises(
        dy.FileFormatError,
        match=r"its parameters differ: parameter /enc/W is \(2, 3\) in the file, \(2, 4\) in the model$",
    ):
        wider.populate(tmp_path / "trainer")
    larger, decoder = model()
    decoder.add_parameters(7, name="b")
    with pytest.raises(dy.FileFormatError, match=r"parameter /dec/b \(7,\) is in the model only$"):
        dy.AdamTrainer(larger).populate(tmp_path / "trainer")
    turned = dy.Model()
    turned.add_lookup_parameters((5, 2), name="E")
    turned.add_parameters(2, name="W")
    turned = dy.AdamTrainer(turned)
    turned.save(tmp_path / "turned")
    with pytest.raises(dy.FileFormatError, match="its parameters differ: "):
        trainer.populate(tmp_path / "turned")


class Mine(dy.SimpleSGDTrainer):
    """A user-defined trainer."""


@pytest.mark.parametrize("kind", [dy.AdamTrainer, dy.SimpleSGDTrainer, Mine])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_trainers_file_is_not_a_models(tmp_path, kind, count):
    """A trainer's file without states has as many parameters as a model with one parameter."""
    made = dy.Model()
    for _ in range(count):
        made.add_parameters(3)
    kind(made).save(tmp_path / "trainer")
    if count:
        with pytest.raises(dy.FileFormatError, match=f"has the state of a trainer, {kind.__name__}, "):
            made.populate(tmp_path / "trainer")
        with pytest.raises(dy.FileFormatError, match=f"has the state of a trainer, {kind.__name__}, "):
            made.parameters_list()[0].populate(tmp_path / "trainer")
    made.save(tmp_path / "model")
    made.populate(tmp_path / "model")


def test_counts_of_a_sparse_input():
    with pytest.raises(dy.ShapeError, match="1 value, but 2 of the indices for dimension 0: each dimension needs one"):
        dy.sparse_inputTensor([[0, 1], [0, 1]], [1], (2, 2))
    with pytest.raises(dy.ShapeError, match="2 values, but 1 of the indices for dimension 1"):
        dy.sparse_inputTensor([[0, 1], [0]], [1, 2], (2, 2))
