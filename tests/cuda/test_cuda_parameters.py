"""Parameters, files and trainer states on the emulated GPU: everything that Python reads or writes."""

import copy
import gc
import pickle

import numpy as np
import pytest
import tvm_ffi

import dynet as dy
from dynet_core.compute import device
from dynet_core.compute.tensor import _exported_objects

VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(autouse=True)
def on_the_gpu(emulated):
    with device.using(0):
        yield


def trained():
    """A collection after one step, with the gradients of another."""
    model = dy.ParameterCollection()
    weight, table = model.parameters_from_numpy(VALUES), model.lookup_parameters_from_numpy(VALUES.T)
    trainer = dy.AdamTrainer(model)
    for updated in (True, False):
        dy.renew_cg()
        dy.squared_norm(weight * dy.inputVector([1, 2, 3]) + table[1]).backward()
        if updated:
            trainer.update()
    return model, weight, table, trainer


def averaged():
    """Parameters after two updates that one of them exempts from decay, their averages, and the best parameters."""
    model = dy.ParameterCollection()
    weight, table = model.parameters_from_numpy(VALUES), model.lookup_parameters_from_numpy(VALUES.T)
    trainer = dy.AdamWTrainer(model, 0.1, weight_decay=0.5, no_decay=[table])
    averages, stopping = dy.AveragedParameters(model, 0.5), dy.EarlyStopping(model, 2)
    for score in (1, 2):
        dy.renew_cg()
        dy.squared_norm(weight * dy.inputVector([1, 2, 3]) + table[1]).backward()
        trainer.update()
        averages.update()
        stopping.report(score)
    found = [weight.as_array(), table.as_array()]
    with averages.applied():
        found += [weight.as_array(), table.as_array()]
    assert np.array_equal(weight.as_array(), found[0])
    stopping.restore()
    return [*found, weight.as_array(), table.as_array()]


def test_groups_averages_and_the_best_parameters_are_those_of_the_cpu():
    found = averaged()
    with device.using(None):
        expected = averaged()
    for value, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)


def test_the_device_has_a_name():
    assert device.name() == "GPU:0"


def test_values_are_set_and_read():
    weight = dy.ParameterCollection().parameters_from_numpy(np.zeros((2, 3)))
    weight.set_value(VALUES)
    np.testing.assert_array_equal(weight.as_array(), VALUES)
    np.testing.assert_array_equal(np.asarray(weight), VALUES)
    weight.scale(2.0)
    weight.clip_inplace(1.0, 8.0)
    np.testing.assert_array_equal(weight.npvalue(), np.clip(2 * VALUES, 1, 8))
    weight.zero()
    assert not weight.as_array().any()


def test_numbers_come_back_in_the_types_of_the_cpu():
    _, weight, table, _ = trained()
    for read in (weight.as_array, weight.grad_as_array, weight.npvalue, weight.gradient, table.as_array):
        array, single = read(), read(dtype=np.float32)
        assert (array.dtype, single.dtype) == (np.float64, np.float32)
        np.testing.assert_array_equal(array, single)
        array[...] = single[...] = 0  # copies
        assert read().any()
    for read in (table.row_as_array, table.row_grad_as_array):
        assert (read(1).dtype, read(1, dtype=np.float32).dtype) == (np.float64, np.float32)
    assert (weight * dy.inputVector([1, 2, 3])).npvalue().dtype == np.float64
    assert {type(number) for number in (weight * dy.inputVector([1, 2, 3])).value()} == {float}
    assert np.asarray(weight).dtype == np.float32


def test_no_more_than_a_row_is_copied(monkeypatch):
    table, gpu, sizes = dy.ParameterCollection().lookup_parameters_from_numpy(VALUES), device.gpu_in_use(), []
    for name in ("upload", "download"):
        copy_numbers = getattr(gpu, name)
        monkeypatch.setattr(gpu, name, lambda *given, copy_numbers=copy_numbers: copied(*given, copy_numbers))

    def copied(address, array, copy_numbers):
        sizes.append(array.size)
        copy_numbers(address, array)

    table.init_row(1, [7, 8, 9])
    np.testing.assert_array_equal(table.row_as_array(1), [7, 8, 9])
    assert sizes == [3, 3]


def test_rows_of_tables_are_set_and_read():
    table = dy.ParameterCollection().lookup_parameters_from_numpy(VALUES)
    table.init_row(1, [7, 8, 9])
    np.testing.assert_array_equal(table.as_array(), [[0, 1, 2], [7, 8, 9]])
    np.testing.assert_array_equal(table.row_as_array(1), [7, 8, 9])
    table.init_from_array(VALUES[::-1])
    np.testing.assert_array_equal(table.rows_as_array([0, 1]), VALUES[::-1])
    with pytest.raises(dy.OutOfRangeError, match="init_row"):
        table.init_row(2, [7, 8, 9])


