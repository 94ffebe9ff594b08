"""What operations of other libraries are called in DyNet. Error messages use this: `dy.relu` suggests `dy.rectify`.

The names come from PyTorch, JAX, numpy, TensorFlow, Keras and older versions of DyNet.
"""

from __future__ import annotations

from dynet_core.hints import hint_table

OPERATIONS: dict[str, str] = hint_table("""
# operations on each element
abs <- absolute
esum <- add_n
acos <- arccos
acosh <- arccosh
asin <- arcsin
asinh <- arcsinh
atan <- arctan
atanh <- arctanh
add <- cwise_add
cmult <- cwise_multiply mul multiply
cdiv <- cwise_quotient div divide true_divide
bmin bmax <- hardtanh clamp clip
log_sigmoid <- logsigmoid
bmax <- maximum
bmin <- minimum
negative <- neg
pow <- power
rectify <- relu rectified_linear
logistic <- sigmoid
subtract <- sub
silu <- swish
# products of vectors, matrices and tensors
affine_transform <- addmm dense linear
matmul <- bmm mm mv
dot_product <- dot vdot
contract3d_1d contract3d_1d_1d matmul <- einsum
contract3d_1d contract3d_1d_1d <- tensordot
# sums, extremes and other reductions of several elements to one
max_dim <- amax reduce_max
min_dim <- amin reduce_min
sum_batches <- batch_sum
inverse <- inv
logsumexp_dim logsumexp <- log_sum_exp
logsumexp_dim <- logsumexp_elems
max_dim emax <- max
mean_elems mean_dim average <- mean
min_dim bmin <- min
l2_norm <- norm
mean_elems mean_dim <- reduce_mean
sum_elems sum_dim <- reduce_sum
logdet <- slogdet
std_elems std_dim <- std var
sum_elems sum_dim esum <- sum
trace_of_product <- trace
# operations that change shapes, join expressions, or take parts of them
concatenate <- cat concat vstack
concatenate_cols <- column_stack concat_cols hstack
concatenate_to_batch <- concat_to_batch
lookup <- embedding embedding_lookup
reshape <- expand_dims flatten ravel squeeze unsqueeze view
pick pick_batch select_cols <- gather
select_cols select_rows <- index_select
pickrange <- narrow
transpose <- permute swapaxes t
concatenate_cols concatenate_to_batch <- stack
pick select_cols <- take
# loss functions
pickneglogsoftmax <- CrossEntropyLoss NLLLoss cross_entropy nll_loss pick_neg_log_softmax softmax_cross_entropy
pickneglogsoftmax <- sparse_softmax_cross_entropy_with_logits
squared_distance <- MSELoss mse_loss
binary_log_loss <- bce_loss binary_cross_entropy
hinge <- hinge_loss
huber_distance <- huber_loss smooth_l1_loss
l1_distance <- l1_loss
pairwise_rank_loss <- margin_ranking_loss
poisson_loss <- poisson_nll_loss
# operations that change or block gradients
nobackprop <- detach no_grad stop_gradient
flip_gradient <- gradient_reversal
# layers of neural networks: normalisation, convolution and pooling
layer_norm <- batchnorm layernorm LayerNorm
filter1d_narrow <- conv1d
maxpooling2d <- max_pool2d
maxpooling2d kmax_pooling <- max_pool
# functions that make expressions of numbers, arrays or random draws
inputTensor inputVector <- array tensor
inputTensor <- as_tensor asarray convert_to_tensor from_numpy
random_bernoulli <- bernoulli
constant <- full
random_gumbel <- gumbel
inputVector inputTensor <- input
scalarInput <- inputScalar scalar
random_normal <- normal randn
random_uniform <- rand uniform
sparse_inputTensor <- sparse_input
inputVector <- vector
""")
"""Name in another library -> names of DyNet's operations to use instead, separated by spaces.

Operations that take one expression come before those that take several.
"""
