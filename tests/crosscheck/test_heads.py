"""Heads for tokens, spans and choices: logits, losses, gradients and names of tensors are transformers'."""

import pytest
import torch
import transformers

import minift

BERT = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
    "num_labels": 5,
}
DISTILBERT = {
    "vocab_size": 60,
    "dim": 32,
    "n_layers": 2,
    "n_heads": 4,
    "hidden_dim": 48,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
    "num_labels": 5,
}
FAMILIES = {"Bert": BERT, "DistilBert": DISTILBERT}
HEADS = ("TokenClassification", "QuestionAnswering", "MultipleChoice")
B, C, T = 3, 4, 11
pytestmark = pytest.mark.usefixtures("one_thread")


def config(library, family, head):
    settings = FAMILIES[family] | ({"num_labels": 2} if head == "QuestionAnswering" else {})
    return getattr(library, f"{family}Config")(**settings)


def model_of(library, family, head):
    return getattr(library, f"{family}For{head}")(config(library, family, head))


def batch_of(family, head):
    """Ids, a ragged mask, token types for BERT, and labels of which some do not count."""
    draw = torch.Generator().manual_seed(0)
    shape = (B, C, T) if head == "MultipleChoice" else (B, T)
    lengths = torch.randint(4, T + 1, shape[:-1], generator=draw)
    batch = {
        "input_ids": torch.randint(1, 60, shape, generator=draw),
        "attention_mask": (torch.arange(T) < lengths[..., None]).long(),
    }
    if family == "Bert":
        batch["token_type_ids"] = torch.randint(0, 2, shape, generator=draw)
    if head == "TokenClassification":
        batch["labels"] = torch.randint(0, 5, shape, generator=draw).masked_fill(batch["attention_mask"] == 0, -100)
    elif head == "QuestionAnswering":
        batch["start_positions"], batch["end_positions"] = torch.tensor([1, 3, T + 5]), torch.tensor([2, 3, -1])
    else:
        batch["labels"] = torch.tensor([0, 3, 1])
    return batch


