"""The part of `every_public_name.py` that uses parameters, initializers, networks and trainers."""

from __future__ import annotations

import tempfile

import numpy as np
import numpy.typing as npt

import dynet as dy

Array = npt.NDArray[np.float32]


def initializers() -> list[dy.PyInitializer]:
    """Initial values of parameters."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("1 2 3 4")
        file.flush()
        from_file = dy.FromFileInitializer(file.name)
        print(from_file.fname, from_file.values((2, 2)))
    normal, glorot = dy.NormalInitializer(mean=0, var=0.1), dy.GlorotInitializer(is_lookup=False, gain=0.5)
    uniform, fixed = dy.UniformInitializer(0.1), dy.ConstInitializer(0.5)
    print(normal.mean, normal.var, glorot.is_lookup, glorot.gain, uniform.scale, fixed.c, fixed.draw((2, 2)).sum())
    numpy_initializer = dy.NumpyInitializer([[1, 2], [3, 4]])
    print(numpy_initializer.array.shape)
    return [normal, glorot, uniform, fixed, numpy_initializer, dy.IdentityInitializer(), dy.SaxeInitializer(2.0)]


class Halves(dy.PyInitializer):
    """A user-defined initializer."""

    def draw(self, dim: tuple[int, ...]) -> Array:
        return np.full(int(np.prod(dim)), 0.5, np.float32)


def parameters(folder: str) -> None:
    """Collections, parameters and tables, and their files."""
    m: dy.Model = dy.ParameterCollection()
    for initializer in initializers():
        m.add_parameters((2, 2), init=initializer)
    W: dy.Parameters = m.add_parameters((2, 3), init="uniform", scale=0.1)
    b = m.add_subcollection("bias").add_parameters(2, init=Halves(), name="b")
    E: dy.LookupParameters = m.add_lookup_parameters((4, 3), init=0.5, name="words", device="CPU")
    m.parameters_from_numpy(np.eye(2))
    m.lookup_parameters_from_numpy([[1, 2], [3, 4]])
    m.set_weight_decay(0.1)
    m.quantize(keep=[m])
    m.set_weight_decay_lambda(m.get_weight_decay())
    print(m.name(), m.parameter_count(), len(m.parameters_list()), len(m.lookup_parameters_list()))

    m.set_arrays(m.arrays())
    W.set_value(np.ones((2, 3)))
    W.load_array([[1, 2, 3], [4, 5, 6]])
    W.scale(0.5)
    W.clip_inplace(-1, 1)
    W.scale_gradient(2)
    W.set_updated(not W.is_updated())
    W.set_updated(True)
    print(W.name(), W.shape(), W.get_index(), W.collection is m, W.as_array() + W.grad_as_array() + np.asarray(W))
    b.zero()

    E.init_row(0, [1, 2, 3])
    E.init_from_array(np.ones((4, 3)))
    E.load_array(E.as_array())
    E.set_value(E.as_array())
    print(E.shape(), E.rows, E.get_index(), E.row_as_array(0), E.rows_as_array([0, 1]), E.grad_as_array().sum())
    print(E.row_grad_as_array(0), E.rows_grad_as_array(range(2)))
    rows = E[0] + E[np.argmax([0, 1])] + E.lookup(1, update=False) + dy.lookup(E, 2)
    batch = E.batch([0, 1]) + dy.lookup_batch(E, np.array([2, 3]), update=False)
    loss = dy.sum_batches(dy.sum_elems(dy.concatenate_to_batch([W * rows + b]))) + dy.sum_batches(dy.sum_elems(batch))
    fixed: dy.Expression = W.expr(update=False)
    loss += dy.sum_elems(dy.parameter(W) + dy.const_parameter(W) + fixed)
    for each in (*dy.parameter(W, b), *dy.parameter([W, b]), *dy.const_parameter(W, b), dy.parameter(E, False)):
        loss += dy.sum_elems(each)
    loss.backward()

    one, whole = f"{folder}/parameter", f"{folder}/model"
    W.save(one, key="/W")
    E.write_to_textfile(one, key="/E", append=True)
    W.populate(one, key="/W")
    E.populate_from_textfile(one, key="/E")
    print(dy.Model().load_param(one, "/W").shape(), dy.Model().load_lookup_param(one, "/E").rows)
    m.save_all(whole)
    m.write_to_textfile(whole, "/all")
    m.save(whole)
    m.populate(whole)
    m.load_all(whole)
    m.populate_from_textfile(whole)
    print(dy.ParameterCollection.from_file(whole).parameter_count(), len(dy.Model().load(whole)))
    dy.save(whole, [W, E])
    W_again, E_again = dy.load(whole, dy.Model())
    print(W_again.shape(), E_again.shape(), len(list(dy.load_generator(whole, dy.Model(), allow=[Halves]))))


def softmaxes() -> dy.Expression:
    """Softmax layers."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("animal cat\nanimal dog\nnumber one\n")
        file.flush()
        factored = dy.ClassFactoredSoftmaxBuilder(3, file.name, {"cat": 0, "dog": 1, "one": 2}, dy.Model())
        tree = dy.HierarchicalSoftmaxBuilder(3, file.name, {"cat": 0, "dog": 1, "one": 2}, dy.Model(), bias=False)
    standard = dy.StandardSoftmaxBuilder(3, 3, dy.Model())
    adaptive = dy.AdaptiveSoftmaxBuilder(3, [1], 3, dy.Model(), div_value=1.5, bias=True)
    again_adaptive = dy.AdaptiveSoftmaxBuilder.from_spec(adaptive.spec, dy.Model())
    again_tree = dy.HierarchicalSoftmaxBuilder.from_spec(tree.spec, dy.Model())
    builders: list[dy.SoftmaxBuilder] = [standard, factored, adaptive, tree, again_adaptive, again_tree]
    x, loss = dy.ones(3), dy.scalarInput(0)
    for builder in builders:
        loss += builder.neg_log_softmax(x, 0, update=False) + builder.neg_log_softmax_batch(x, [1])
        loss += dy.sum_elems(builder.full_log_distribution(x) + builder.full_logits(x))
        print(builder.whoami(), builder.spec, builder.param_collection().name(), builder.sample(x) < 3)
    loss += dy.sum_elems(factored.class_logits(x) + factored.class_log_distribution(x))
    loss += dy.sum_elems(factored.subclass_logits(x, 0) + factored.subclass_log_distribution(x, 0))
    again = dy.StandardSoftmaxBuilder.from_spec(standard.spec, dy.Model())
    return loss + again.neg_log_softmax(x, 1)


