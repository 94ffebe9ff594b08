"""Parameters after each of a few updates, trainer by trainer; half of the lookup rows are never used."""

from report import numbers, report, values

import dynet as dy

UPDATES = 4


def changed(trainer, **settings):
    for name, value in settings.items():
        if name == "learning_rate":
            trainer.learning_rate = value
        else:
            getattr(trainer, name)(value)
    return trainer


TRAINERS = {
    "sgd": lambda model: dy.SimpleSGDTrainer(model),
    "sgd, rate given": lambda model: dy.SimpleSGDTrainer(model, 0.5),
    "sgd, rate set": lambda model: changed(dy.SimpleSGDTrainer(model), learning_rate=0.02),
    "sgd, clipped": lambda model: changed(dy.SimpleSGDTrainer(model), set_clip_threshold=0.1),
    "sgd, not clipped": lambda model: changed(dy.SimpleSGDTrainer(model), set_clip_threshold=0.0),
    "sgd, dense": lambda model: changed(dy.SimpleSGDTrainer(model), set_sparse_updates=False),
    "adam": lambda model: dy.AdamTrainer(model),
    "adam, settings given": lambda model: dy.AdamTrainer(model, 0.01, 0.8, 0.99, 1e-6),
    "adam, rate set": lambda model: changed(dy.AdamTrainer(model), learning_rate=0.02),
    "adam, clipped": lambda model: changed(dy.AdamTrainer(model), set_clip_threshold=0.1),
    "adam, dense": lambda model: changed(dy.AdamTrainer(model), set_sparse_updates=False),
}


def trained(make_trainer):
    model = dy.ParameterCollection()
    W = model.add_parameters((3, 4), init=dy.NumpyInitializer(numbers((3, 4), 1)))
    b = model.add_parameters(3, init=dy.NumpyInitializer(numbers((3,), 2)))
    unused = model.add_parameters(2, init=dy.NumpyInitializer(numbers((2,), 3)))
    rows = model.lookup_parameters_from_numpy(numbers((6, 4), 4))
    trainer = make_trainer(model)
    history = {"rate": trainer.learning_rate, "losses": [], "values": []}
    for update in range(UPDATES):
        dy.renew_cg()
        used = [rows[update % 3], rows[0], rows[(update + 1) % 3]]
        loss = dy.esum([dy.squared_norm(dy.affine_transform([b, W, row])) for row in used]) * 3.0
        history["losses"].append(loss.value())
        loss.backward()
        trainer.update()
        history["values"].append(values([W, b, unused, rows]))
    return history


if __name__ == "__main__":
    report({name: trained(make_trainer) for name, make_trainer in TRAINERS.items()})
