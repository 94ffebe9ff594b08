"""Values in the graph under weight decay, for each trainer; DyNet rescales them along the way."""

import sys

from report import listed, numbers, report

import dynet as dy

DECAY = 0.1
UPDATES = 16  # 0.9 ** 14 < 0.25, below which DyNet rescales


def trained(name, file):
    model = dy.ParameterCollection()
    model.set_weight_decay(DECAY)
    W = model.add_parameters((2, 3), init=dy.NumpyInitializer(numbers((2, 3), 1)))
    part = model.add_subcollection("part")
    b = part.add_parameters(2, init=dy.NumpyInitializer(numbers((2,), 2)))
    rows = model.lookup_parameters_from_numpy(numbers((4, 3), 4))
    trainer = getattr(dy, name)(model)
    history = []
    for update in range(UPDATES):
        dy.renew_cg()
        loss = dy.squared_norm(dy.affine_transform([b, W, rows[update % 3]]))
        loss.forward()
        loss.backward()
        trainer.update()
        dy.renew_cg()
        history.append([listed(expression) for expression in [W + 0, b + 0, *[rows[k] + 0 for k in range(4)]]])
    model.save(file)
    with open(file) as saved:
        lines = [[float(word) for word in line.split()] for line in saved if not line.startswith("#")]
    return {"values": history, "saved": [line for line in lines if line]}


def main():
    file, *trainers = sys.argv[1:]
    results = {name: trained(name, file) for name in trainers}
    report(results)


if __name__ == "__main__":
    main()