def test_gradients_are_scaled_and_read():
    _, weight, table, _ = trained()
    before = weight.grad_as_array()
    assert before.any() and table.row_grad_as_array(1).any() and not table.row_grad_as_array(0).any()
    weight.scale_gradient(0.5)
    np.testing.assert_array_equal(weight.grad_as_array(), before / 2)


def test_a_copy_cannot_be_mistaken_for_the_memory():
    weight = dy.ParameterCollection().parameters_from_numpy(VALUES)
    with pytest.raises(ValueError, match="read-only"):
        weight._storage.values.array[:] = 1


def test_what_is_saved_on_the_gpu_is_loaded_on_the_cpu(tmp_path):
    model, weight, table, trainer = trained()
    model.save(str(tmp_path / "model"))
    trainer.save(tmp_path / "trainer")
    expected = [weight.as_array(), table.as_array(), weight.grad_as_array(), table.grad_as_array()]
    with device.using(None):
        model, weight, table, trainer = trained()
        model.populate(str(tmp_path / "model"))
        trainer.populate(tmp_path / "trainer")
        actual = [weight.as_array(), table.as_array(), weight.grad_as_array(), table.grad_as_array()]
        np.testing.assert_equal(actual, expected)
        trainer.update()
        expected = [weight.as_array(), table.as_array()]
    model, weight, table, trainer = trained()
    trainer.populate(tmp_path / "trainer")
    trainer.update()
    for one, other in zip([weight.as_array(), table.as_array()], expected):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_parameters_are_pickled():
    _, weight, _, _ = trained()
    again = pickle.loads(pickle.dumps(weight))
    np.testing.assert_array_equal(again.as_array(), weight.as_array())
    np.testing.assert_array_equal(copy.deepcopy(weight).as_array(), weight.as_array())


def test_a_gradient_that_is_not_finite_changes_nothing():
    model = dy.ParameterCollection()
    weight = model.parameters_from_numpy(VALUES)
    trainer = dy.SimpleSGDTrainer(model)
    dy.sum_elems(dy.cmult(weight, dy.inputTensor(np.full((2, 3), np.inf)))).backward()
    with pytest.raises(dy.GradientError, match="is not finite"):
        trainer.update()
    np.testing.assert_array_equal(weight.as_array(), VALUES)
    assert not weight.grad_as_array().any()


def test_weight_decay_shrinks_parameters():
    model = dy.ParameterCollection()
    weight = model.parameters_from_numpy(VALUES)
    model.set_weight_decay(0.5)
    dy.sum_elems(weight).backward()
    dy.SimpleSGDTrainer(model, 0.0).update()
    np.testing.assert_array_equal(weight.as_array(), VALUES / 2)


def test_memory_is_given_back(emulated):
    gc.collect()
    before = emulated.emulated_bytes_in_use()
    weight = dy.ParameterCollection().parameters_from_numpy(np.zeros((100, 100)))
    assert emulated.emulated_bytes_in_use() >= before + 2 * 40_000
    del weight
    gc.collect()
    assert emulated.emulated_bytes_in_use() == before


def test_a_graph_that_repeats_has_new_inputs():
    weight = dy.ParameterCollection().parameters_from_numpy(VALUES)
    for number in (1.0, 2.0, 3.0):
        dy.renew_cg()
        loss = dy.sum_elems(weight * dy.inputVector([number, 0, 0]))
        assert loss.value() == 3 * number
        loss.backward()
    np.testing.assert_array_equal(weight.grad_as_array(), [[6, 0, 0], [6, 0, 0]])


def test_dlpack_is_the_memory_itself():
    weight = dy.ParameterCollection().parameters_from_numpy(VALUES)
    assert weight.__dlpack_device__() == (2, 0)
    tensor = tvm_ffi.from_dlpack(weight)
    assert (tuple(tensor.shape), tuple(tensor.strides), str(tensor.dtype)) == ((2, 3), (1, 2), "float32")
    assert tensor.data_ptr() == 4 * weight._storage.values.address
    assert len(_exported_objects) == 1
    del tensor
    gc.collect()
    assert not _exported_objects
    weight.__dlpack__()  # an unused capsule
    assert not _exported_objects


def test_a_table_is_shared_too():
    table = dy.ParameterCollection().add_lookup_parameters((4, 2, 3))
    tensor = tvm_ffi.from_dlpack(table)
    assert (tuple(tensor.shape), tuple(tensor.strides)) == ((4, 2, 3), (6, 1, 2))
    assert tensor.data_ptr() == 4 * table._storage.values.address


def test_a_full_gpu_says_what_it_has_left(monkeypatch):
    def full(gpu, size):
        raise MemoryError(f"GPU 0 has 5 of 9 bytes left; {size} are needed")

    model, *_ = trained()
    monkeypatch.setattr(type(device.gpu_in_use()), "allocate", full)
    with pytest.raises(dy.OutOfMemoryError, match="2000 more numbers: GPU 0 has 5 of 9 bytes left; 8000 are"):
        model.parameters_from_numpy(np.ones(2000))