def strict_pair(family, head):
    """A model of each library with the same weights, in which no bias is 0 and no LayerNorm weight is 1."""
    torch.manual_seed(0)
    ours, theirs = (model_of(library, family, head).eval() for library in (minift, transformers))
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_losses_and_gradients(family, head):
    ours, theirs = strict_pair(family, head)
    batch, outputs = batch_of(family, head), []
    for model in (ours, theirs):
        output = model(**batch, output_hidden_states=True)
        output.loss.backward()
        outputs.append(output)
    assert list(outputs[0].keys()) == list(outputs[1].keys())
    for name in ("loss", "logits", "start_logits", "end_logits"):
        if name in outputs[1]:
            torch.testing.assert_close(outputs[0][name], outputs[1][name], rtol=1e-5, atol=1e-6)
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("family", FAMILIES)
def test_new_weights_and_files_are_the_librarys(family, head, tmp_path):
    made = []
    for library in (minift, transformers):
        torch.manual_seed(7)
        made.append(model_of(library, family, head))
    ours, theirs = (model.state_dict() for model in made)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    made[0].save_pretrained(tmp_path / "ours")
    made[1].save_pretrained(tmp_path / "theirs")
    auto = f"AutoModelFor{head}"
    for library, folder in ((transformers, "ours"), (minift, "theirs")):
        loaded = getattr(library, auto).from_pretrained(str(tmp_path / folder)).state_dict()
        assert all(torch.equal(loaded[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("head", ["NextSentencePrediction", "PreTraining"])
def test_heads_of_pre_training(head, tmp_path):
    draw = torch.Generator().manual_seed(0)
    batch = {name: value for name, value in batch_of("Bert", "TokenClassification").items() if name != "labels"}
    pairs = {"labels": torch.tensor([0, 1, 1])}
    if head == "PreTraining":
        words = torch.randint(0, 60, (B, T), generator=draw).masked_fill(batch["attention_mask"] == 0, -100)
        pairs = {"labels": words, "next_sentence_label": torch.tensor([0, 1, 1])}
    made = []
    for library in (minift, transformers):
        torch.manual_seed(7)
        made.append(model_of(library, "Bert", head).eval())
    ours, theirs = (model.state_dict() for model in made)
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    ours, theirs = strict_pair("Bert", head)
    outputs = [model(**batch, **pairs) for model in (ours, theirs)]
    assert list(outputs[0].keys()) == list(outputs[1].keys())
    for name, value in outputs[1].items():
        torch.testing.assert_close(outputs[0][name], value, rtol=1e-5, atol=1e-6)
    for output in outputs:
        output.loss.backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-6, msg=name)
    theirs.save_pretrained(tmp_path)
    loaded = getattr(minift, f"AutoModelFor{head}").from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in theirs.state_dict().items())


RESIZES = [(35, {}), (20, {}), (None, {"pad_to_multiple_of": 16}), (33, {"pad_to_multiple_of": 8}), (None, {})]
RESIZES += [(35, {"mean_resizing": False})]


@pytest.mark.parametrize(("size", "options"), RESIZES)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_another_number_of_tokens(family, tied, size, options):
    """Every weight, and what is drawn next."""
    found = []
    for library in (minift, transformers):
        torch.manual_seed(0)
        settings = FAMILIES[family] | {"vocab_size": 30, "tie_word_embeddings": tied}
        model = getattr(library, f"{family}ForMaskedLM")(getattr(library, f"{family}Config")(**settings))
        draw = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
        table = model.resize_token_embeddings(size, **options)
        assert len(table.weight) == table.num_embeddings == model.config.vocab_size
        found.append((model.state_dict(), torch.rand(1)))
    (ours, next_of_ours), (theirs, next_of_theirs) = found
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(next_of_ours, next_of_theirs)


def test_a_model_of_the_users_own_is_registered(tmp_path, monkeypatch):
    monkeypatch.setattr(minift.AutoConfig, "classes", minift.AutoConfig.classes)
    monkeypatch.setattr(minift.AutoModel, "classes", minift.AutoModel.classes)

    class OwnConfig(minift.PretrainedConfig):
        model_type = "own"

        def __init__(self, width=3, **others):
            self.width = width
            super().__init__(**others)

    class Own(minift.PreTrainedModel):
        config_class = OwnConfig

        def __init__(self, config):
            super().__init__(config)
            self.layer = torch.nn.Linear(config.width, config.num_labels)
            self.post_init()

        def forward(self, x):
            return self.layer(x)

    minift.AutoConfig.register("own", OwnConfig)
    minift.AutoModel.register(OwnConfig, Own)
    with pytest.raises(ValueError, match="has a class for 'own'; pass exist_ok=True"):
        minift.AutoConfig.register("own", OwnConfig)
    model = minift.AutoModel.from_config(minift.AutoConfig.for_model("own", width=5))
    model.save_pretrained(tmp_path)
    again = minift.AutoModel.from_pretrained(tmp_path)
    assert isinstance(again, Own)
    assert torch.equal(again.layer.weight, model.layer.weight)


def test_a_head_of_the_users_own_on_a_pretrained_encoder(tmp_path):
    """The usual form of such a class, from a checkpoint of the encoder alone: the same weights in both libraries."""
    minift.BertModel(config(minift, "Bert", "TokenClassification")).save_pretrained(tmp_path)
    found = []
    for library, base in ((minift, minift.BertPreTrainedModel), (transformers, transformers.BertPreTrainedModel)):

        class Own(base):
            def __init__(self, config, library=library):
                super().__init__(config)
                self.bert = library.BertModel(config, add_pooling_layer=False)
                self.gate = torch.nn.Parameter(torch.full((3,), 7.0))
                self.score = torch.nn.Linear(config.hidden_size, 2)
                self.post_init()

        torch.manual_seed(4)
        found.append(Own.from_pretrained(tmp_path).state_dict())
    assert list(found[0]) == list(found[1])
    for name, value in found[1].items():
        assert torch.equal(found[0][name], value) or name == "gate", name
    assert found[0]["gate"].tolist() == [7.0] * 3


def test_bad_labels():
    model = model_of(minift, "Bert", "TokenClassification")
    batch = batch_of("Bert", "TokenClassification")
    batch["labels"][1, 0] = 5
    with pytest.raises(ValueError, match="row 1"):
        model(**batch)
    model = model_of(minift, "Bert", "MultipleChoice")
    with pytest.raises(ValueError, match="row 0"):
        model(**batch_of("Bert", "MultipleChoice") | {"labels": torch.tensor([4, 0, 0])})


@pytest.mark.parametrize("family", FAMILIES)
def test_without_padding(family):
    for head in ("TokenClassification", "MultipleChoice"):
        plain, fast = (strict_pair(family, head)[0] for _ in range(2))
        batch = batch_of(family, head)
        expected, found = plain(**batch), minift.use_fast_path(fast, padding_free=True)(**batch)
        torch.testing.assert_close(found.loss, expected.loss, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="excludes question answering"):
        minift.use_fast_path(model_of(minift, family, "QuestionAnswering"), padding_free=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("head", ["TokenClassification", "QuestionAnswering"])
def test_trainer(head, tmp_path):
    """Training and evaluating through Trainer gives transformers' losses and metrics' inputs."""
    batch = {name: values.tolist() for name, values in batch_of("Bert", head).items()}
    seen = []
    for library in (minift, transformers):
        torch.manual_seed(0)
        settings = BERT | {"num_labels": 2 if head == "QuestionAnswering" else 5}
        model = getattr(library, f"BertFor{head}")(library.BertConfig(**settings))
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        args = library.TrainingArguments(
            str(tmp_path / library.__name__),
            max_steps=3,
            per_device_train_batch_size=2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            optim="adamw_torch",
        )
        shapes = []

        def measure(prediction, shapes=shapes):
            for part in (prediction.predictions, prediction.label_ids):
                parts = part if isinstance(part, tuple) else (part,)
                shapes.append([values.shape for values in parts])
            return {}

        trainer = library.Trainer(model, args, train_dataset=rows, eval_dataset=rows, compute_metrics=measure)
        trainer.train()
        losses = [round(entry["loss"], 5) for entry in trainer.state.log_history if "loss" in entry]
        seen.append((losses, round(trainer.evaluate()["eval_loss"], 5), shapes))
    assert seen[0] == seen[1]
