"""Every name in DyNet 2.1, as recorded by names.py, except Cython's. No DyNet is needed here."""

DYNET = """
    AdadeltaTrainer AdagradTrainer AdamTrainer AmsgradTrainer BiRNNBuilder ClassFactoredSoftmaxBuilder
    CompactVanillaLSTMBuilder ComputationGraph ConstInitializer CoupledLSTMBuilder CyclicalSGDTrainer DeviceInfo
    DynetParams ERRMSG Expression FastLSTMBuilder FloatValue FloatVectorValue FromFileInitializer GRUBuilder
    GlorotInitializer HAVE_CUDA IdentityInitializer LSTMBuilder LookupParameters Model MomentumSGDTrainer
    NormalInitializer NumpyInitializer ParameterCollection Parameters PyInitializer RMSPropTrainer RNNState
    SaxeInitializer SimpleRNNBuilder SimpleSGDTrainer SoftmaxBuilder SparseLSTMBuilder StackedRNNState
    StandardSoftmaxBuilder Tensor Trainer UniformInitializer UnsignedValue UnsignedVectorValue VanillaLSTMBuilder _CONF
    __gitversion__ __version__ abs acos acosh affine_transform argmax asin asinh atan atanh available_devices average
    binary_log_loss block_dropout bmax bmin cdiv ceil cg cg_checkpoint cg_revert cg_version circ_conv circ_corr cmult
    colwise_add concatenate concatenate_cols concatenate_to_batch const_parameter constant constrained_softmax
    contract3d_1d contract3d_1d_1d contract3d_1d_1d_bias contract3d_1d_bias conv2d conv2d_bias cos cosh cube cumsum
    dot_product dropout dropout_batch dropout_dim dump_cg dynet_config elu emax erf esum exp filter1d_narrow
    flip_gradient floor fold_rows forward get_device_info hinge hinge_batch hinge_dim huber_distance init
    init_from_params inputMatrix inputTensor inputTensorTranspose inputVector inverse kmax_pooling kmh_ngram l1_distance
    l2_norm layer_norm lgamma load load_generator log log_sigmoid log_softmax logdet logistic logsumexp logsumexp_dim
    lookup lookup_batch matInput max_dim maxpooling2d mean_batches mean_dim mean_elems min_dim moment_batches moment_dim
    moment_elems nobackprop noise np npvalues one_hot ones os pairwise_rank_loss parameter pick pick_batch
    pick_batch_elem pick_batch_elems pick_range pickle pickneglogsoftmax pickneglogsoftmax_batch pickrange poisson_loss
    pow print_function print_graphviz print_text_graphviz random_bernoulli random_gumbel random_normal random_uniform
    rectify renew_cg reset_random_seed reshape round save scalarInput scale_gradient select_cols select_rows selu silu
    sin sinh softmax softsign sparse_inputTensor sparsemax sqrt square squared_distance squared_norm std_batches std_dim
    std_elems strided_select sum_batches sum_dim sum_elems sys tan tanh to_device trace_of_product transpose values
    vanilla_lstm_c vanilla_lstm_gates vanilla_lstm_gates_concat vanilla_lstm_gates_dropout
    vanilla_lstm_gates_dropout_concat vanilla_lstm_h vecInput weight_norm zeroes zeros
""".split()
"""Of module `dynet`; `from dynet import *` brings those that do not begin with an underscore."""

UNDERSCORED = """
    _RNNBuilder _inputExpression _lookupBatchExpression _lookupExpression _pickerBatchExpression _pickerExpression
    _sparseInputExpression _tensorInputExpression _vecInputExpression
""".split()
"""What module `_dynet` has of its own."""

NOT_UNDERSCORED = """
    ERRMSG HAVE_CUDA dynet_config print_function print_graphviz
""".split()
"""What module `_dynet` lacks of those."""

CONFIG = ["get", "gpu", "set", "set_gpu"]
"""Of module `dynet_config`."""

