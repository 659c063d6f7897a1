"""Methods of transformers' Trainer that a subclass may define, but that nothing here would call."""

NOT_CALLED = """
    _build_accelerator_args _clip_grad_norm _determine_best_metric _evaluate _finalize_training
    _finish_current_push _get_collator_with_removed_columns _get_dataloader _get_grad_norm _get_learning_rate
    _get_num_items_in_batch _get_output_dir _hp_search_setup _init_training_state _inner_training_loop
    _issue_warnings_after_load _load_callback_state _load_from_checkpoint _load_optimizer_and_scheduler
    _load_rng_state _load_scaler _maybe_log_save_evaluate _move_model_to_device _nested_gather
    _prepare_for_training _prepare_input _remove_unused_columns _report_to_hp_search
    _rotate_checkpoints _run_epoch _save_optimizer_and_scheduler _save_rng_state _save_scaler
    _set_signature_columns_if_needed _sorted_checkpoints _track_num_input_tokens _tune_save_checkpoint
    _update_auto_batch_size _validate_args _wrap_model autocast_smart_context_manager
    create_accelerator_and_postprocess get_batch_samples get_learning_rates
    get_num_trainable_parameters get_optimizer_group get_total_train_batch_size hyperparameter_search
    init_hf_repo metrics_format num_examples num_tokens prediction_loop set_initial_training_values store_flos
""".split()  # noqa: SIM905 - a list of 50 lines


def check_hooks(trainer: type, base: type) -> None:
    """Raise a TypeError if a subclass of `base`, our Trainer, defines a method that only transformers would call."""
    for kind in trainer.__mro__:
        if kind is base:
            return
        for name in NOT_CALLED:
            if name in vars(kind):
                raise TypeError(
                    f"{kind.__name__}.{name} would never be called: minift's Trainer has no such step. Called are "
                    "create_optimizer, create_scheduler, get_decay_parameter_names, get_train_dataloader, "
                    "get_eval_dataloader, get_test_dataloader, _get_train_sampler, _get_eval_sampler, training_step, "
                    "_prepare_inputs, compute_loss, compute_loss_context_manager, floating_point_ops, prediction_step, "
                    "evaluation_loop, evaluate, predict, log, save_model, _save, _save_checkpoint, _load_best_model, "
                    "get_optimizer_cls_and_kwargs, call_model_init, create_model_card, push_to_hub and "
                    "_push_from_checkpoint"
                )
