"""Softmax builders: names, initial values, losses, distributions, gradients, and parameters after 50 updates."""

import tempfile

from report import gradients, listed, numbers, report, values

import dynet as dy

SIZE, UPDATES, BATCH = 3, 50, 3
CLUSTERS = "x a\nx d\ny c\nx f\nz e\ny b\n"
WORDS = {"a": 2, "b": 0, "c": 1, "d": 5, "e": 4, "f": 3}


def factored(model, bias):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(CLUSTERS)
        file.flush()
        return dy.ClassFactoredSoftmaxBuilder(SIZE, file.name, WORDS, model, bias)


BUILDERS = {
    "standard": lambda model, bias: dy.StandardSoftmaxBuilder(SIZE, 6, model, bias),
    "factored": factored,
}


def losses(layer):
    x = dy.inputTensor(numbers((SIZE,), 3))
    xs = dy.inputTensor(numbers((SIZE, BATCH), 4), batched=True)
    single = [layer.neg_log_softmax(x, word) for word in range(6)]
    together = [layer.neg_log_softmax_batch(xs, words) for words in ([5, 2, 3], [4, 4, 4], [0, 4, 1])]
    return single, together


def scenario(name, make, bias):
    dy.reset_random_seed(7)
    model = dy.ParameterCollection()
    layer = make(model, bias)
    parameters = model.parameters_list()
    dy.renew_cg()
    single, together = losses(layer)
    x = dy.inputTensor(numbers((SIZE,), 3))
    results = {
        "names": [p.name() for p in parameters],
        "collection": layer.param_collection().name(),
        "initial values": values(parameters),
        "losses": [listed(e) for e in single + together],
    }
    if name == "standard":
        results["logits"] = listed(layer.full_logits(x))
        results["log distribution"] = listed(layer.full_log_distribution(x))
    else:
        results["clusters"] = [listed(layer.class_logits(x)), listed(layer.class_log_distribution(x))]
        results["words"] = [[listed(layer.subclass_logits(x, k)), listed(layer.subclass_log_distribution(x, k))]
                            for k in (0, 1)]  # fmt: skip
    loss = dy.esum([*single, *map(dy.sum_batches, together)])
    loss.value()
    loss.backward()
    results["gradients"] = gradients(parameters)
    trainer = dy.SimpleSGDTrainer(model, 0.01)
    for _ in range(UPDATES):
        dy.renew_cg()
        single, together = losses(layer)
        loss = dy.esum([*single, *map(dy.sum_batches, together)])
        loss.value()
        loss.backward()
        trainer.update()
    results["after updates"] = values(parameters)
    return results


if __name__ == "__main__":
    report(
        {
            f"{name}, {'bias' if bias else 'no bias'}": scenario(name, make, bias)
            for name, make in BUILDERS.items()
            for bias in (True, False)
        }
    )
