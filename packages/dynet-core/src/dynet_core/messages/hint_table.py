"""What to use instead of names that only other libraries have. Each row of a section is `what to use <- names`.

A section's title says where the names are missing: a class; a class or method with `()`, for its keyword arguments;
`arguments`, for any function's; `operators`; or the module: `ops` if an op is used instead, else `dy`. {} is the name.
"""

HINT_TABLE = """\
[ops]
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
clip_by_value <- hardtanh clamp clip
log_sigmoid <- logsigmoid
bmax <- maximum
bmin <- minimum
negative <- neg
pow <- power
rectify <- relu rectified_linear ReLU
logistic <- sigmoid Sigmoid
subtract <- sub
silu <- swish
affine_transform <- addmm dense linear
matmul <- bmm mm mv
dot_product <- dot vdot
contract3d_1d contract3d_1d_1d matmul <- einsum
contract3d_1d contract3d_1d_1d <- tensordot
max_dim <- amax reduce_max
sum_batches <- batch_sum
inverse <- inv
logsumexp_dim logsumexp <- log_sum_exp logsumexp_elems
max_dim emax <- max
mean_elems mean_dim average <- mean reduce_mean
min_dim bmin <- min amin reduce_min
l2_norm <- norm
logdet <- slogdet
std_elems std_dim <- std
sum_elems sum_dim esum <- sum reduce_sum
concatenate <- cat concat vstack
concatenate_cols <- column_stack concat_cols
concatenate_to_batch <- concat_to_batch
lookup <- embedding embedding_lookup
reshape <- expand_dims flatten ravel squeeze unsqueeze view
pick pick_batch select_cols <- gather
select_cols select_rows <- index_select
pickrange <- narrow
transpose <- permute swapaxes t
concatenate_cols concatenate_to_batch <- stack
pick select_cols <- take
pickneglogsoftmax cross_entropy <- CrossEntropyLoss NLLLoss nll_loss pick_neg_log_softmax softmax_cross_entropy
pickneglogsoftmax <- sparse_softmax_cross_entropy_with_logits
dot_product_attention <- scaled_dot_product_attention Attention
additive_attention <- AdditiveAttention BahdanauAttention
sinusoidal_positions <- PositionalEncoding
chu_liu_edmonds eisner <- chuliu_edmonds chu_liu mst decode_mst maximum_spanning_arborescence
hinge <- hinge_loss
pairwise_rank_loss <- margin_ranking_loss
poisson_loss <- poisson_nll_loss
nobackprop <- detach no_grad stop_gradient
flip_gradient <- gradient_reversal
layer_norm_dim layer_norm <- layernorm LayerNorm
rms_norm <- RMSNorm rmsnorm
binary_log_loss_of_logits <- binary_cross_entropy_with_logits BCEWithLogitsLoss
filter1d_narrow <- conv1d
maxpooling2d kmax_pooling <- max_pool max_pool2d
inputTensor inputVector <- array tensor as_tensor asarray convert_to_tensor from_numpy
random_bernoulli <- bernoulli
constant <- full
random_gumbel <- gumbel
inputVector inputTensor <- input
one_hot <- oneHot onehot
scalarInput <- inputScalar scalar
random_normal <- normal randn
random_uniform <- rand uniform
sparse_inputTensor <- sparse_input
inputVector <- vector
[dy]
dy.AmsgradTrainer <- AMSGrad
dy.{}Trainer <- Adadelta Adagrad Adam AdamW RMSProp
dy.AdamTrainer <- AdamOptimizer
dy.CyclicalSGDTrainer <- CyclicLR
dy.MomentumSGDTrainer <- MomentumOptimizer
dy.RMSPropTrainer <- RMSprop
trainer.set_schedule(lambda n: gamma ** (n // steps)), or trainer.learning_rate = rate <- StepLR
trainer.set_schedule(function of the number of updates) <- LambdaLR lr_scheduler
dy.AveragedParameters <- AveragedModel ExponentialMovingAverage
trainer.set_schedule(dy.CosineSchedule(steps)) <- CosineAnnealingLR
trainer.set_schedule(dy.ExponentialSchedule(gamma, steps)) <- ExponentialLR
trainer.set_schedule(dy.WarmUpSchedule(steps)) <- LinearLR
trainer.set_schedule(plateau), where plateau is a dy.PlateauSchedule <- ReduceLROnPlateau
dy.SimpleSGDTrainer or dy.MomentumSGDTrainer <- SGD GradientDescentOptimizer
trainer.set_clip_threshold(...) <- clip_grad_norm clip_grad_norm_
dy.AdamTrainer or another dy.Trainer <- Optimizer optim optimizers
dy.BiRNNBuilder <- BiLSTM Bidirectional
dy.MultiHeadAttentionBuilder(dim, heads, model) <- MultiheadAttention MultiHeadAttention
dy.TransformerEncoderLayerBuilder(dim, heads, inner_dim, model) <- TransformerEncoder TransformerEncoderLayer
dy.TransformerDecoderLayerBuilder(dim, heads, inner_dim, model) <- TransformerDecoder TransformerDecoderLayer
dy.BiaffineBuilder(x_dim, y_dim, model) <- Biaffine BiaffineAttention Bilinear bilinear
dy.AdaptiveSoftmaxBuilder(rep_dim, cutoffs, num_classes, model) <- AdaptiveLogSoftmaxWithLoss AdaptiveSoftmax
dy.HierarchicalSoftmaxBuilder(rep_dim, cluster_file, word_dict, model) <- HierarchicalSoftmax HSMBuilder
dy.CRFBuilder(num_tags, model) <- CRF ConditionalRandomField LinearCRF
dy.batches_by_length(examples, size); each list goes into one graph <- DataLoader BucketIterator
dy.dropout(x, p), or network.set_dropout(p) <- Dropout
dy.GRUBuilder <- GRU GRUCell
dy.VanillaLSTMBuilder <- LSTM LSTMCell
dy.SimpleRNNBuilder <- RNN RNNBuilder RNNCell SimpleRNN
dy.ChildSumTreeLSTMBuilder or dy.NaryTreeLSTMBuilder <- TreeLSTM
dy.affine_transform([b, W, x]), with W and b from model.add_parameters <- Dense Linear
E = model.add_lookup_parameters((rows, dim)), then E[i] <- Embedding LookupParameter
dy.ParameterCollection <- Module ParameterList
dy.read_vectors(path) <- GloVe KeyedVectors load_word2vec_format
dy.Vocabulary <- Vocab StringLookup build_vocab_from_iterator
model.add_parameters(dims) <- Parameter Variable
dy.GlorotInitializer <- glorot_uniform xavier_uniform_
functions such as dy.tanh, and dy.ParameterCollection for parameters <- nn functional
a function that calls all layers: y = dy.tanh(W * x + b) <- Sequential ModuleList
nothing: all numbers are float32 <- dtype float16 float32 float64
dy.SaxeInitializer <- orthogonal
no base class: dy.save takes objects with param_collection(), spec and from_spec() <- Saveable
dy.parameter or model.parameters_list() <- parameters
numpy.allclose(x.npvalue(), y.npvalue()) <- allclose
dy.inputVector(range(n)) <- arange
dy.argmax(-x, gradient_mode) <- argmin
numpy.{}(x.npvalue()) <- argsort isnan sign sort
loss.backward() <- backward
x itself: sizes of 1 are broadcast <- broadcast_to expand
x[begin:end] <- chunk split
nothing for the CPU; for a GPU, --dynet-gpu or dynet_config.set_gpu() before import dynet <- device cuda
dy.dot_product(x, y) / (dy.l2_norm(x) * dy.l2_norm(y)) <- cosine_similarity
e.value(); networks have disable_dropout() <- eval
2 ** x <- exp2
2 * dy.cmult(dy.exp(x / 2), dy.sinh(x / 2)) <- expm1
dy.inputTensor(numpy.eye(n)) <- eye
dy.cmult(x, 0.5 + 0.5 * dy.erf(x / 2**0.5)) <- gelu GELU
loss.backward(), then p.gradient() or trainer.update() <- grad autograd
e.value() <- item value
dy.bmax(x, 0.01 * x) <- leaky_relu
dy.inputVector(numpy.linspace(...)) <- linspace
model.populate(path) <- load_model load_state_dict
dy.log(x) / math.log(10) <- log10
dy.asinh(dy.cmult(x, 0.5 + 0.5 / (x + 1))) <- log1p
dy.log(x) / math.log(2) <- log2
dy.reset_random_seed <- manual_seed seed set_random_seed
dy.cmult(x, dy.tanh(-dy.log_sigmoid(-x))) <- mish
dy.renew_cg <- new_graph renew renew_graph
e.npvalue() <- npvalue numpy
dy.ones(*x.dim()) <- ones_like
x * dy.transpose(y) <- outer
dy.exp(dy.sum_elems(dy.log(x))) if x > 0 <- prod
1 / x <- reciprocal
dy.clip_by_value(x, 0, 6) <- relu6
x - dy.cmult(y, dy.floor(x / y)), or x - y * dy.floor(x / y) for a number y <- remainder
x ** -0.5 <- rsqrt
model.save(path) <- save_model
dynet_config.set(threads=n) before import dynet, or --dynet-threads n <- set_num_threads
dy.softmax(-x) <- softmin
-dy.log_sigmoid(-x) <- softplus
dy.concatenate([x] * n) <- tile
e.tensor_value().topk(...) <- topk
list(x) <- unbind unstack
dy.zeros(*x.dim()) <- zeros_like
dy.square(dy.std_elems(x)) or dy.square(dy.std_dim(x)) <- var
dy.trace_of_product(x, dy.inputTensor(numpy.eye(n))) <- trace
dy.concatenate for vectors, dy.concatenate_cols for matrices <- hstack
dy.squared_distance(x, y) / n for the mean of n elements <- MSELoss mse_loss
dy.l1_distance(x, y) / n for the mean of n elements <- l1_loss
dy.binary_log_loss(x, y) / n for the mean of n elements <- bce_loss binary_cross_entropy
dy.huber_distance(x, y, 1) / n for the mean of n elements <- huber_loss smooth_l1_loss
dy.layer_norm for each example, or dy.mean_batches and dy.std_batches <- batchnorm BatchNorm1d
[Refusals]
dy.where(mask, e, dy.constant(1, value)); mask is 0 where the value goes <- masked_fill
e.npvalue().argmax(), or dy.argmax(e, gradient_mode) for a one-hot vector <- argmax
e.npvalue(), on the host <- as_array cpu data numpy to
e.npvalue().astype(...) <- astype int long
e itself: all numbers are float32 <- float double half
e, which never changes <- clone copy
dynet_config.set_gpu() before import dynet <- cuda
dy.get_device_info("") <- device
e.npvalue().dtype; computed in float32 <- dtype
e.value() <- eval item
dy.logsumexp_dim(e, d) <- logsumexp
len(e.shape) <- ndim
dy.nobackprop(e), which gets no gradient <- requires_grad requires_grad_
loss.backward(full=True), then e.gradient() <- grad retain_grad
e.shape or e.dim() <- size get_shape
e.vec_value() or e.npvalue().tolist() <- tolist
e.tensor_value().topk(...) <- topk
dy.zeros(dims) <- zero_
[operators]
%; x - dy.cmult(y, dy.floor(x / y)), or x - y * dy.floor(x / y) for a number y, is an operation <- __mod__ __rmod__
//; dy.floor(x / y) is an operation <- __floordiv__ __rfloordiv__
divmod; dy.floor(x / y) is an operation <- __divmod__ __rdivmod__
<< <- __lshift__ __rlshift__
>> <- __rshift__ __rrshift__
& <- __and__ __rand__
| <- __or__ __ror__
^ <- __xor__ __rxor__
~ <- __invert__
round; dy.round is the operation <- __round__
floor; dy.floor is the operation <- __floor__
ceil; dy.ceil is the operation <- __ceil__
[Trained]
p.as_array(), a copy <- copy clone cpu numpy
p, an expression, or p.as_array() and p.set_value(array) <- data weight weights
p.gradient() after backward(), or p.grad_as_array() <- grad
p.value() <- item
p.is_updated(), and p.set_updated(False) <- requires_grad
p.set_updated(False) <- requires_grad_
p.zero() <- zero_
[LookupParameters]
E[i] for a row, dy.lookup_batch(E, indices) for several <- __call__
[ParameterCollection]
model.parameters_list() and model.lookup_parameters_list() <- parameters params weights __getitem__
model.arrays() <- get_weights
model.set_arrays(arrays) <- set_weights
model.parameters_list() and model.lookup_parameters_list() <- trainable_variables variables trainable_weights
p.name() for p in model.parameters_list() + model.lookup_parameters_list() <- named_parameters
model.arrays(), or model.save(path) for a file <- state_dict
model.set_arrays(arrays), or model.populate(path) for a file <- load_state_dict
model.save(path) <- save_weights
model.populate(path) <- load_weights
set_dropout of networks, and dy.dropout where you train <- train training
model.set_weight_decay(decay) <- weight_decay l2
disable_dropout of networks, and no dy.dropout <- eval
nothing: trainer.update() leaves no gradients <- zero_grad
model.add_parameters(dims) <- add_parameter register_parameter
model.add_lookup_parameters((rows, dim)) <- add_lookup_parameter
model.add_subcollection(name) <- add_module
model.parameter_count() <- num_parameters count_params
model.set_updated(False) <- requires_grad_ trainable
print(model) <- summary
dynet_config.set_gpu() before import dynet <- to cuda
p.as_array() of a parameter <- cpu
functions of expressions; a collection only has parameters <- forward predict
a loop: loss.backward(), then trainer.update() <- fit compile
[LayersBuilder BiRNNBuilder]
b.param_collection().arrays(), or dy.torch_weights(b) for torch <- state_dict
b.param_collection().set_arrays(arrays), or dy.set_torch_weights(b, arrays) <- load_state_dict
b.param_collection().save(path) <- save
b.param_collection().populate(path) <- load populate
b.set_dropout(rate) <- train dropout
b.disable_dropout() <- eval
b.spec <- hidden_size hidden_dim input_size input_dim num_layers layers
[LayersBuilder]
b.get_parameters() or b.param_collection() <- parameters weights params
[_RNNBuilder]
b.initial_state().transduce(xs) <- forward transduce call __call__
b.initial_state().add_input(x) <- add_input
b.initial_state().add_inputs(xs) <- add_inputs
[_RNNBuilder ChildSumTreeLSTMBuilder NaryTreeLSTMBuilder]
b.initial_state() <- new_graph start_new_sequence init_hidden zero_state
[Vertical ChildSumTreeLSTMBuilder NaryTreeLSTMBuilder]
b.set_dropout(rate) <- set_dropouts
[Vertical]
nothing: each input has its own masks <- set_dropout_masks
[ChildSumTreeLSTMBuilder NaryTreeLSTMBuilder]
b.initial_state().transduce(xs, heads) <- forward transduce call __call__
b.initial_state().add_input(x, children) <- add_input
b.initial_state().add_inputs(xs, heads) <- add_inputs
b.initial_state(): leaves begin with zeros <- initial_state_from_raw_vectors
nothing: each node has its own masks <- set_dropout_masks
[BiRNNBuilder]
b.param_collection().parameters_list() <- parameters weights params
{}() of both builders in each of b.builder_layers, or b.param_collection().parameters_list() <- get_parameters
{}() of both builders in each of b.builder_layers <- get_parameter_expressions
b.transduce(xs) <- forward call __call__
b.add_inputs(xs) of all inputs: one network begins with the last <- add_input
b.transduce(xs), or b.add_inputs(xs) for states: both begin anew <- initial_state new_graph init_hidden
b.transduce(xs), or b.add_inputs(xs) for states: both begin anew <- start_new_sequence zero_state
{}(vecs) of both builders in each of b.builder_layers <- initial_state_from_raw_vectors
b.set_dropout(rate), or set_dropouts(d, d_r) of both builders in each of b.builder_layers <- set_dropouts
{}(batch_size) of both builders in each of b.builder_layers, after its initial_state() <- set_dropout_masks
[SoftmaxBuilder]
layer.full_logits(x), or layer.neg_log_softmax(x, c) for a loss <- __call__
[RNNState]
state.add_input(x) <- forward step
state.h(), or state.output() for the last layer <- hidden
state.s(), which begins with the cells of an LSTM <- c
state.output().value() <- value
state.output().dim() <- dim
state.set_s([dy.nobackprop(v) for v in state.s()]) <- detach
[Trainer]
trainer.update() <- step apply_gradients
loss.backward(), then trainer.update() <- minimize backward
nothing: trainer.update() leaves no gradients <- zero_grad
trainer.learning_rate <- param_groups lr rate eta eta0
trainer.set_learning_rate(rate) <- set_lr
trainer.save(path) <- state_dict
trainer.populate(path) <- load_state_dict
parameters of the collection: a trainer changes all of them <- add_param_group
trainer.set_clip_threshold(threshold) <- clip clipnorm clip_threshold clip_grad_norm
an argument, as in dy.AdamTrainer(model, beta_1=0.9) <- beta1 beta2 beta_1 beta_2 eps epsilon rho mom
set_weight_decay of the collection <- weight_decay
[arguments]
learning_rate alpha e0 <- lr eta eta0 alpha e0 learning_rate
learning_rate alpha e0 p <- rate
eps <- epsilon
mom beta_1 <- momentum
rho edecay <- decay
m model pc <- params parameters collection m model pc
layers num_layers <- layers num_layers n_layers
input_dim rep_dim <- input_size in_dim in_features embedding_dim
hidden_dim <- hidden_size hidden out_dim out_features output_dim units
rnn_builder_factory <- rnn_builder builder factory cell
ln_lstm <- ln layer_norm
num_classes <- classes n_classes vocab_size
dim d dims <- shape dims dim size axis axes
init <- initializer initial initial_value init_value values
std stddev <- std stddev sigma
var <- variance
val c <- value val
p <- prob probability
index v idx <- i idx index
indices vs v idxs <- idxs indices
x e <- input e expr
xs exprs <- inputs es tensors expressions
batch_size <- batch
[add_parameters()]
p.set_updated(False) on the parameter p <- trainable requires_grad update frozen
dim=(rows, size of a row) <- vocab vocab_size num_embeddings rows
dim, which has all sizes <- rep_dim embedding_dim cols
nothing: all numbers are float32 <- dtype
[LayersBuilder() BiRNNBuilder() SoftmaxBuilder()]
set_dropout(rate) of the builder <- dropout dropout_rate recurrent_dropout
dy.BiRNNBuilder <- bidirectional
[NormalInitializer()]
var, the square of it <- std stddev sigma
[UniformInitializer()]
scale, for the range -scale to scale <- low high left right a b
[Trainer()]
beta_1 and beta_2 <- betas
dy.AdamWTrainer, or set_weight_decay(learning rate * decay) of the collection <- weight_decay
trainer.set_clip_threshold(threshold) <- clip clipnorm clip_threshold max_norm
edecay, or trainer.learning_rate <- lr_decay decay_rate
[SimpleSGDTrainer()]
dy.MomentumSGDTrainer <- momentum
[CyclicalSGDTrainer()]
learning_rate_min and learning_rate_max <- lr rate eta alpha e0 learning_rate
[RMSPropTrainer()]
rho, or learning_rate for the step size <- alpha
[AdadeltaTrainer()]
trainer.learning_rate, a factor that starts at 1 <- lr rate eta alpha e0 learning_rate
"""
