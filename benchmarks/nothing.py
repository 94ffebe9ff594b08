"""A stand-in for `dynet` whose functions do nothing: it shows the cost of a task's own Python code.

Its functions are builtins that ignore their arguments and return one object, `CONSTANT`. The same holds for the
object's methods, operators and subscripts. A call costs 10 to 20 ns, the minimum for any call. A program under
`nothing` therefore takes the time of its own loops, lists and calls, which no library can save.

One C function of CPython does all of this: `PyObject_SelfIter` returns the object that it is called on, and C lets it
ignore further arguments. A result that must be iterated over is a list with one constant per input: `transduce` is
`list`. Reversed operators with numbers are not replaced: `2 * CONSTANT` is 2.
"""

from __future__ import annotations

import ctypes

FUNCTIONS = (
    "AdamTrainer",
    "BiRNNBuilder",
    "ChildSumTreeLSTMBuilder",
    "LearnedPositionsBuilder",
    "NaryTreeLSTMBuilder",
    "ParameterCollection",
    "TransformerEncoderLayerBuilder",
    "VanillaLSTMBuilder",
    "affine_transform",
    "cmult",
    "colwise_add",
    "concatenate",
    "concatenate_cols",
    "esum",
    "inputTensor",
    "inputVector",
    "layer_norm",
    "logistic",
    "logsumexp_dim",
    "lookup_batch",
    "pick",
    "pick_range",
    "pickneglogsoftmax",
    "pickneglogsoftmax_batch",
    "rectify",
    "renew_cg",
    "reset_random_seed",
    "reshape",
    "scalarInput",
    "softmax",
    "squared_distance",
    "sum_batches",
    "sum_elems",
    "tanh",
    "transpose",
)
"""The functions that the tasks call. A `__getattr__` instead would make every lookup slow."""
METHODS = (
    "add_input",
    "add_lookup_parameters",
    "add_parameters",
    "backward",
    "encode",
    "h",
    "initial_state",
    "npvalue",
    "output",
    "scalar_value",
    "set_clip_threshold",
    "update",
    "value",
    "vectors",
)
OPERATORS = {"nb_add": 7, "nb_multiply": 29, "nb_subtract": 36, "mp_subscript": 5}
"""Slot numbers, from CPython's typeslots.h."""
TP_METHODS = 64
ANY_ARGUMENTS = 0x80 | 0x02  # METH_FASTCALL | METH_KEYWORDS


class MethodDef(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("call", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p)]


class Slot(ctypes.Structure):
    _fields_ = [("number", ctypes.c_int), ("call", ctypes.c_void_p)]


class Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("size", ctypes.c_int),
        ("item_size", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(Slot)),
    ]


_itself = ctypes.cast(ctypes.pythonapi.PyObject_SelfIter, ctypes.c_void_p).value
_make_type = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(("PyType_FromSpec", ctypes.pythonapi))
_make_function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)


def _definitions(names: tuple[str, ...]) -> ctypes.Array:
    ended = [MethodDef(name.encode(), _itself, ANY_ARGUMENTS, None) for name in names] + [MethodDef()]
    return (MethodDef * len(ended))(*ended)


# CPython keeps pointers to these, so they must stay alive.
_functions, _methods = _definitions(FUNCTIONS), _definitions(METHODS)
_slots = (Slot * (len(OPERATORS) + 2))(
    *[Slot(number, _itself) for number in OPERATORS.values()], Slot(TP_METHODS, ctypes.addressof(_methods)), Slot()
)
_spec = Spec(b"nothing.Constant", object.__basicsize__, 0, 0, _slots)

Constant = _make_type(ctypes.addressof(_spec))
Constant.transduce = list
CONSTANT = Constant()
globals().update(
    (name, _make_function(ctypes.addressof(definition), CONSTANT, None))
    for name, definition in zip(FUNCTIONS, _functions)
)
