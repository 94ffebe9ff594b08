"""Cases of reductions, losses, sparse projections and parts of LSTM steps. Importing this needs no DyNet."""

from op_cases import add, many, named, one

for x in (one(4), one(3, 2), many(4), many(3, 2)):
    for op in ("mean_elems", "mean_batches", "std_elems", "l2_norm", "logsumexp_dim", "cumsum"):
        add(op, named(op), x)
    for r in (1, 2, 3, 4, 5):
        add(f"moment_elems {r}", named("moment_elems", r=r), x)
for x in (many(4), many(3, 2)):
    add("std_batches", named("std_batches"), x)
    add("moment_batches 2", named("moment_batches", r=2), x)

for x, d, b in [
    (one(4), [0], False),
    (one(3, 2), [0], False),
    (one(3, 2), [1], False),
    (one(3, 2), [0, 1], False),
    (many(3, 2), [0], False),
    (many(3, 2), [1], False),
    (many(3, 2), [1], True),
    (many(3, 2), [0], True),
    (many(3, 2), [0, 1], True),
    (one(2, 3, 2), [0, 2], False),
    (one(2, 3, 2), [1], False),
    (many(3, 2), [], True),
]:
    add(f"sum_dim {d} {b}", lambda dy, x, d=d, b=b: dy.sum_dim(x, d, b), x)
    add(f"mean_dim {d} {b}", lambda dy, x, d=d, b=b: dy.mean_dim(x, d, b, 0), x)
    add(f"mean_dim {d} {b} of 7", lambda dy, x, d=d, b=b: dy.mean_dim(x, d, b, 7), x)
    add(f"std_dim {d} {b}", lambda dy, x, d=d, b=b: dy.std_dim(x, d, b, 0), x)
    for r in (1, 2, 3):
        add(f"moment_dim {d} {r} {b}", lambda dy, x, d=d, b=b, r=r: dy.moment_dim(x, d, r, b, 0), x)
    add(f"moment_dim {d} 2 {b} of 7", lambda dy, x, d=d, b=b: dy.moment_dim(x, d, 2, b, 7), x)

for x in (one(3, 2), many(3, 2)):
    add("logsumexp_dim 1", named("logsumexp_dim", d=1), x, defect="0 for rows beyond the number of columns")
    add("std_dim 0 of 7", lambda dy, x: dy.std_dim(x, [0], False, 7), x, defect="n is ignored")
    add("cumsum 1", named("cumsum", d=1), x)
    add("max_dim 1", named("max_dim", d=1), x)
    add("min_dim", named("min_dim"), x)
    add("min_dim 1", named("min_dim", d=1), x)
    add("softmax 1", named("softmax", d=1), x)
for x in (one(5), many(5)):
    for mode in ("zero_gradient", "straight_through_gradient"):
        add(f"argmax {mode}", lambda dy, x, mode=mode: dy.argmax(x, mode), x)

add("pairwise_rank_loss", named("pairwise_rank_loss"), one(1, 5), one(1, 5))
add("pairwise_rank_loss 2.5", named("pairwise_rank_loss", m=2.5), many(1, 5), many(1, 5))
for y in (0, 5):
    add(f"poisson_loss {y}", lambda dy, x, y=y: dy.poisson_loss(dy.nobackprop(x), y), one(1))
    add(f"poisson_loss {y} and its gradient", lambda dy, x, y=y: dy.poisson_loss(x, y), one(1),
        defect="the gradient is not multiplied with that of the loss")  # fmt: skip
for x, y in [(one(5), one(5)), (one(3, 2), one(3, 2))]:
    add("huber_distance", named("huber_distance"), x, y)
    add("huber_distance 0.3", named("huber_distance", c=0.3), x, y)
    add("l1_distance", named("l1_distance"), x, y)
add("binary_log_loss", lambda dy, x: dy.binary_log_loss(x, dy.inputVector([0.0, 1.0, 0.4])), one(3), low=0.1, high=0.9)
add("binary_log_loss at the bounds", lambda dy, x: dy.binary_log_loss(dy.inputVector([0, 1, 0, 1]) + x * 0.0,
    dy.inputVector([0, 1, 1, 0])), one(4))  # fmt: skip
