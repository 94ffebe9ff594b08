"""Wrong uses that type checkers must report. `nox -s types` fails if one of the ignore comments is not needed.

This shows that each name has a type, because a name of type Any could be used in any way.
"""

import dynet as dy

x = dy.inputVector([1, 2])
W = dy.Model().add_parameters((2, 2))

dy.relu(x)  # type: ignore[attr-defined]
dy.activations.selu(x)  # type: ignore[attr-defined]
print(dy.no_such_name)  # type: ignore[attr-defined]
print(x.no_such_name)  # type: ignore[attr-defined]
dy.tanh(1)  # type: ignore[arg-type]
dy.tanh(x, x)  # type: ignore[call-arg]
dy.concatenate(x, x)  # type: ignore[arg-type]
dy.pick(x, "1")  # type: ignore[arg-type]
dy.inputVector(1)  # type: ignore[arg-type]
dy.lookup(W, 1)  # type: ignore[arg-type]
dy.AdamTrainer(W)  # type: ignore[arg-type]
dy.VanillaLSTMBuilder(1, 2, 3)  # type: ignore[call-arg]
x + "1"  # type: ignore[operator]
x["first"]  # type: ignore[index]
x.scalar_value() + "1"  # type: ignore[operator]
W.set_value(arr=W, rows=1)  # type: ignore[call-arg]
dy.save("model")  # type: ignore[call-arg]
dy.dynet_config.set(memory=1)  # type: ignore[call-arg]
