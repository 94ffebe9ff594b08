"""Parameters after 1, 2, 3, 4 and 50 updates by each trainer; half of the lookup rows are never used."""

from report import numbers, report, values

import dynet as dy

UPDATES = 50
SHOWN = (1, 2, 3, 4, 50)


def changed(trainer, **settings):
    for name, value in settings.items():
        if name == "learning_rate":
            trainer.learning_rate = value
        else:
            getattr(trainer, name)(value)
    return trainer


TRAINERS = {
    "sgd": lambda model: dy.SimpleSGDTrainer(model),
    "sgd, rate given": lambda model: dy.SimpleSGDTrainer(model, 0.05),
    "sgd, rate set": lambda model: changed(dy.SimpleSGDTrainer(model), learning_rate=0.02),
    "sgd, clipped": lambda model: changed(dy.SimpleSGDTrainer(model), set_clip_threshold=0.1),
    "sgd, not clipped": lambda model: changed(dy.SimpleSGDTrainer(model), set_clip_threshold=0.0),
    "sgd, dense": lambda model: changed(dy.SimpleSGDTrainer(model), set_sparse_updates=False),
    "cyclical": lambda model: dy.CyclicalSGDTrainer(model),
    "cyclical, settings given": lambda model: dy.CyclicalSGDTrainer(model, 0.01, 0.05, 7.0, 0.9),
    "momentum": lambda model: dy.MomentumSGDTrainer(model),
    "momentum, settings given": lambda model: dy.MomentumSGDTrainer(model, 0.004, 0.6),
    "momentum, dense": lambda model: changed(dy.MomentumSGDTrainer(model), set_sparse_updates=False),
    "adagrad": lambda model: dy.AdagradTrainer(model),
    "adagrad, settings given": lambda model: dy.AdagradTrainer(model, 0.05, 1e-3),
    "adagrad, dense": lambda model: changed(dy.AdagradTrainer(model), set_sparse_updates=False),
    "adadelta": lambda model: dy.AdadeltaTrainer(model),
    "adadelta, settings given": lambda model: dy.AdadeltaTrainer(model, 1e-4, 0.8),
    "adadelta, dense": lambda model: changed(dy.AdadeltaTrainer(model), set_sparse_updates=False),
    "rmsprop": lambda model: dy.RMSPropTrainer(model),
    "rmsprop, settings given": lambda model: dy.RMSPropTrainer(model, 0.01, 1e-4, 0.8),
    "rmsprop, dense": lambda model: changed(dy.RMSPropTrainer(model), set_sparse_updates=False),
    "amsgrad": lambda model: dy.AmsgradTrainer(model),
    "amsgrad, settings given": lambda model: dy.AmsgradTrainer(model, 0.01, 0.8, 0.99, 1e-6),
    "amsgrad, dense": lambda model: changed(dy.AmsgradTrainer(model), set_sparse_updates=False),
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
    history = {"rate": trainer.learning_rate, "losses": [], "rates": [], "values": []}
    for update in range(UPDATES):
        dy.renew_cg()
        used = [rows[update % 3], rows[0], rows[(update + 1) % 3]]
        target = dy.inputTensor(numbers((3,), 5))
        outputs = [dy.tanh(dy.affine_transform([b, W, row])) for row in used]
        loss = dy.esum([dy.squared_norm(y - target) for y in outputs])
        value = loss.value()
        loss.backward()
        trainer.update()
        if update + 1 in SHOWN:
            history["losses"].append(value)
            history["rates"].append(trainer.learning_rate)
            history["values"].append(values([W, b, unused, rows]))
    return history


if __name__ == "__main__":
    report({name: trained(make_trainer) for name, make_trainer in TRAINERS.items()})
