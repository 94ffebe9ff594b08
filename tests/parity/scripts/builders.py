"""Reports initial values, states, gradients and 50 updates of every builder; dropout is off."""

from report import gradients, listed, numbers, report, values

import dynet as dy

INPUT, HIDDEN, STEPS, BATCH = 3, 4, 6, 2
UPDATES = 50


def sparse(layers, model):
    builder = dy.SparseLSTMBuilder(layers, INPUT, HIDDEN, model)
    builder.set_sparsity(0.5)
    return builder


BUILDERS = {
    "sparse LSTM": sparse,
    "simple": lambda layers, model: dy.SimpleRNNBuilder(layers, INPUT, HIDDEN, model),
    "GRU": lambda layers, model: dy.GRUBuilder(layers, INPUT, HIDDEN, model),
    "vanilla LSTM": lambda layers, model: dy.VanillaLSTMBuilder(layers, INPUT, HIDDEN, model),
    "no forget bias": lambda layers, model: dy.VanillaLSTMBuilder(layers, INPUT, HIDDEN, model, False, 0.0),
    "layer normalisation": lambda layers, model: dy.VanillaLSTMBuilder(layers, INPUT, HIDDEN, model, True),
    "compact LSTM": lambda layers, model: dy.CompactVanillaLSTMBuilder(layers, INPUT, HIDDEN, model),
    "coupled LSTM": lambda layers, model: dy.CoupledLSTMBuilder(layers, INPUT, HIDDEN, model),
    "fast LSTM": lambda layers, model: dy.FastLSTMBuilder(layers, INPUT, HIDDEN, model),
}


def inputs(batch):
    arrays = [numbers((INPUT, batch) if batch > 1 else (INPUT,), seed) for seed in range(STEPS)]
    return [dy.inputTensor(array, batched=batch > 1) for array in arrays]


def loss_of(expressions):
    losses = []
    for index, expression in enumerate(expressions):
        weights = dy.inputTensor(numbers(expression.dim()[0], 100 + index))
        losses.append(dy.sum_batches(dy.sum_elems(dy.cmult(dy.square(expression), weights))))
    return dy.esum(losses)


def read(builder, batch):
    """Every vector of every state of a sequence."""
    dy.renew_cg()
    states = builder.initial_state().add_inputs(inputs(batch))
    return [vector for state in states for vector in (*state.h(), *state.s())]


def scenario(make, layers, batch, begin=False):
    dy.reset_random_seed(11)
    model = dy.ParameterCollection()
    builder = make(layers, model)
    parameters = model.parameters_list()
    results = {
        "names": [p.name() for p in parameters],
        "collection": builder.param_collection().name(),
        "parameters per layer": [[p.name() for p in layer] for layer in builder.get_parameters()],
        "initial values": values(parameters),
    }
    read_all = read(builder, batch)
    loss = loss_of(read_all)
    results["loss"] = loss.value()
    loss.backward()
    results["values"] = [listed(expression) for expression in read_all]
    results["gradients"] = gradients(parameters)
    trainer = dy.SimpleSGDTrainer(model, 0.003)
    for _ in range(UPDATES):
        loss = loss_of(read(builder, batch))
        loss.backward()
        trainer.update()
    results["after updates"] = values(parameters)
    return results


def from_vectors(name, make, layers):
    """A sequence that begins with the given vectors."""
    dy.reset_random_seed(11)
    model = dy.ParameterCollection()
    builder = make(layers, model)
    dy.renew_cg()
    count = layers * (2 if "LSTM" in name else 1)
    vectors = [dy.inputTensor(numbers((HIDDEN,), 50 + k)) for k in range(count)]
    outputs = builder.initial_state(vectors).transduce(inputs(1))
    loss = loss_of(outputs)
    loss.backward()
    return {"values": [listed(y) for y in outputs], "gradients": gradients(model.parameters_list())}


def main():
    results = {}
    for name, make in BUILDERS.items():
        for layers, batch in ((1, 1), (3, 1), (1, BATCH), (2, BATCH)):
            results[f"{name}, {layers} layers, batch {batch}"] = scenario(make, layers, batch)
        if name not in ("no forget bias", "layer normalisation"):
            results[f"{name}, from vectors"] = from_vectors(name, make, 2)
    report(results)


if __name__ == "__main__":
    main()
