"""Names and arguments for settings, models, parameters, initializers and graphs, in the manual and in DyNet 2.1.

Each name must resolve and take its arguments by position and by name.
"""

import inspect

import pytest

import dynet as dy

MANUAL = """
DynetParams()
DynetParams.from_args(shared_parameters=None)
DynetParams.init()
DynetParams.set_mem(mem)
DynetParams.set_random_seed(random_seed)
DynetParams.set_requested_gpus(requested_gpus)
DynetParams.set_shared_parameters(shared_parameters)
DynetParams.set_weight_decay(weight_decay)
init(shared_parameters=None)
init_from_params(params)
Model()
Model.add_lookup_parameters(dim, init=None)
Model.add_parameters(dim, init=None)
Model.from_file(fname)
Model.load(fname)
Model.load_all(fname)
Model.parameters_from_numpy(array)
Model.save(fname, components=None)
Model.save_all(fname)
Parameters.as_array()
Parameters.clip_inplace(left, right)
Parameters.expr(update=True)
Parameters.get_index()
Parameters.grad_as_array()
Parameters.is_updated()
Parameters.load_array(arr)
Parameters.scale(s)
Parameters.set_updated(b)
Parameters.shape()
Parameters.zero()
LookupParameters.as_array()
LookupParameters.grad_as_array()
LookupParameters.scale(s)
PyInitializer()
NormalInitializer(mean=0, var=1)
UniformInitializer(scale)
ConstInitializer(c)
IdentityInitializer()
GlorotInitializer(is_lookup=False, gain=1.0)
SaxeInitializer(scale=1.0)
FromFileInitializer(fname)
NumpyInitializer(array)
renew_cg(immediate_compute=False, check_validity=False)
cg_version()
print_text_graphviz()
cg_checkpoint()
cg_revert()
cg()
ComputationGraph.parameters(params)
ComputationGraph.renew(immediate_compute=False, check_validity=False)
ComputationGraph.version()
Expression.backward(full=False)
Expression.dim()
Expression.forward(recalculate=False)
Expression.gradient()
Expression.npvalue(recalculate=False)
Expression.scalar_value(recalculate=False)
Expression.tensor_value(recalculate=False)
Expression.value(recalculate=False)
Expression.vec_value(recalculate=False)
parameter(p, update=True)
lookup(p, index=0, update=True)
lookup_batch(p, indices, update=True)
"""

DYNET = """
DynetParams.from_config(conf)
DynetParams.set_autobatch(autobatch)
DynetParams.set_profiling(profiling)
DynetParams.set_cpu_mode()
reset_random_seed(seed)
const_parameter(p)
save(basename, objects)
load(basename, params)
load_generator(basename, params)
ParameterCollection()
ParameterCollection.add_parameters(dim, init=None, name='', device='', scale=1.0, mean=0.0, std=1.0)
ParameterCollection.add_lookup_parameters(dim, init=None, name='', device='', scale=1.0, mean=0.0, std=1.0)
ParameterCollection.parameters_from_numpy(array, name='', device='')
ParameterCollection.lookup_parameters_from_numpy(array, name='', device='')
ParameterCollection.add_subcollection(name=None)
ParameterCollection.name()
ParameterCollection.parameters_list()
ParameterCollection.lookup_parameters_list()
ParameterCollection.parameter_count()
ParameterCollection.get_weight_decay()
ParameterCollection.set_weight_decay(lam)
ParameterCollection.set_weight_decay_lambda(lam)
ParameterCollection.save(fname, name='', append=False)
ParameterCollection.populate(fname, key='')
ParameterCollection.write_to_textfile(fname, key='', append=False)
ParameterCollection.populate_from_textfile(fname, key='')
ParameterCollection.load_param(fname, key)
ParameterCollection.load_lookup_param(fname, key)
Parameters.dim()
Parameters.name()
Parameters.value(recalculate=False)
Parameters.npvalue(recalculate=False)
Parameters.vec_value(recalculate=False)
Parameters.scalar_value(recalculate=False)
Parameters.tensor_value(recalculate=False)
Parameters.forward(recalculate=False)
Parameters.backward(full=False)
Parameters.gradient()
Parameters.set_value(arr)
Parameters.scale_gradient(s)
Parameters.save(fname, key='', append=False)
Parameters.populate(fname, key='')
Parameters.write_to_textfile(fname, key='', append=False)
Parameters.populate_from_textfile(fname, key='')
LookupParameters.batch(i)
LookupParameters.dim()
LookupParameters.expr(update=True)
LookupParameters.init_row(i, row)
LookupParameters.init_from_array(arr)
LookupParameters.row_as_array(row)
LookupParameters.rows_as_array(rows)
LookupParameters.row_grad_as_array(row)
LookupParameters.rows_grad_as_array(rows)
LookupParameters.name()
LookupParameters.npvalue(recalculate=False)
LookupParameters.tensor_value(recalculate=False)
LookupParameters.clip_inplace(left, right)
LookupParameters.zero()
LookupParameters.is_updated()
LookupParameters.set_updated(b)
LookupParameters.scale_gradient(s)
LookupParameters.shape()
LookupParameters.save(fname, key='', append=False)
LookupParameters.populate(fname, key='')
Tensor.as_numpy()
Tensor.argmax(dim=0, num=1)
Tensor.topk(dim=0, num=1)
Tensor.categorical_sample_log_prob(dim=0, num=1)
ComputationGraph.checkpoint()
ComputationGraph.revert()
ComputationGraph.print_graphviz()
"""

OTHER_ORDER = {"Model.save": "2.1 has `name` second; a list there is taken for the manual's `components`"}


def entries(text: str) -> list:
    return [pytest.param(*line[:-1].split("(", 1), id=line.split("(")[0]) for line in text.split("\n") if line]


def arguments_of(signature: str) -> list[inspect.Parameter]:
    return list(inspect.signature(eval(f"lambda {signature}: 0")).parameters.values())


@pytest.mark.parametrize("name, signature", [*entries(MANUAL), *entries(DYNET)])
def test_name_and_arguments(name, signature):
    found = dy
    for part in name.split("."):
        found = getattr(found, part)
    if isinstance(found, property):  # callables only
        found = inspect.get_annotations(found.fget, eval_str=True)["return"].__call__
    ours = list(inspect.signature(found).parameters.values())
    if inspect.isroutine(found) and "." in name and ours and ours[0].name == "self":
        ours = ours[1:]
    if name in OTHER_ORDER:
        ours = [p for p in ours if p.name in [q.name for q in arguments_of(signature)]]
    wanted = arguments_of(signature)
    assert [p.name for p in ours[: len(wanted)]] == [p.name for p in wanted]
    assert [p.default for p in ours[: len(wanted)]] == [p.default for p in wanted]
    further = ours[len(wanted) :]
    assert all(p.default is not p.empty or p.kind == p.VAR_POSITIONAL for p in further), "more arguments are needed"
    assert all(p.kind == p.POSITIONAL_OR_KEYWORD for p in ours[: len(wanted)])