add("binary_log_loss of both", named("binary_log_loss"), one(3), one(3), low=0.1, high=0.9,
    defect="the gradient of y")  # fmt: skip
add("l2_norm of zeros", lambda dy, x: dy.l2_norm(x * 0.0), one(4), defect="the gradient is NaN")
add("std_elems of zeros", lambda dy, x: dy.std_elems(x * 0.0), one(4), defect="the gradient is NaN")

add("hinge", lambda dy, x: dy.hinge(x, 2), one(5))
add("hinge 0.5", lambda dy, x: dy.hinge(x, 0, 0.5), one(5))
add("hinge_batch", lambda dy, x: dy.hinge_batch(x, [2, 0, 4]), many(5))
add("hinge_batch 3", lambda dy, x: dy.hinge_batch(x, [2, 0, 4], 3.0), many(5))
for x in (one(3, 2), many(3, 2)):
    add("hinge_dim 0", lambda dy, x: dy.hinge_dim(x, [2, 0], 0), x)
    add("hinge_dim 1", lambda dy, x: dy.hinge_dim(x, [1, 0, 1], 1, 0.5), x)

add("sparsemax", named("sparsemax"), one(5))
add("sparsemax of one number", named("sparsemax"), one(1))
add("constrained_softmax", named("constrained_softmax"), one(5), one(5), low=0.1, high=0.5)
add("weight_norm", named("weight_norm"), one(3, 2), one(1))
add("weight_norm", named("weight_norm"), one(5), one(1))
add("layer_norm of a batch", named("layer_norm"), many(5), one(5), one(5))
add("circ_conv", named("circ_conv"), one(5), one(5))
add("circ_corr", named("circ_corr"), one(5), one(5))
add("circ_conv of 8", named("circ_conv"), one(8), one(8))
add("circ_corr of 8", named("circ_corr"), one(8), one(8))

for v in (1, 2, 3):
    add(f"kmh_ngram {v}", lambda dy, x, v=v: dy.kmh_ngram(x, v), one(2, 3))
add("fold_rows", named("fold_rows"), one(4, 3))
add("fold_rows", named("fold_rows"), one(4))
add("fold_rows 3", named("fold_rows", nrows=3), one(6, 2))

add("fold_rows", named("fold_rows"), many(4, 3), defect="the gradient of a batch")

LSTM = (one(8, 3), one(8, 2), one(8))
add("vanilla_lstm_gates", named("vanilla_lstm_gates"), one(3), one(2), *LSTM)
add("vanilla_lstm_gates", named("vanilla_lstm_gates"), many(3), many(2), *LSTM)
add("vanilla_lstm_gates_concat", lambda dy, x, y, *rest: dy.vanilla_lstm_gates_concat([x, y], *rest),
    one(2), one(1), one(2), *LSTM)  # fmt: skip
add("vanilla_lstm_gates_dropout",
    lambda dy, *xs: dy.vanilla_lstm_gates_dropout(*xs, dy.inputVector([0, 2, 2]), dy.inputVector([2, 0])),
    one(3), one(2), *LSTM)  # fmt: skip
add("vanilla_lstm_gates_dropout_concat",
    lambda dy, x, y, *rest: dy.vanilla_lstm_gates_dropout_concat(
        [x, y], *rest, dy.inputVector([0, 2, 2]), dy.inputVector([2, 0])),
    one(2), one(1), one(2), *LSTM)  # fmt: skip
add("vanilla_lstm_c", named("vanilla_lstm_c"), one(3), one(12))
add("vanilla_lstm_h", named("vanilla_lstm_h"), one(3), one(12))
add("vanilla_lstm_c", named("vanilla_lstm_c"), many(3), many(12))
add("vanilla_lstm_h", named("vanilla_lstm_h"), many(3), many(12))
