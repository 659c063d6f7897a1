"""Keywords of the libraries that change nothing here: taken at the values that scripts pass, then dropped. One table.

They are kept out of the signatures that people read: `@drops_keywords` above a function takes those that the table
lists for it. This module imports none of minift, so that every room may use it.
"""

from collections.abc import Callable
from functools import wraps
from inspect import Signature, signature
from typing import Any

ANY = "any value"

# what `datasets` offers on each method that makes a dataset: rows are memory-mapped here, and no cache is hidden
CACHING = {
    "keep_in_memory": ANY,
    "load_from_cache_file": ANY,
    "new_fingerprint": ANY,
    "writer_batch_size": ANY,
}

PUSHING = {
    "commit_description": (None,),
    "create_pr": (None, False),
    "embed_external_files": ANY,  # there are none
    "num_proc": ANY,
    "revision": (None, "main"),
}

CONFIG = {
    "finetuning_task": ANY,  # a note of transformers 4, which nothing reads
    "force_download": (False,),
    "proxies": (None,),
    "resume_download": ANY,
    "trust_remote_code": (None, False),
    "use_auth_token": (None,),
}

# function -> keyword -> the values at which it is taken; rooms in the order of the pipeline, functions by name
WITHOUT_EFFECT: dict[str, dict[str, tuple[Any, ...] | str]] = {
    # data
    "Dataset.add_item": {"new_fingerprint": ANY},
    "Dataset.from_csv": {"keep_in_memory": ANY, "num_proc": ANY},
    "Dataset.from_generator": {
        "cache_dir": ANY,
        "keep_in_memory": ANY,
        "fingerprint": ANY,
        "num_proc": (None, 1),
        "writer_batch_size": ANY,
    },
    "Dataset.from_json": {"keep_in_memory": ANY, "num_proc": ANY},
    "Dataset.from_parquet": {"keep_in_memory": ANY, "num_proc": ANY},
    "Dataset.from_text": {"keep_in_memory": ANY, "num_proc": ANY},
    "Dataset.from_file": {"in_memory": ANY, "indices_filename": (None,)},
    "Dataset.load_from_disk": {"keep_in_memory": ANY, "storage_options": (None,)},
    "Dataset.push_to_hub": PUSHING,
    "Dataset.save_to_disk": {"num_proc": ANY, "storage_options": (None,)},
    "Dataset.train_test_split": {
        **CACHING,
        "test_indices_cache_file_name": ANY,
        "test_new_fingerprint": ANY,
        "train_indices_cache_file_name": ANY,
        "train_new_fingerprint": ANY,
    },
    "DatasetDict.load_from_disk": {"keep_in_memory": ANY, "storage_options": (None,)},
    "IterableDataset.map": {"desc": ANY},
    "SplitsOfTables.push_to_hub": PUSHING,
    "SplitsOfTables.save_to_disk": {"num_proc": ANY, "storage_options": (None,)},
    "TableView.add_column": {"new_fingerprint": ANY},
    "TableView.batch": {"new_fingerprint": ANY},
    "TableView.cast": {**CACHING, "batch_size": ANY, "cache_file_name": ANY, "num_proc": ANY},
    "TableView.cast_column": {"new_fingerprint": ANY},
    "TableView.filter": {**CACHING, "cache_file_name": ANY, "cache_file_names": ANY, "suffix_template": ANY},
    "TableView.flatten": {"max_depth": (16,), "new_fingerprint": ANY},
    "TableView.flatten_indices": {
        **CACHING,
        "cache_file_name": ANY,
        "cache_file_names": ANY,
        "disable_nullable": (False,),
        "features": (None,),
        "num_proc": ANY,
    },
    "TableView.map": {
        "disable_nullable": (False,),
        "keep_in_memory": ANY,
        "load_from_cache_file": ANY,
        "new_fingerprint": ANY,
        "suffix_template": ANY,
    },
    "TableView.remove_columns": {"new_fingerprint": ANY},
    "TableView.rename_column": {"new_fingerprint": ANY},
    "TableView.rename_columns": {"new_fingerprint": ANY},
    "TableView.select": {**CACHING, "indices_cache_file_name": ANY},
    "TableView.select_columns": {"new_fingerprint": ANY},
    "TableView.shard": {**CACHING, "indices_cache_file_name": ANY},
    "TableView.shuffle": {**CACHING, "indices_cache_file_name": ANY, "indices_cache_file_names": ANY},
    "TableView.sort": {**CACHING, "indices_cache_file_name": ANY, "indices_cache_file_names": ANY},
    "concatenate_datasets": {"info": (None,)},
    "get_dataset_config_names": {"download_mode": ANY, "trust_remote_code": (None, False)},
    "get_dataset_split_names": {"download_mode": ANY, "trust_remote_code": (None, False)},
    "interleave_datasets": {"info": (None,)},
    "load_dataset": {
        "download_config": (None,),
        "download_mode": (None, "reuse_cache_if_exists", "reuse_dataset_if_exists"),
        "ignore_verifications": ANY,
        "keep_in_memory": ANY,
        "num_proc": ANY,
        "save_infos": (False,),
        "storage_options": (None,),
        "task": (None,),
        "trust_remote_code": (None, False),
        "use_auth_token": (None,),
        "verification_mode": ANY,
    },
    "load_from_disk": {"keep_in_memory": ANY, "storage_options": (None,)},
    "to_csv": {"batch_size": ANY, "num_proc": ANY, "storage_options": (None,)},
    "to_json": {"batch_size": ANY, "num_proc": ANY, "storage_options": (None,)},
    "to_parquet": {"batch_size": ANY, "storage_options": (None,)},
    # tokenizer
    "AutoTokenizer.from_pretrained": {
        "force_download": (False,),
        "from_slow": (False,),
        "proxies": (None,),
        "resume_download": ANY,
        "trust_remote_code": (None, False),
        "use_auth_token": (None,),
        "use_fast": ANY,  # there is one tokenizer, in Rust, as in transformers 5
    },
    "Tokenizer.save_pretrained": {
        "legacy_format": (None, False),
        "push_to_hub": (False,),
        "save_format": (None,),
    },
    # model
    "AutoConfig.from_pretrained": CONFIG,
    "PretrainedConfig.from_pretrained": CONFIG,
    "PreTrainedModel.call": {
        "encoder_attention_mask": (None,),
        "encoder_hidden_states": (None,),
        "head_mask": (None,),
        "past_key_values": (None,),
        "use_cache": (None, False),
    },
    "StoredModel.from_pretrained": {
        "device_map": (None, "cpu"),
        "force_download": (False,),
        "from_flax": (False,),
        "from_tf": (False,),
        "low_cpu_mem_usage": ANY,
        "proxies": (None,),
        "resume_download": ANY,
        "trust_remote_code": (None, False),
        "use_auth_token": (None,),
        "use_safetensors": (None, True),
    },
    "StoredModel.save_pretrained": {
        "push_to_hub": (False,),
        "safe_serialization": (True,),
    },
    # optim
    "AdamW.__init__": {
        "amsgrad": (False,),
        "capturable": (False,),
        "differentiable": (False,),
        "foreach": (None, False),
        "fused": (None, False),
        "maximize": (False,),
        "no_deprecation_warning": ANY,
    },
    # metrics
    "load": {
        "cache_dir": ANY,
        "experiment_id": ANY,
        "keep_in_memory": ANY,
        "module_type": (None, "metric"),
        "num_process": (1,),
        "process_id": (0,),
        "trust_remote_code": (None, False),
    },
    # train: fields of transformers' TrainingArguments that change nothing here at these values
    "TrainingArguments.__init__": {
        "activation_checkpointing": (None, False),
        "activation_checkpointing_kwargs": (None,),
        "adafactor": (False,),
        "dataloader_in_order": (True,),
        "dataloader_multiprocessing_context": (None,),
        "ddp_backend": ANY,
        "ddp_broadcast_buffers": ANY,
        "ddp_find_unused_parameters": ANY,
        "ddp_static_graph": ANY,
        "ddp_timeout": ANY,
        "debug": ("", [], None),
        "deepspeed": (None,),
        "dispatch_batches": (None, False),
        "enable_jit_checkpoint": (False,),
        "eval_accumulation_steps": ANY,  # logits leave the device after every batch
        "eval_do_concat_batches": (True,),
        "eval_use_gather_object": (False,),
        "fp16_backend": ("auto",),
        "fp16_opt_level": ANY,
        "fsdp": (None, "", [], False),
        "fsdp_config": (None,),
        "fsdp_min_num_params": (0,),
        "fsdp_transformer_layer_cls_to_wrap": (None,),
        "half_precision_backend": ("auto",),
        "hub_always_push": ANY,  # each upload has ended when training goes on
        "include_tokens_per_second": (False,),
        "jit_mode_eval": (False,),
        "liger_kernel_config": (None,),
        "local_rank": ANY,  # torchrun's environment says it
        "log_level_replica": ANY,
        "log_on_each_node": ANY,
        "mp_parameters": ("",),
        "optim_target_modules": (None,),
        "parallelism_config": (None,),
        "past_index": (-1,),
        "project": ANY,
        "push_to_hub_model_id": (None,),
        "push_to_hub_organization": (None,),
        "push_to_hub_token": (None,),
        "ray_scope": ANY,
        "save_on_each_node": (False,),
        "save_safetensors": (True,),
        "skip_memory_metrics": (True,),
        "split_batches": (None, False),
        "tf32": (None, False),
        "torch_compile_backend": (None, "inductor"),
        "torch_compile_mode": (None, "default"),
        "torch_empty_cache_steps": (None,),
        "torchdynamo": (None,),
        "tpu_metrics_debug": (False,),
        "tpu_num_cores": (None,),
        "trackio_bucket_id": ANY,
        "trackio_space_id": ANY,
        "trackio_static_space_id": ANY,
        "use_cache": ANY,
        "use_ipex": (False,),
        "use_legacy_prediction_loop": (False,),
        "use_liger_kernel": (False,),
        "use_mps_device": (False,),
    },
    # pipelines
    "pipeline": {
        "framework": (None, "pt"),
        "num_workers": ANY,  # inputs are prepared in this process
        "trust_remote_code": (None, False),
        "use_fast": ANY,  # there is one tokenizer, in Rust, as in transformers 5
    },
}

