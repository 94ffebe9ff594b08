"""Names a test for every row of docs/differences.md; whoever adds a row adds its test."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = {
    "`Parameters.expr()`": "dynet-ops/test_parameters_in_graphs: a_parameter_is_an_expression",
    "`1 + x`, `2 * x`, `1 - x`, `2 / x`, `sum([x, y])`, `x / y`": "dynet-ops/test_operators: with_a_number",
    "`W * x` after a graph with NaN": "dynet-ops/test_edges: nan_of_one_node_stays_there",
    "gradients of average (mixed batch), emax, fold_rows (batched) and others": "dynet-ops/test_table: gradients",
    "`pickneglogsoftmax_batch`": "dynet-ops/test_edges: losses_of_a_batch_do_not_meet",
    "`pickrange(x, v, u)`": "dynet-ops/test_short_ways: ranges",
    "dropout": "dynet-ops/test_dropout: how_many_are_dropped_and_how_the_rest_is_scaled",
    "`sum_cols`": "dynet-ops/test_table: value",
    "trainer keywords": "dynet-optim/test_keywords: a_keyword_sets_what_its_place_sets",
    "`update(s)`, `update_epoch(r)`": "dynet-optim/test_rules: equations",
    "Adam after an update with weight decay, `as_array`": (
        "dynet-optim/test_weight_decay: an_update_is_that_without_decay_and_then_shrinks"
    ),
    "`trace_of_product(x, y)`": "dynet-ops/test_table: value",
    "`kmax_pooling` with equal numbers": (
        "dynet-ops/test_tensors: kmax_pooling_keeps_order_and_prefers_the_first_of_equals"
    ),
    "`filter1d_narrow`, `conv2d` with batched x, filters or bias": (
        "dynet-ops/test_tensors: filters_of_a_batch_element_are_its_own"
    ),
    "`contract3d_1d`": "tests/parity/test_parity_tensor_defects: a_defect_is_not_repeated",
    "`logdet` of a negative determinant, of a singular matrix": "dynet-ops/test_tensors: logdet_says_what_numpy_says",
    "weight decay: `as_array`": (
        "dynet-optim/test_weight_decay: files_hold_what_the_graph_computes_with_and_are_taken_as_they_are"
    ),
    "weight decay: parameters with `set_updated(False)`": (
        "dynet-optim/test_weight_decay: parameters_that_are_not_updated_keep_their_values"
    ),
    "weight decay: a subcollection that is trained by itself": (
        "dynet-optim/test_weight_decay: a_subcollection_trained_by_itself_goes_by_its_own"
    ),
    "weight decay: `populate`": (
        "dynet-optim/test_weight_decay: files_hold_what_the_graph_computes_with_and_are_taken_as_they_are"
    ),
    "`update_subset`": "dynet-optim/test_trainer: subset",
    "`restart()` after `update_epoch`": "dynet-optim/test_rates: restart",
    "`AdadeltaTrainer.learning_rate`": "dynet-optim/test_rates: adadelta_goes_by_its_rate",
    "gradients of parameters with `set_updated(False)`": (
        "dynet-optim/test_trainer: parameters_not_updated_are_left_alone"
    ),
    "lookup parameters of one dimension: `add_lookup_parameters((3,))`, `lookup_parameters_from_numpy` of a vector": (
        "dynet-core/test_parameter: a_table_of_numbers_has_rows_of_one"
    ),
    "random stream": "tests/parity/test_parity_initial_values: values",
    "dropout and noise in forked processes": (
        "dynet-ops/test_dropout: a_forked_child_draws_otherwise_than_its_parent_and_siblings"
    ),
    "Glorot's range": "dynet-core/test_initializer: glorot_range_and_moments",
    "`model.arrays()`, `model.set_arrays(arrays)`": "dynet-core/test_arrays_by_name: a_round_trip",
    "`Vocabulary`": "dynet-core/test_vocabulary: a_model_is_saved_with_its_vocabulary",
    "`AdamWTrainer`, `set_schedule` and schedules": "dynet-optim/test_adamw: parameters_that_do_not_decay",
    "`AveragedParameters`, `EarlyStopping`": "dynet-optim/test_kept: averages_follow_their_formula",
    "`matmul` and `*` of tensors": "dynet-ops/test_table: value",
    "`where`, `clip_by_value`, `layer_norm_dim`, `rms_norm`, `cross_entropy`, `binary_log_loss_of_logits`": (
        "dynet-ops/test_parts_of_networks: what_is_not_chosen_has_no_influence"
    ),
    "`dot_product_attention`, `additive_attention`, `sinusoidal_positions`": "dynet-ops/test_attention: masks",
    "`MultiHeadAttentionBuilder`, layers of transformers, `LearnedPositionsBuilder`": (
        "dynet-rnn/test_attention: decoder_layer"
    ),
    "`CRFBuilder`, `bio_constraints`, `crf_step`": "dynet-rnn/test_crf: values",
    "`BiaffineBuilder`, `chu_liu_edmonds`, `eisner`": "dynet-rnn/test_biaffine: values",
    "`HierarchicalSoftmaxBuilder`": "dynet-rnn/test_softmax: losses_use_only_the_rows_of_their_paths",
    "`AdaptiveSoftmaxBuilder`": "dynet-rnn/test_softmax: a_layer_without_cutoffs_is_a_softmax",
    "`batches_by_length`": "dynet-core/test_batches: examples_of_similar_length_are_together",
    "`read_vectors`": "dynet-core/test_vectors: a_file_is_read",
    "`set_torch_weights`, `torch_weights`": (
        "dynet-rnn/test_torch_modules: a_network_computes_what_the_module_of_torch_does"
    ),
    "layer normalization of a builder in `dy.save`": "dynet-rnn/test_saving_norms: normalizations_come_back",
    "`SaxeInitializer`": "dynet-core/test_initializer: saxe_is_orthonormal",
    "`initial_state()` several times in one graph": "dynet-rnn/test_dropout: sequences_have_masks_of_their_own",
    "`FastLSTMBuilder.set_dropout`": "dynet-rnn/test_dropout: one_mask_for_a_sequence",
    "`s.set_h(hs)` of an LSTM's state that is not the newest": "dynet-rnn/test_states: states_set_by_hand",
    "`LSTMBuilder`": "dynet-rnn/test_builders: lstm_builder_is_the_manuals_and_says_so_once",
    "`Model.load`, `load_all`, `save_all`, `from_file`": "dynet-core/test_text_format: the_manuals_names",
    "infinities, NaN, denormals in files": "dynet-core/test_numbers: infinities_and_nan_come_back",
    "`.safetensors` files": "dynet-core/test_safetensors: all_values_come_back",
    "`Tensor.topk`": "dynet-core/test_tensor: topk_is_a_sorted_part",
    "a second `backward()` on the same graph": "dynet-rnn/test_second_pass: a_second_pass_adds_the_same",
    "a learning rate below 0": "dynet-optim/test_trainer_errors: settings_out_of_range",
    "a subclass of a trainer or a collection whose `__init__` does not call `super().__init__`": (
        "dynet-optim/test_trainer_errors: a_subclass_that_does_not_call_its_base_is_told"
    ),
    "`backward()` of a graph after `update()`, `set_value` and the like": (
        "dynet-core/test_outdated: after_a_change_the_gradient_is_that_of_a_new_graph"
    ),
    "a parameter that changes while a graph is there": (
        "dynet-core/test_outdated: what_is_recorded_after_a_change_has_the_new_values"
    ),
    "arrays of `numpy.ma` that mask some numbers, as values of inputs and parameters": (
        "dynet-core/test_parameter: numbers_that_an_array_masks_are_refused"
    ),
    "`gradient()` of a parameter (not `grad_as_array()`) after an update": (
        "dynet-core/test_gradients_of_parameters: after_an_update_there_is_none"
    ),
    "`log_softmax(x, restrict=[0, 0, 1])`": "dynet-ops/test_ties_and_modes: a_restriction_is_a_set_of_indices",
    "`pickneglogsoftmax(x, 1)` of a batch of several columns": (
        "dynet-ops/test_ties_and_modes: one_index_serves_a_whole_batch"
    ),
    "`dynet_config.set(...)` of what DyNet knows, before `import dynet`": (
        "dynet/test_dynet_config: a_setting_that_dynet_knows_decides_alone"
    ),
    "`dynet_config.set(...)` twice": "dynet/test_dynet_config: settings_add_up",
    "`dynet_config.set_gpu(False)`": "dynet/test_dynet_config: a_gpu_that_is_not_there_is_an_error",
    "`HAVE_CUDA`": "dynet/test_installation: have_cuda_is_whether_there_is_a_driver",
    "`available_devices`, `get_device_info`": "dynet-core/test_device: a_gpu",
    "`set_weightnoise` of the compact LSTM; `weightnoise_std` of the gates": (
        "dynet-rnn/test_weight_noise: each_sequence_has_its_own_and_all_its_steps_the_same"
    ),
    "`dump_cg`": "dynet-ops/test_graph_methods: values_and_gradients",
    "unknown `--dynet-x`": "dynet-core/test_config: unknown_flag_is_one_warning_naming_the_nearest",
    "`ClassFactoredSoftmaxBuilder.full_logits`, `full_log_distribution`": "dynet-rnn/test_softmax: distribution",
    "`full_log_distribution` with words that have no cluster": (
        "dynet-rnn/test_softmax_clusters: words_without_a_cluster_are_never_predicted"
    ),
    "`set_sparsity` with less than before": "dynet-rnn/test_sparse: what_is_pruned_stays_pruned_as_the_share_rises",
    "`ChildSumTreeLSTMBuilder`, `NaryTreeLSTMBuilder`": "dynet-rnn/test_trees: values_and_gradients",
    "`floor`, `ceil`, `round`": "dynet-ops/test_ties_and_modes: the_gradient_of_a_step",
    "gradient of `silu(x, beta)`": "dynet-ops/test_table: gradients",
    '`to_device(e, "CPU")`': "dynet-ops/test_inputs: the_only_device",
    "`pow(x, y)`, `x ** y`": "dynet-ops/test_operators: powers_of_expressions",
    "`sin`, `cos`, `tan` of angles beyond 2^27": "dynet-ops/test_edges: angles_beyond_the_limit_count_as_zero",
    "`random_normal(dim, batch_size)`": "dynet-ops/test_random: moments",
    "`pairwise_rank_loss`": "dynet-ops/test_table: value",
    "`poisson_loss(x, y)`": "dynet-ops/test_table: gradients",
    "`poisson_loss` where exp(x) is beyond float32": (
        "dynet-ops/test_reductions: a_poisson_loss_is_infinite_where_its_rate_is"
    ),
    "`std_dim(..., n)`": "dynet-ops/test_reductions: the_deviation_of_masked_elements_is_that_of_the_others",
    "gradients of `std_*` and `l2_norm` where they are 0, of `layer_norm` where all elements are equal": (
        "dynet-ops/test_reductions: where_a_root_is_zero_its_gradient_is_zero"
    ),
    "`logsumexp_dim(x, 1)` of more rows than columns": "dynet-ops/test_table: value",
    "hinge losses where a wrong choice has the infinite score of the right one": (
        "dynet-ops/test_losses: hinge_losses_of_infinite_scores"
    ),
    "gradient of `binary_log_loss` by its second operand": "dynet-ops/test_table: gradients",
    "gradient of `a` in `binary_log_loss(logistic(a), 1)` for `a` below -88": (
        "dynet-ops/test_losses: the_log_loss_of_a_logistic_has_the_gradient_of_the_scores"
    ),
    "`max_dim`, `min_dim` with equal elements": "dynet-ops/test_edges: the_first_of_equals_gets_the_gradient",
    "a stale expression as operand": "dynet-ops/test_old_graphs: no_op_takes_an_expression_of_an_old_graph",
    "`E(indices)`, `builder(x)` of a lookup table or a builder": (
        "tests/test_hints: what_is_no_function_and_no_list_says_what_is"
    ),
    "attributes that begin with `_`, and functions in place of methods, as in `trainer.update = mine`": (
        "tests/test_attributes: what_is_there_can_be_set"
    ),
    "`block_dropout`, `colwise_add` of batches or of a vector": "dynet-ops/test_random: block_dropout",
    "NaN, infinite or negative `alpha`, `beta`, `stddev`, `p`, `left` > `right`": "dynet-ops/test_errors: bad_input",
    "an op with wrong shapes": "dynet-ops/test_errors: an_error_leaves_no_half_node",
    "`scalar_value()` of several numbers": "dynet-ops/test_errors: bad_input",
    "`sum_dim(x, [0, 0])`, `moment_dim` of order 0": ("dynet-ops/test_errors_reduce: bad_input"),
    "reductions along more than two dimensions": "dynet-ops/test_reductions: any_dimensions_of_any_tensor",
    "`huber_distance` with c <= 0, margins and counts that are NaN": "dynet-ops/test_errors_reduce: bad_input",
    "one index in `hinge`, a list in `hinge` or `poisson_loss`, lists for each batch element in `hinge_dim`": (
        "dynet-ops/test_reductions: a_list_of_choices_may_stand_for_one"
    ),
    "`sparsemax`, `argmax` of matrices": "dynet-ops/test_table: value",
    "`softsign` of matrices": "dynet-ops/test_table: value",
    "`matInput`, `inputMatrix`": "dynet-ops/test_table: value",
    "`parameter(p, False)`": "dynet-ops/test_parameters_in_graphs: without_update_a_parameter_gets_no_gradient",
    "batches in `sparsemax`, `constrained_softmax`, `weight_norm`, `circ_conv`, `circ_corr`, `huber_distance`, `l1_distance`, `binary_log_loss`, `kmh_ngram`, `fold_rows`": (  # noqa: E501
        "dynet-ops/test_table: a_minibatch_is_its_elements"
    ),
    "broadcasting on the left, in any dimension, of any batch": "dynet-ops/test_layouts: broadcasting_in_a_minibatch",
    "initializers": "dynet-core/test_initializer_errors: initializers_that_do_not_fit",
    "`FromFileInitializer` of a missing or short file": "dynet-core/test_initializer: missing_files",
    "lookup tables from numpy arrays of more than two dimensions": (
        "tests/parity/test_parity_inputs: a_table_of_matrices_is_not_scrambled"
    ),
    "`inverse`, `logdet`, `trace_of_product`, `contract3d_*` of batches": (
        "dynet-ops/test_table: a_minibatch_is_its_elements"
    ),
    "`conv2d` with a stride of 0, `strided_select` of nothing": "dynet-ops/test_tensor_errors: bad_input",
    "`select_rows`, `select_cols` of no rows": "dynet-ops/test_tensor_errors: bad_input",
    "`x[a:b]` beyond the end or from the end, `x[i, a:b]`": "dynet-ops/test_tensors: indexing_is_numpy_s",
    "softmax builders in `dy.save`": "dynet-rnn/test_softmax: saved_and_loaded_without_the_cluster_file",
    "`ClassFactoredSoftmaxBuilder`: a word or cluster out of range, no cluster file, a word that `word_dict` lacks": (
        "dynet-rnn/test_softmax: clusters_that_do_not_fit"
    ),
    "`neg_log_softmax` of a word that has no cluster": (
        "dynet-rnn/test_softmax_clusters: the_loss_of_a_word_without_a_cluster_is_an_error_at_the_call"
    ),
    "a cluster file with empty lines, or lines that end as in Windows": (
        "dynet-rnn/test_softmax_clusters: spaces_and_tabs_separate_a_cluster_and_a_word_from_what_is_ignored"
    ),
    "a word that is twice in a cluster file": "dynet-rnn/test_softmax: clusters_that_do_not_fit",
    "`sample` of a batch": "dynet-rnn/test_softmax: wrong_shapes",
    "`set_sparsity` outside [0, 1]": "dynet-rnn/test_sparse: no_share",
    "`forward`, `values`, `npvalues` of an empty list": "dynet-ops/test_several: nothing_is_nothing",
    "`dump_cg` of batches or more than two dimensions; to a file that cannot be written": (
        "dynet-ops/test_graph_methods: a_file"
    ),
    "`cg().forward(i)` and its like of a number that no expression has": (
        "dynet-ops/test_graph_methods: numbers_of_no_expression"
    ),
    "`_dynet` before its `init()`": "tests/test_original_names: the_module_without_settings",
    "what `AssertionError`, `AttributeError`, `NotImplementedError` refuse": (
        "tests/test_original_refusals: the_original_s_type_catches_it"
    ),
    "`CoupledLSTMBuilder.from_spec` of a `VanillaLSTMBuilder`'s spec": (
        "dynet-rnn/test_specs: what_coupled_gates_do_not_have_is_refused_by_name"
    ),
    "names that only concern DyNet's own code: `ERRMSG`, `_CONF`, `__gitversion__`, `_vecInputExpression`, ...": (
        "tests/test_original_names: module"
    ),
    "memory": "dynet-ops/test_large_graphs: memory_is_kept_for_graphs_of_changing_size",
    "`--dynet-gpu`, `dynet_config.set_gpu()` and their like where there is no GPU": (
        "dynet-core/test_config: a_missing_driver_is_named"
    ),
    "more than one GPU in a process": "dynet-core/test_config: what_cannot_be_a_gpu_is_refused",
    "`--dynet-tf32`, `dynet_config.set(tf32=True)`": "tests/cuda/test_cuda_rounding: the_command_line_asks_for_it",
    "`--dynet-bf16`, `dynet_config.set(bf16=True)`": "tests/test_bfloat16: products_and_gradients",
    "`collection.quantize()`, `dy.load(..., int8=True)`": "tests/test_int8: products",
    "`--dynet-threads`, `dynet_config.set(threads=4)`, DYNET_NUM_THREADS": (
        "tests/test_threads: the_environment_and_the_command_line_have_their_say"
    ),
    "`--dynet-autobatch`": "dynet-core/test_config: flags_are_read_in_both_spellings",
    "`gradient()` of a part (`E[1]`, a pick, a slice, a reshape) after a plain `backward()`": (
        "dynet-ops/test_graph: parts_without_full_are_told_apart_when_asked_for"
    ),
    "`gradient()` before `backward()`": "dynet-ops/test_errors: bad_input",
    "a gradient that is infinite or NaN": "dynet-optim/test_trainer: not_finite",
    "`cg_revert` without a checkpoint": "tests/test_graph_modes: a_new_graph_has_no_checkpoint",
    "`set` of an input that `cg_revert` took back": (
        "tests/test_graph_modes: an_input_that_was_taken_back_cannot_be_set"
    ),
    "an expression that `cg_revert` took back": "tests/test_graph_modes: a_revert_takes_back_what_was_recorded",
    "`dy.Expression()`": "dynet-ops/test_ops_as_objects: without_arguments_its_class_makes_a_placeholder",
    "attributes of ops, as in `dy.tanh.mine = 1`": "dynet-ops/test_ops_as_objects: an_op_takes_no_attributes",
    "a name with white space or `#` in a text file": (
        "dynet-core/test_text_format: names_that_the_format_cannot_hold_are_refused"
    ),
    '`init="saxe"`, which the documentation lists': "dynet-core/test_initializer: what_users_pass_as_init",
    "`Tensor.topk`, `argmax` of more than there is; `num` above 1 for `argmax` and samples": (
        "dynet-core/test_tensor: more_than_there_is"
    ),
    "loading a `.meta` file": "dynet-core/test_object_files: loading_never_runs_code",
    "saving over a file": "dynet-core/test_replacing: a_killed_save_leaves_the_old_or_the_new_file",
    "`filter1d_narrow` with filters of four dimensions, the last 1": (
        "tests/parity/test_parity_shapes: a_difference_is_listed_and_is_one"
    ),
    "dimensions where operands differ in trailing 1s": "tests/parity/test_parity_shapes: calls_agree",
    "trainers that keep averages: a row that is looked up before the loss, which does not depend on it": (
        "tests/test_rows_without_gradients: rows_outside_the_loss_do_not_change"
    ),
    "gradients of parameters with `set_updated(False)` after `backward(full=True)`": (
        "tests/test_frozen_parameters: a_frozen_parameter_gets_no_gradient"
    ),
    "`numpy.array([p, q])` of parameters": (
        "tests/test_refused_calls: parameters_and_tensors_are_numbers_when_they_are_converted"
    ),
    '`device="CPU"` where a GPU is in use': "tests/test_calls_of_programs: the_device_in_use_is_accepted",
    "a size, dimension, index or count such as 4.7, or NaN": (
        "tests/test_whole_numbers: other_numbers_are_refused_with_the_value"
    ),
    "`x[2.0]`": "tests/test_whole_numbers: whole_numbers_of_other_types_are_what_they_are_as_ints",
    "a parameter or table of size 0 as an operand": "tests/test_sizes_of_zero: every_op_refuses_them",
    "inputs, random tensors, `reshape` and networks of size 0": (
        "tests/test_sizes_of_zero: only_parameters_may_have_size_0"
    ),
    "`concatenate` with `inputVector([])`": "dynet-ops/test_empty_vectors: joined_with_something",
    "`log_softmax`, `argmax` of `inputVector([])`": "dynet-ops/test_empty_vectors: ops_of_nothing",
    '`as_array` of a table without rows, `init="he"` of a parameter (3, 0)': (
        "tests/test_sizes_of_zero: every_initializer_makes_them"
    ),
    "`cumsum` of a batch along the dimension behind the last of three": (
        "tests/parity/test_parity_shapes: a_difference_is_listed_and_is_one"
    ),
    "`constrained_softmax` with more bounds than scores, or fewer": (
        "tests/parity/test_parity_shapes: a_difference_is_listed_and_is_one"
    ),
    "`hinge_dim` along a dimension that x lacks": "dynet-ops/test_errors_reduce: bad_input",
    "`transpose` by fewer dimensions than x has": "dynet-ops/test_errors: bad_input",
    "`concatenate` along d where the first has fewer than d dimensions": "dynet-ops/test_layouts: joining",
    "`affine_transform` with a bias of more columns than the product": (
        "tests/parity/test_parity_shapes: a_difference_is_listed_and_is_one"
    ),
    "matrices as inputs of networks and softmax layers": "dynet-rnn/test_errors: message",
    "`inverse` of a matrix that is not square": "dynet-ops/test_tensor_errors: bad_input",
    "`add_parameters(())`": "tests/test_refused_calls: a_parameter_has_at_least_one_dimension",
    "`initial_state([c])` of cells alone": "dynet-rnn/test_states: a_state_of_cells_alone_has_outputs_of_zeros",
    "`initial_state` with vectors of a different size": "dynet-rnn/test_states: vectors_of_another_size_are_refused",
    "`add_parameters(4, 3)`": "tests/test_refused_calls: a_second_dimension_in_the_place_of_init_is_refused",
    "`init_from_array` of a lookup table with fewer rows": "tests/test_refused_calls: a_table_is_replaced_whole",
    "`numpy.asarray(e, float)` of an expression": "tests/test_refused_calls: an_expression_is_no_array_of_numbers",
    "`numpy.argmax(e)`, `numpy.mean(e)` and the like of an expression": (
        "tests/test_refused_calls: functions_of_numpy_take_no_expression"
    ),
    "an expression in another thread": "tests/test_other_threads: a_use_in_another_thread_is_an_error",
    "`dynet_config.set` after `import dynet`": "tests/test_refused_calls: settings_that_come_too_late_are_warned_of",
    "`update()` where no `backward` has met a parameter of the collection": (
        "tests/test_refused_calls: an_update_without_a_gradient_is_warned_of_once"
    ),
    "`e == 0.5`, `e != [1, 2]`, `e == array` of an expression": (
        "dynet-ops/test_operators: equality_with_numbers_is_warned_of"
    ),
    '`float(e)`, `e > 0.5`, `f"{e:.3f}"`, `numpy.log(e)`, `x[0] = 1`': (
        "tests/test_mistakes: a_mistake_says_what_stands_there"
    ),
    "`copy.copy(trainer)`, `copy.deepcopy(trainer)`, `pickle.dumps(trainer)`": (
        "dynet-optim/test_copies: a_copy_with_its_model_goes_on_alike"
    ),
    "`set_updated(False)` in files": "tests/test_frozen_parameters: what_is_frozen_stays_so_in_files",
    "`model.set_updated(False)` of a collection": "tests/test_frozen_parameters: a_whole_collection_is_frozen_and_back",
    "`e.shape`, `e.T`, `W @ x`, `abs(x)`": (
        "dynet-ops/test_operators: the_product_of_matrices_has_an_operator_of_its_own"
    ),
    "objects of the program's own classes in a `spec`": (
        "dynet-core/test_own_classes: own_objects_are_saved_and_loaded_without_a_word"
    ),
    "a `spec` of a `BiRNNBuilder` whose number of layers is not that of its `builder_layers`": (
        "dynet-rnn/test_specs: builders_that_are_given_are_counted"
    ),
    "objects of other classes in a `spec`, classes and functions as values, keys whose class defines `__hash__` or `__eq__`": (  # noqa: E501
        "dynet-core/test_own_classes: saving_says_what_loading_will_ask_for"
    ),
    "objects in a `spec` whose class defines `__reduce__`, `__setstate__`, `__getnewargs__`, `__new__` or `__del__`; combined flags; structured arrays, and arrays of lists and other objects": (  # noqa: E501
        "dynet-core/test_allowed_classes: what_nobody_can_load_is_written_and_said_so"
    ),
    "`recalculate` that is not a flag, such as `value(None)`": (
        "dynet-ops/test_values_leave: a_flag_that_is_none_names_the_method"
    ),
    "`reshape(x, 4)` and `reshape(x, [2, 2])`; `reshape(x, 2, 2)`": (
        "dynet-ops/test_hostile_arguments: a_second_size_is_not_taken_for_a_batch"
    ),
    "`ln_lstm`, `bias` and their like that are no flags; a `forget_bias` that is no finite number": (
        "dynet-rnn/test_errors: options_that_are_no_flags_and_no_numbers"
    ),
    "a number too large for a float, such as `10**400`": (
        "dynet-ops/test_hostile_arguments: a_number_that_is_too_large_is_not_shown_in_part"
    ),
    "a `spec` that pickle refuses": (
        "dynet-core/test_object_files: what_pickle_refuses_is_refused_before_anything_is_written"
    ),
    "a `.meta` file of a few kilobytes that unfolds, hashes or copies endlessly": (
        "dynet-core/test_limits: a_file_has_one_bound_for_all_its_objects"
    ),
}
"""The test of each row, by its topic: the package or folder, the file, and the function, without `test_`."""


def topics():
    lines = (ROOT / "docs" / "differences.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| topic |")]
    return [row.split(" | ")[0].removeprefix("| ") for row in rows]


def test_every_row_has_a_test():
    found = topics()
    assert len(found) == len({*found}), "two rows have one topic"
    assert {*found} == ROWS.keys()


@pytest.mark.parametrize("topic", ROWS)
def test_the_test_exists(topic):
    place, _, name = ROWS[topic].partition(": ")
    folder, _, file = place.rpartition("/")
    path = ROOT / (folder if folder.startswith("tests") else f"packages/{folder}/tests") / f"{file}.py"
    functions = [node.name for node in ast.parse(path.read_text(encoding="utf-8")).body if hasattr(node, "name")]
    assert f"test_{name}" in functions