def random_fields(m: dy.ParameterCollection) -> dy.Expression:
    """Sequences of tags."""
    field = dy.CRFBuilder(3, m, dy.bio_constraints(["O", "B-x", "I-x"]))
    again = dy.CRFBuilder.from_spec(field.spec, m)
    scores = dy.ones((3, 2))
    tags, best = field.viterbi(scores)
    print(field.whoami(), field.param_collection().name(), tags, best + 1.0)
    loss = field.neg_log_likelihood(scores, tags) + again.neg_log_likelihood([dy.ones(3)], [0], update=False)
    return loss + field.log_partition(scores) + dy.sum_elems(field.marginals(scores))


def transformers(m: dy.ParameterCollection) -> dy.Expression:
    """Attention, transformers and positions."""
    attention = dy.MultiHeadAttentionBuilder(4, 2, m, bias=False)
    encoder = dy.TransformerEncoderLayerBuilder(4, 2, 8, m, pre_norm=True)
    decoder = dy.TransformerDecoderLayerBuilder(4, 2, 8, m)
    positions = dy.LearnedPositionsBuilder(4, 9, m)
    x = dy.ones((4, 3)) + positions.vectors(3, start=1) + dy.sinusoidal_positions(4, 3, start=2)
    keys, values = attention.remember(x)
    for layer in (attention, encoder, decoder):
        layer.set_dropout(0.1)
        layer.disable_dropout()
        print(layer.whoami(), layer.spec, layer.param_collection().name())
    encoded = encoder.encode(attention.attend(x, (keys, values), causal=True), mask=[[True] * 3] * 3)
    y, cache = decoder.decode([dy.ones(4)], decoder.remember(encoded))
    again = dy.TransformerDecoderLayerBuilder.from_spec(decoder.spec, m).decode(y, encoded, cache, update=False)[0]
    return dy.sum_elems(again) + dy.sum_elems(dy.additive_attention(x, keys, values, dy.ones(4)))


def pairs_of_words(m: dy.ParameterCollection) -> dy.Expression:
    """Scores of pairs, and trees."""
    biaffine = dy.BiaffineBuilder(2, 3, m, labels=1, bias_x=False, bias_y=True)
    again = dy.BiaffineBuilder.from_spec(biaffine.spec, m)
    scores = biaffine.scores(dy.ones((2, 4)), dy.ones((3, 3))) + again.scores(dy.ones((2, 4)), dy.ones(3), update=False)
    heads: list[int] = dy.chu_liu_edmonds(scores) + dy.eisner(scores.npvalue(), single_root=False)
    print(biaffine.whoami(), biaffine.param_collection().name(), heads, dy.eisner([[1, 2], [3, 4], [5, 6]]))
    return dy.sum_elems(scores)