# of keywords that are taken at any value: what the library says when they are not given, if not None
LIBRARY_DEFAULTS = {
    "ddp_timeout": 1800,
    "fp16_opt_level": "O1",
    "local_rank": -1,
    "log_level_replica": "warning",
    "log_on_each_node": True,
    "project": "huggingface",
    "ray_scope": "last",
    "use_cache": False,
}


def drops_keywords(function: Callable) -> Callable:
    """Call `function` without the keywords that the table lists for it; at other values they are a ValueError."""
    taken, called = WITHOUT_EFFECT[function.__qualname__], function.__qualname__.rpartition(".")[2]

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        take_out(taken, called, options)
        return function(*args, **options)

    return call


def take_out(taken: dict[str, Any], called: str, options: dict[str, Any]) -> dict[str, Any]:
    """Take the keywords of a row of the table out of `options`, and return them; other values are a ValueError."""
    dropped = {keyword: options.pop(keyword) for keyword in taken.keys() & options.keys()}
    for keyword, value in dropped.items():
        values = taken[keyword]
        if values is not ANY and value not in values:
            allowed = " or ".join(map(repr, values))
            raise ValueError(f"{called} does not support {keyword}={value!r}, only {allowed}")
    return dropped


class DropsKeywords(type):
    """A class whose calls, and those of its subclasses, drop the keywords that the table lists for ``NAME.__init__``.

    They become attributes of the object, for scripts that read what they have set. A subclass may have an own argument
    of such a name.
    """

    def __call__(cls, *args: Any, **options: Any) -> Any:
        row = next(f"{base.__name__}.__init__" for base in cls.__mro__ if f"{base.__name__}.__init__" in WITHOUT_EFFECT)
        own = signature(cls.__init__).parameters
        taken = {keyword: values for keyword, values in WITHOUT_EFFECT[row].items() if keyword not in own}
        dropped = take_out(taken, row.removesuffix(".__init__"), options)
        made = super().__call__(*args, **options)
        vars(made).update(dropped)
        return made

    @property
    def __signature__(cls) -> Signature:
        """What `inspect.signature` shows: the arguments of the constructor, and not those of the call above."""
        own = signature(cls.__init__)
        return own.replace(parameters=list(own.parameters.values())[1:])


def unset(function: str, keyword: str) -> Any:
    """Return what an attribute of `drops_keywords` is when its keyword was not given; it must be in the table."""
    values = WITHOUT_EFFECT[function][keyword]
    return LIBRARY_DEFAULTS.get(keyword) if values is ANY else values[0]