MEMBERS = """
AdadeltaTrainer AdagradTrainer AdamTrainer AmsgradTrainer CyclicalSGDTrainer MomentumSGDTrainer RMSPropTrainer
SimpleSGDTrainer:
    get_clip_threshold learning_rate restart set_clip_threshold set_learning_rate set_sparse_updates status update
    update_epoch update_subset whoami

BiRNNBuilder:
    add_inputs disable_dropout from_spec param_collection set_dropout transduce whoami

ClassFactoredSoftmaxBuilder:
    class_log_distribution class_logits full_log_distribution full_logits neg_log_softmax neg_log_softmax_batch
    param_collection sample subclass_log_distribution subclass_logits

CompactVanillaLSTMBuilder:
    disable_dropout from_spec get_parameter_expressions get_parameters initial_state initial_state_from_raw_vectors
    param_collection set_dropout set_dropout_masks set_dropouts set_weightnoise spec whoami

ComputationGraph:
    backward checkpoint dump forward forward_scalar forward_vec inc_forward inc_forward_scalar inc_forward_vec
    inputMatrixLiteral inputSparseTensor print_graphviz renew revert version

ConstInitializer DeviceInfo FromFileInitializer GlorotInitializer IdentityInitializer NormalInitializer
NumpyInitializer PyInitializer SaxeInitializer UniformInitializer:

CoupledLSTMBuilder GRUBuilder:
    disable_dropout from_spec get_parameter_expressions get_parameters initial_state initial_state_from_raw_vectors
    param_collection set_dropout spec whoami

DynetParams:
    from_args from_config init set_autobatch set_cpu_mode set_gpu_mask set_mem set_profiling set_random_seed
    set_requested_gpus set_shared_parameters set_weight_decay

Expression inputTensorTranspose:
    __add__ __getitem__ __mul__ __neg__ __pow__ __radd__ __rmul__ __rpow__ __rsub__ __rtruediv__ __sub__ __truediv__
    backward dim forward gradient npvalue scalar_value tensor_value value vec_value

FastLSTMBuilder:
    disable_dropout get_parameter_expressions get_parameters initial_state initial_state_from_raw_vectors
    param_collection set_dropout whoami

FloatValue UnsignedValue:
    get set

FloatVectorValue UnsignedVectorValue:
    get set size

LSTMBuilder SimpleRNNBuilder VanillaLSTMBuilder:
    disable_dropout from_spec get_parameter_expressions get_parameters initial_state initial_state_from_raw_vectors
    param_collection set_dropout set_dropout_masks set_dropouts spec whoami

LookupParameters:
    __add__ __getitem__ __len__ __mul__ __neg__ __pow__ __radd__ __rmul__ __rpow__ __rsub__ __rtruediv__ __sub__
    __truediv__ as_array backward batch dim expr forward grad_as_array gradient init_from_array init_row is_updated
    name npvalue populate populate_from_textfile row_as_array row_grad_as_array rows_as_array rows_grad_as_array
    save scalar_value scale scale_gradient set_updated shape tensor_value value vec_value write_to_textfile zero

Model ParameterCollection:
    add_lookup_parameters add_parameters add_subcollection get_weight_decay load_lookup_param load_param
    lookup_parameters_from_numpy lookup_parameters_list name parameter_count parameters_from_numpy parameters_list
    populate populate_from_textfile save set_weight_decay set_weight_decay_lambda write_to_textfile

Parameters:
    __add__ __getitem__ __mul__ __neg__ __pow__ __radd__ __rmul__ __rpow__ __rsub__ __rtruediv__ __sub__ __truediv__
    as_array backward clip_inplace dim expr forward grad_as_array gradient is_updated name npvalue populate
    populate_from_textfile save scalar_value scale scale_gradient set_updated set_value shape tensor_value value
    vec_value write_to_textfile zero

RNNState:
    add_input add_inputs b h output prev s set_h set_s transduce

SoftmaxBuilder StandardSoftmaxBuilder:
    full_log_distribution full_logits neg_log_softmax neg_log_softmax_batch param_collection sample

SparseLSTMBuilder:
    disable_dropout from_spec get_parameter_expressions get_parameters initial_state initial_state_from_raw_vectors
    param_collection set_dropout set_dropout_masks set_dropouts set_sparsity spec whoami

StackedRNNState:
    add_input add_inputs h output prev s

Tensor:
    argmax as_numpy categorical_sample_log_prob topk

Trainer:
    get_clip_threshold learning_rate restart set_clip_threshold set_learning_rate set_sparse_updates status update
    update_epoch update_subset
"""
"""Names of classes, and what these have that objects do not have anyway."""

CLASSES: dict[str, list[str]] = {}
for group in MEMBERS.strip().split("\n\n"):
    classes, _, members = group.partition(":")
    CLASSES |= {name: members.split() for name in classes.split()}