def networks(m: dy.ParameterCollection) -> dy.Expression:
    """Recurrent networks."""
    lstm, sparse = dy.VanillaLSTMBuilder(1, 3, 2, m, forget_bias=0.5), dy.SparseLSTMBuilder(1, 3, 2, m)
    compact, gru = dy.CompactVanillaLSTMBuilder(1, 3, 2, m), dy.GRUBuilder(1, 3, 2, m)
    builders = [lstm, sparse, compact, gru, dy.SimpleRNNBuilder(1, 3, 2, m), dy.CoupledLSTMBuilder(1, 3, 2, m)]
    builders += [dy.FastLSTMBuilder(1, 3, 2, m), dy.LSTMBuilder(1, 3, 2, m)]
    sparse.set_sparsity(0.5)
    compact.set_weightnoise(0.1)
    lstm.set_dropouts(0.1, 0.2)
    xs = [dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])]
    total = dy.scalarInput(0)
    for builder in builders:
        state: dy.RNNState = builder.initial_state()
        for x in xs:
            state = state.add_input(x)
            total += dy.sum_elems(state.output())
        total += dy.sum_elems(dy.esum(builder.initial_state(update=False).transduce(xs)))
        total += dy.sum_elems(builder.initial_state().add_inputs(xs)[-1].output())
        builder.set_dropout(0.5)
        builder.disable_dropout()
        print(builder.whoami(), builder.spec, builder.param_collection().name(), state.b() is builder)
        print(builder.get_parameters()[0][0].shape(), builder.get_parameter_expressions()[0][0].dim())
    print(lstm.from_spec(lstm.spec, m).spec == lstm.spec)
    start = lstm.initial_state([dy.zeros(2), dy.zeros(2)])
    lstm.set_dropout_masks(1)
    state = gru.initial_state_from_raw_vectors([[0.5, 0.5]]).add_input(xs[0])
    state = state.set_h([dy.zeros(2)]).set_s([dy.ones(2)])
    total += dy.sum_elems(start.h()[0] + state.h()[0] + state.s()[0])
    before = state.prev()
    assert before is not None

    both = dy.BiRNNBuilder(1, 3, 4, m, dy.VanillaLSTMBuilder)
    both.set_dropout(0.5)
    both.disable_dropout()
    total += dy.sum_elems(dy.esum(both.transduce(xs)))
    forward, backward = both.add_inputs(xs)[0]
    total += dy.sum_elems(forward.output() + backward.output())
    print(both.whoami(), both.spec, both.param_collection() is both.model, len(both.builder_layers))
    total += dy.sum_elems(dy.BiRNNBuilder.from_spec((1, 3, 4, dy.GRUBuilder, None), m).transduce(xs)[0])

    dy.set_torch_weights(both, dy.torch_weights(both, "encoder"), "encoder")
    W, b = m.add_parameters((2, 3)), m.add_parameters(2)
    dy.set_torch_weights((W, b), dy.torch_weights([W, b]))
    stacked = dy.StackedRNNState([gru.initial_state()])
    following = stacked.add_input(xs[0])
    total += dy.sum_elems(following.output() + following.h()[0][0] + following.s()[0][0])
    total += dy.sum_elems(stacked.add_inputs(xs)[-1].output() + stacked.transduce(xs)[0])
    print(following.prev() is stacked, len(following.states))
    return total


def words(folder: str) -> None:
    """Vocabularies."""
    vocabulary = dy.Vocabulary(["the", "cat"], unknown="<unk>", padding="<pad>")
    counted = dy.Vocabulary.from_sentences([["a", "b"], ["b"]], min_count=2, max_size=10)
    again: dy.Vocabulary = dy.Vocabulary.from_spec(vocabulary.spec)
    print(vocabulary["cat"], vocabulary.indices(["dog"]), vocabulary.word(0), vocabulary.words([1, 2]), "a" in counted)
    with open(f"{folder}/vectors", "w") as file:
        file.write("the 1 2\ncat 3 4\n")
    found, array = dy.read_vectors(f"{folder}/vectors", vocabulary, binary=False)
    print(found.words([0]), array.shape)
    batches: list[list[str]] = dy.batches_by_length(["a", "bb"], 2, length=len, max_total=10, shuffle=True)
    print(batches, dy.batches_by_length([("a", 1)], 2, lambda pair: len(pair[0]), generator=np.random.default_rng(1)))
    print(list(again), vocabulary.unknown, vocabulary.padding)


def trees(m: dy.ParameterCollection) -> dy.Expression:
    """Networks over trees."""
    summing, binary = dy.ChildSumTreeLSTMBuilder(1, 3, 2, m), dy.NaryTreeLSTMBuilder(1, 3, 2, m, children=2)
    words = [dy.inputVector([1, 2, 3]), dy.inputVector([4, 5, 6])]
    total = dy.esum(summing.initial_state(update=True).transduce(words, heads=[1, -1]))
    start: dy.TreeState = binary.initial_state()
    leaves = [start.add_input(word) for word in words]
    root = start.add_input(None, leaves)
    total += root.output() + root.h()[0] + root.s()[0] + start.add_inputs(words, [-1, 0])[0].output()
    print(len(root.children()), root.b().whoami(), binary.spec, summing.get_parameters()[0][0].shape())
    print(summing.param_collection().name(), summing.get_parameter_expressions()[0][0].dim())
    return dy.sum_elems(total + summing.from_spec(summing.spec, m).initial_state().add_input(words[0]).output())


