"""Names that scripts import from the libraries' inner modules: constants, enums, tables of classes."""

# ruff: noqa: F401 - imported to be imported

from enum import StrEnum
from functools import partial

from tokenizers import AddedToken

from minift.accelerator.prepared import PreparedOptimizer, PreparedScheduler
from minift.batches.collate import default_data_collator
from minift.distributed.exchange import barrier
from minift.distributed.process import notebook_launcher
from minift.libraries.checks import is_torch_xla_available
from minift.metrics.metric import Metric
from minift.model import auto
from minift.model.config import AutoConfig
from minift.model.outputs import EncoderOutput, ModelOutput
from minift.pipelines.base import ChunkPipeline, Pipeline
from minift.pipelines.feature_extraction import FeatureExtractionPipeline
from minift.pipelines.fill_mask import FillMaskPipeline
from minift.pipelines.question_answering import QuestionAnsweringPipeline
from minift.pipelines.registry import PIPELINE_REGISTRY
from minift.pipelines.text_classification import TextClassificationPipeline
from minift.pipelines.token_classification import TokenClassificationPipeline
from minift.pipelines.zero_shot_classification import ZeroShotClassificationPipeline
from minift.train.callbacks import CallbackHandler, DefaultFlowCallback
from minift.train.progress import ProgressCallback

PREFIX_CHECKPOINT_DIR = "checkpoint"
CONFIG_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_NAME = "config.json", "model.safetensors", "pytorch_model.bin"
SAFE_WEIGHTS_INDEX_NAME, WEIGHTS_INDEX_NAME = "model.safetensors.index.json", "pytorch_model.bin.index.json"
CONFIG_MAPPING = AutoConfig.classes


def by_config(name: str) -> dict[type, type]:
    """The models of an Auto class by the classes of their configurations."""
    return {CONFIG_MAPPING[kind]: model for kind, model in getattr(auto, name).classes.items()}


MODEL_MAPPING = by_config("AutoModel")
MODEL_FOR_MASKED_LM_MAPPING = by_config("AutoModelForMaskedLM")
MODEL_FOR_MULTIPLE_CHOICE_MAPPING = by_config("AutoModelForMultipleChoice")
MODEL_FOR_QUESTION_ANSWERING_MAPPING = by_config("AutoModelForQuestionAnswering")
MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING = by_config("AutoModelForSequenceClassification")
MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING = by_config("AutoModelForTokenClassification")
BaseModelOutput = BaseModelOutputWithPooling = BaseModelOutputWithPoolingAndCrossAttentions = EncoderOutput
AcceleratedOptimizer, AcceleratedScheduler = PreparedOptimizer, PreparedScheduler
DEFAULT_CALLBACKS, DEFAULT_PROGRESS_CALLBACK = [DefaultFlowCallback], ProgressCallback
EvaluationModule = Metric
wait_for_everyone = barrier
torch_default_data_collator = partial(default_data_collator, return_tensors="pt")
numpy_default_data_collator = partial(default_data_collator, return_tensors="np")
tf_default_data_collator = partial(default_data_collator, return_tensors="tf")


class PaddingStrategy(StrEnum):
    LONGEST = "longest"
    MAX_LENGTH = "max_length"
    DO_NOT_PAD = "do_not_pad"


class TruncationStrategy(StrEnum):
    ONLY_FIRST = "only_first"
    ONLY_SECOND = "only_second"
    LONGEST_FIRST = "longest_first"
    DO_NOT_TRUNCATE = "do_not_truncate"


class TensorType(StrEnum):
    PYTORCH = "pt"
    TENSORFLOW = "tf"
    NUMPY = "np"
