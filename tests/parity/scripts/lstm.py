"""States and gradients of VanillaLSTMBuilder and BiRNNBuilder, one scenario at a time; dropout is off."""

from report import gradients, listed, numbers, report

import dynet as dy

INPUT, HIDDEN, STEPS, BATCH = 3, 4, 5, 2


class Setting:
    """An LSTM with inputs and initial states that are parameters, so that their gradients can be read."""

    def __init__(self, layers, batched=False):
        dy.reset_random_seed(11)
        self.collection = dy.ParameterCollection()
        self.lstm = dy.VanillaLSTMBuilder(layers, INPUT, HIDDEN, self.collection)
        count = STEPS * (BATCH if batched else 1)
        self.inputs = [self.given(INPUT, seed) for seed in range(count)]
        self.vectors = [self.given(HIDDEN, 50 + seed) for seed in range(2 * layers)]
        dy.renew_cg()
        self.xs = self.inputs
        if batched:
            pairs = zip(self.inputs[::2], self.inputs[1::2], strict=True)
            self.xs = [dy.concatenate_to_batch(list(pair)) for pair in pairs]

    def given(self, size, seed):
        return self.collection.add_parameters(size, init=dy.NumpyInitializer(numbers((size,), seed)))

    def results(self, states=(), outputs=()):
        """Values of the states and outputs, and every gradient of a loss that includes all of them."""
        read = [expression for state in states for expression in (*state.h(), *state.s())] + list(outputs)
        losses = []
        for index, expression in enumerate(read):
            dims, _ = expression.dim()
            weights = dy.inputTensor(numbers(dims, 100 + index))
            losses.append(dy.sum_batches(dy.sum_elems(dy.cmult(dy.square(expression), weights))))
        loss = dy.esum(losses)
        value = loss.value()
        loss.backward()
        return {
            "loss": value,
            "values": [listed(expression) for expression in read],
            "gradients": gradients(self.collection.parameters_list()),
        }


def step_by_step(layers, batched=False):
    setting = Setting(layers, batched)
    state = setting.lstm.initial_state()
    states = [state := state.add_input(x) for x in setting.xs]
    return setting.results(states)


def from_vectors(layers):
    """initial_state([c..., h...])"""
    setting = Setting(layers)
    state = setting.lstm.initial_state(setting.vectors)
    return setting.results(state.add_inputs(setting.xs))


def transduced(layers, batched=False):
    setting = Setting(layers, batched)
    return setting.results(outputs=setting.lstm.initial_state().transduce(setting.xs))


def transduced_backwards():
    setting = Setting(2)
    return setting.results(outputs=setting.lstm.initial_state().transduce(reversed(setting.xs)))


def branches():
    """Two continuations of the same state, one of them after a step back by prev()."""
    setting = Setting(2)
    first, second, third, *_ = setting.xs
    start = setting.lstm.initial_state().add_input(first)
    one = start.add_input(second)
    other = one.prev().add_input(third)
    return setting.results([start, one, other])


def states_set():
    """On the newest state: DyNet 2.1's set_h takes the newest state's cells, whichever it is called on."""
    setting = Setting(2)
    first, second, *_ = setting.xs
    state = setting.lstm.initial_state().add_input(first)
    with_h = state.set_h(setting.vectors[:2])
    with_s = with_h.add_input(second).set_s(setting.vectors)
    return setting.results([state, with_h, with_s, with_s.add_input(first)])


def batch_after_single():
    """Unbatched inputs first, then batched ones: the states become batched along the way."""
    setting = Setting(1, batched=True)
    state = setting.lstm.initial_state().add_input(setting.inputs[0])
    return setting.results([state, state.add_input(setting.xs[1])])


def two_sequences():
    """One builder reads two sequences in the same graph."""
    setting = Setting(1)
    first = setting.lstm.initial_state().transduce(setting.xs[:3])
    second = setting.lstm.initial_state().transduce(setting.xs[2:])
    return setting.results(outputs=[*first, *second])


def two_directions(layers):
    setting = Setting(1)
    builder = dy.BiRNNBuilder(layers, INPUT, 2 * HIDDEN, setting.collection, dy.VanillaLSTMBuilder)
    return setting.results(outputs=builder.transduce(setting.xs))


def two_directions_states():
    setting = Setting(1)
    builder = dy.BiRNNBuilder(1, INPUT, 2 * HIDDEN, setting.collection, dy.VanillaLSTMBuilder)
    pairs = builder.add_inputs(setting.xs)
    return setting.results([state for pair in pairs for state in pair])


SCENARIOS = {
    "one layer": lambda: step_by_step(1),
    "three layers": lambda: step_by_step(3),
    "batched": lambda: step_by_step(2, batched=True),
    "initial state, one layer": lambda: from_vectors(1),
    "initial state, two layers": lambda: from_vectors(2),
    "transduce": lambda: transduced(1),
    "transduce, two layers": lambda: transduced(2),
    "transduce, batched": lambda: transduced(2, batched=True),
    "transduce backwards": transduced_backwards,
    "branches": branches,
    "states set": states_set,
    "batch after single": batch_after_single,
    "two sequences": two_sequences,
    "BiRNN": lambda: two_directions(1),
    "BiRNN, two layers": lambda: two_directions(2),
    "BiRNN, states": two_directions_states,
}

if __name__ == "__main__":
    report({name: scenario() for name, scenario in SCENARIOS.items()})
