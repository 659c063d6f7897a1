"""minift: BERT and DistilBERT fine-tuning with every stage written out.

The public names below are loaded on first use (PEP 562), so that ``import minift`` costs a few milliseconds and
imports neither torch nor tensorflow: the TensorFlow path shares everything before the model and never needs torch.
"""

from importlib import import_module

# module -> the public names it defines, in the order in which a batch meets them
PUBLIC = {
    "data.features": ["ClassLabel", "Features", "LargeList", "List", "Sequence", "Value"],
    "data.info": ["DatasetInfo", "NamedSplit", "Split"],
    "data.stream": ["IterableDataset", "split_dataset_by_node"],
    "data.splits": ["IterableDatasetDict"],
    "data.combine": ["concatenate_datasets", "interleave_datasets"],
    "data.dataset": ["Dataset", "DatasetDict"],
    "data.load": ["get_dataset_config_names", "get_dataset_split_names", "load_dataset", "load_from_disk"],
    "libraries.argument_parser": ["HfArgumentParser"],
    "libraries.checks": ["is_flax_available", "is_tf_available", "is_torch_available"],
    "libraries.switches": [
        "are_progress_bars_disabled",
        "disable_caching",
        "disable_progress_bar",
        "disable_progress_bars",
        "enable_caching",
        "enable_progress_bar",
        "enable_progress_bars",
        "is_caching_enabled",
    ],
    "tokenizer.tokenizer": ["Tokenizer"],
    "tokenizer.classes": [
        "AutoTokenizer",
        "BertTokenizer",
        "BertTokenizerFast",
        "DistilBertTokenizer",
        "DistilBertTokenizerFast",
        "PreTrainedTokenizerBase",
        "PreTrainedTokenizerFast",
    ],
    "tokenizer.wordpiece": ["BasicTokenizer", "WordPiece"],
    "tokenizer.batch_encoding": ["BatchEncoding"],
    "batches.chunk": ["Chunker", "chunk_dataset"],
    "batches.collate": ["DataCollatorWithPadding", "DefaultDataCollator", "default_data_collator"],
    "batches.collate_tokens": [
        "DataCollatorForMultipleChoice",
        "DataCollatorForTokenClassification",
        "DataCollatorWithFlattening",
    ],
    "batches.mask": ["DataCollatorForLanguageModeling", "freeze_masks"],
    "batches.word_mask": ["DataCollatorForWholeWordMask"],
    "model.config": ["AutoConfig", "BertConfig", "DistilBertConfig", "PreTrainedConfig", "PretrainedConfig"],
    "model.outputs": ["ModelOutput"],
    "model.pretrained": ["PreTrainedModel"],
    "model.bert": ["BertModel", "BertPreTrainedModel"],
    "model.distilbert": ["DistilBertModel", "DistilBertPreTrainedModel"],
    "model.heads.classification": ["BertForSequenceClassification", "DistilBertForSequenceClassification"],
    "model.heads.masked_lm": ["BertForMaskedLM", "DistilBertForMaskedLM"],
    "model.heads.tokens": ["BertForTokenClassification", "DistilBertForTokenClassification"],
    "model.heads.spans": ["BertForQuestionAnswering", "DistilBertForQuestionAnswering"],
    "model.heads.sentences": ["BertForNextSentencePrediction", "BertForPreTraining"],
    "model.heads.choices": ["BertForMultipleChoice", "DistilBertForMultipleChoice"],
    "model.auto": [
        "AutoModel",
        "AutoModelForMaskedLM",
        "AutoModelForMultipleChoice",
        "AutoModelForNextSentencePrediction",
        "AutoModelForPreTraining",
        "AutoModelForQuestionAnswering",
        "AutoModelForSequenceClassification",
        "AutoModelForTokenClassification",
    ],
    "fast.adamw": ["AdamW"],
    "fast.options": ["use_fast_path"],
    "optim.schedule": [
        "SchedulerType",
        "get_constant_schedule",
        "get_constant_schedule_with_warmup",
        "get_cosine_schedule_with_warmup",
        "get_cosine_with_hard_restarts_schedule_with_warmup",
        "get_cosine_with_min_lr_schedule_with_warmup",
        "get_inverse_sqrt_schedule",
        "get_linear_schedule_with_warmup",
        "get_polynomial_decay_schedule_with_warmup",
        "get_reduce_on_plateau_schedule",
        "get_scheduler",
        "get_wsd_schedule",
    ],
    "train.seed": ["enable_full_determinism", "set_seed"],
    "train.strategies": ["IntervalStrategy"],
    "train.arguments": ["TrainingArguments"],
    "train.callbacks": ["DefaultFlowCallback", "EarlyStoppingCallback", "TrainerCallback"],
    "train.progress": ["PrinterCallback", "ProgressCallback"],
    "train.state": ["TrainerControl", "TrainerState"],
    "train.trainer": ["Trainer"],
    "accelerator.accelerator": ["Accelerator"],
    "accelerator.configuration": [
        "AutocastKwargs",
        "DataLoaderConfiguration",
        "DistributedDataParallelKwargs",
        "GradScalerKwargs",
        "GradientAccumulationPlugin",
        "InitProcessGroupKwargs",
        "ProjectConfiguration",
    ],
    "accelerator.loaders": ["prepare_data_loader", "skip_first_batches"],
    "accelerator.shares": ["SeedableRandomSampler"],
    "accelerator.state": ["AcceleratorState", "DistributedType", "GradientState", "PartialState"],
    "accelerator.trackers": ["GeneralTracker"],
    "libraries.loop_tools": ["debug_launcher", "find_executable_batch_size", "get_logger", "release_memory"],
    "distributed.process": ["notebook_launcher"],
    "train.evaluate": ["EvalPrediction", "PredictionOutput"],
    "metrics.metric": ["load_metric"],
    "metrics.combined": ["combine"],
    "pipelines.pipeline": ["pipeline"],
    "tf.pretrained": ["TFPreTrainedModel"],
    "tf.bert": ["TFBertModel"],
    "tf.distilbert": ["TFDistilBertModel"],
    "tf.heads": [
        "TFBertForMaskedLM",
        "TFBertForSequenceClassification",
        "TFDistilBertForMaskedLM",
        "TFDistilBertForSequenceClassification",
    ],
    "tf.other_heads": [
        "TFBertForMultipleChoice",
        "TFBertForNextSentencePrediction",
        "TFBertForPreTraining",
        "TFBertForQuestionAnswering",
        "TFBertForTokenClassification",
        "TFDistilBertForMultipleChoice",
        "TFDistilBertForQuestionAnswering",
        "TFDistilBertForTokenClassification",
    ],
    "tf.auto": [
        "TFAutoModel",
        "TFAutoModelForMaskedLM",
        "TFAutoModelForMultipleChoice",
        "TFAutoModelForNextSentencePrediction",
        "TFAutoModelForPreTraining",
        "TFAutoModelForQuestionAnswering",
        "TFAutoModelForSequenceClassification",
        "TFAutoModelForTokenClassification",
    ],
    "tf.optim": ["PolynomialDecay", "WarmUp", "create_optimizer"],
    "tf.callbacks": ["PushToHubCallback"],
}
_MODULE_OF = {name: module for module, names in PUBLIC.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    """Import the module that defines `name`; unknown names raise AttributeError as for any module."""
    if name not in _MODULE_OF:
        raise AttributeError(f"minift has no public name {name!r}; it has: {', '.join(__all__)}")
    value = getattr(import_module(f"minift.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