def trainers(m: dy.ParameterCollection, folder: str) -> None:
    """One step of each trainer."""
    p = m.add_parameters(3)
    rows = m.add_lookup_parameters((2, 3))
    found: list[dy.Trainer] = [
        dy.SimpleSGDTrainer(m, learning_rate=0.1),
        dy.CyclicalSGDTrainer(m, e0_min=0.01, e0_max=0.1, step_size=10),
        dy.MomentumSGDTrainer(m, 0.1, mom=0.5),
        dy.AdagradTrainer(m),
        dy.AdadeltaTrainer(m, rho=0.9),
        dy.RMSPropTrainer(m),
        dy.AdamTrainer(m, alpha=0.001, beta_1=0.8),
        dy.AdamWTrainer(m, learning_rate=0.001, weight_decay=0.1, no_decay=[p, rows], decay_vectors=False),
        dy.AmsgradTrainer(m, np.float64(0.01)),
    ]
    plateau = dy.PlateauSchedule(0.5, patience=3, lower_is_better=False, min_change=0.01)
    found[0].set_schedule(dy.WarmUpSchedule(10, then=dy.CosineSchedule(90, lowest=0.1)))
    found[0].set_schedule(dy.WarmUpSchedule(steps=10, then=plateau))
    found[0].set_schedule(dy.ExponentialSchedule(0.5, steps=100))
    found[0].set_schedule(lambda n: 0.5 ** (n // 10))
    found[0].set_schedule(None)
    print(plateau.report(0.5))
    averages = dy.AveragedParameters(m, decay=0.99)
    averages.update()
    with averages.applied():
        average: float = p.as_array()[0]
    stopping = dy.EarlyStopping(m, 3, lower_is_better=False, min_change=0.01)
    print(stopping.report(average), stopping.should_stop)
    stopping.restore()
    averages.save(f"{folder}/averages")
    averages.populate(f"{folder}/averages")
    stopping.save(f"{folder}/best")
    stopping.populate(f"{folder}/best")
    total = 0.0
    for trainer in found:
        dy.renew_cg()
        loss = dy.squared_norm(p) + dy.squared_norm(rows[0])
        total += loss.value()
        loss.backward()
        trainer.update()
        dy.renew_cg()
        dy.squared_norm(p).backward()
        trainer.update_subset([0], [0], 0.5)
        trainer.update_epoch(1.0)
        trainer.set_learning_rate(0.5 * trainer.learning_rate)
        trainer.learning_rate /= 2
        trainer.set_clip_threshold(trainer.get_clip_threshold() + 1)
        trainer.set_sparse_updates(True)
        trainer.save(f"{folder}/trainer")
        trainer.populate(f"{folder}/trainer")
        trainer.restart(0.1)
        trainer.status()
        print(trainer.whoami(), total)
    parallel = dy.DataParallel(found[0], average=True, compare_every=100)
    for x in parallel.share([p]):
        dy.squared_norm(x).backward()
    parallel.update(0.5, examples=1)
    parallel.learning_rate = parallel.trainer.learning_rate
    parallel.compare()
    parallel.save(f"{folder}/checkpoint", {"epoch": 1})
    print(parallel.rank, parallel.size, parallel.populate(f"{folder}/checkpoint")["epoch"], parallel.total(1))


@dy.function
def layer(x: dy.Expression, scale: float) -> dy.Expression:
    return dy.tanh(x) * scale


@dy.function(kinds=2)
def joined(x: dy.Expression, states: list[dy.Expression]) -> dy.Expression:
    return dy.esum([x, *states])


def received(messages: dy.Expression | None, h: dy.Expression) -> dy.Expression:
    return h if messages is None else messages + h


def refused(x: dy.Expression) -> dy.Expression:
    return x if x.npvalue().max() < 1 else dy.tanh(x)


def functions_and_structures() -> None:
    xs = [layer(dy.inputVector([k, 1]), 0.5) for k in range(3)]
    states: list[dy.Expression] = dy.transduce(joined, xs, heads=[1, -1, 1])
    lists = dy.transduce(joined, xs, children=[[], [0, 2], []])
    passed = dy.pass_messages(states, [(0, 1), (1, 2)], dy.tanh, received, rounds=2, aggregate=dy.average)
    print(len(passed), len(lists))
    try:
        dy.function(refused)(xs[0])
    except dy.FunctionError as error:
        print(error)
