"""Cases of selection, convolution, pooling, contraction and linear algebra, in the form of `op_cases`."""

from op_cases import add, many, named, one


def invertible(dy, x):
    """A matrix whose determinant is positive."""
    return dy.transpose(x) * x + dy.inputTensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


for x in (one(5, 3), many(5, 3)):
    add("select_rows", named("select_rows", rs=[4, 0, 2]), x)
    add("select_rows repeated", named("select_rows", rs=[1, 1]), x)
    add("select_cols", named("select_cols", cs=[2, 0]), x)
    add("kmax_pooling", named("kmax_pooling", k=2), x)
    add("kmax_pooling along columns", named("kmax_pooling", k=3, d=0), x)
    add("strided_select", lambda dy, x: dy.strided_select(x, [2, 1], [1, 0], [5, 2]), x)
    add("strided_select by default", lambda dy, x: dy.strided_select(x, [2], [], []), x)
    add("x[a:b:c, d:e]", lambda dy, x: x[1:5:2, 0:2], x)
add("strided_select of a batch", lambda dy, x: dy.strided_select(x, [1, 2], [0, 1], [4, 3]), many(4))
add("select_rows", named("select_rows", rs=[3, 1]), one(4))
add("kmax_pooling", named("kmax_pooling", k=2, d=0), one(7))
add("pick from a tensor", named("pick", index=2, dim=1), one(2, 3, 4))
add("pick_range of columns", lambda dy, x: dy.pick_range(x, 1, 3, 1), one(3, 4))
for x in (many(4), many(3, 2)):
    add("pick_batch_elem", named("pick_batch_elem", v=2), x)
    add("pick_batch_elems", named("pick_batch_elems", vs=[2, 0, 2]), x)
    add("pick_batch_elems, one", named("pick_batch_elems", vs=[1]), x)
add("pick_batch along columns", lambda dy, x: dy.pick_batch(x, [0, 3, 1], 1), many(2, 4))

for stride in ([1, 1], [2, 1], [2, 3]):
    for is_valid in (True, False):
        kind = f"{stride} {'VALID' if is_valid else 'SAME'}"
        for x in (one(7, 5, 2), many(7, 5, 2)):
            plain = named("conv2d", stride=stride, is_valid=is_valid)
            add(f"conv2d {kind}", plain, x, one(3, 2, 2, 4))
            bias = named("conv2d_bias", stride=stride, is_valid=is_valid)
            add(f"conv2d_bias {kind}", bias, x, one(2, 3, 2, 3), one(3))
            add(f"maxpooling2d {kind}", named("maxpooling2d", ksize=[3, 2], stride=stride, is_valid=is_valid), x)
add("conv2d of a matrix", named("conv2d", stride=[1, 1]), one(4, 5), one(2, 2, 1, 3))
add("conv2d of the image's size", named("conv2d", stride=[1, 1]), one(4, 5, 2), one(4, 5, 2, 3))
add("conv2d of one number", named("conv2d", stride=[2, 2]), one(4, 5, 2), one(1, 1, 2, 3))
add("maxpooling2d of a matrix", named("maxpooling2d", ksize=[2, 2], stride=[2, 2]), one(4, 5))
add("filter1d_narrow", named("filter1d_narrow"), one(4, 7), one(4, 3))
add("filter1d_narrow", named("filter1d_narrow"), one(4, 7), one(4, 3, 5))
add("filter1d_narrow", named("filter1d_narrow"), one(1, 3), one(1, 3, 2))

add("inverse", lambda dy, x: dy.inverse(invertible(dy, x)), one(3, 3))
add("logdet", lambda dy, x: dy.logdet(invertible(dy, x)), one(3, 3))
add("trace_of_product", named("trace_of_product"), one(3, 4), one(3, 4))
add("trace_of_product", named("trace_of_product"), one(4), one(4))

for x, y in ((one(2, 3, 4), one(4)), (one(2, 3, 4), many(4)), (many(2, 3, 4), one(4)), (many(2, 3, 4), many(4))):
    add("contract3d_1d_bias", named("contract3d_1d_bias"), x, y, one(2, 3))
add("contract3d_1d_1d", named("contract3d_1d_1d"), one(2, 3, 4), one(4), one(3))
add("contract3d_1d_1d_bias", named("contract3d_1d_1d_bias"), one(2, 3, 4), one(4), one(3), one(2))


def gradients_of_contract3d_1d(dy, x, y):
    """Without the value, to which DyNet 2.1 adds uninitialized memory."""
    z = dy.contract3d_1d(x, y)
    return z - dy.nobackprop(z)


add("contract3d_1d, gradients", gradients_of_contract3d_1d, one(2, 3, 4), one(4))
