"""What `Accelerator` does to the parts of a loop, and what it refuses."""

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from minift.accelerator.accelerator import Accelerator
from minift.accelerator.prepared import PreparedLoader, PreparedOptimizer
from minift.distributed.process import notebook_launcher
from minift.optim.adamw import AdamW
from minift.optim.schedule import get_scheduler
from minift.tokenizer.batch_encoding import BatchEncoding
from tests.tiny import PadRows, tiny_model, tiny_rows


def update(accumulation: int, batch_size: int) -> dict[str, torch.Tensor]:
    """The weights after 16 rows, clipped, no dropout; by SGD, since Adam enlarges the rounding of zero gradients."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulation)
    model = tiny_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    schedule = get_scheduler("constant", optimizer)
    loader = DataLoader(tiny_rows(16), batch_size=batch_size, collate_fn=PadRows())
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    steps = []
    for batch in loader:
        with accelerator.accumulate(model):
            accelerator.backward(model(**batch).loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            steps.append(accelerator.sync_gradients)
    assert steps == [False] * (accumulation - 1) + [True]
    assert schedule.last_epoch == 1
    return model.state_dict()


def test_four_batches_of_four_are_one_of_sixteen():
    four, sixteen = update(4, 4), update(1, 16)
    for name in sixteen:
        torch.testing.assert_close(four[name], sixteen[name], rtol=1e-5, atol=1e-6, msg=name)


def test_parts_come_back_in_order_and_others_as_they_are():
    accelerator = Accelerator(cpu=True)
    model, optimizer, loader = tiny_model(), AdamW([torch.zeros(1)]), DataLoader(tiny_rows(3), collate_fn=PadRows())
    prepared = accelerator.prepare(loader, "other", optimizer, model)
    assert [type(part) for part in prepared] == [PreparedLoader, str, PreparedOptimizer, type(model)]
    assert prepared[3] is model
    assert accelerator.prepare(*prepared) == prepared
    assert isinstance(accelerator.prepare(loader), PreparedLoader)
    assert (len(prepared[0]), prepared[0].batch_size) == (3, 1)
    assert prepared[0].dataset is loader.dataset
    assert copy.copy(prepared[0]).loader is loader


def test_an_evaluation_inside_an_epoch_does_not_end_an_update():
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    outer, inner = accelerator.prepare(DataLoader(range(4)), DataLoader(range(3)))
    synced = []
    for _ in outer:
        with accelerator.accumulate():
            synced.append(accelerator.sync_gradients)
        for _ in inner:
            break  # the inner epoch is left early
        list(inner)
    assert synced == [False, True, False, True]
    assert accelerator.gradient_state.active_dataloader is None


def test_batches_keep_their_kind():
    rows = [BatchEncoding({"input_ids": torch.tensor([1, 2])})]
    (batch,) = Accelerator(cpu=True).prepare(DataLoader(rows, batch_size=None))
    assert isinstance(batch, BatchEncoding)
    assert list(Accelerator(cpu=True).prepare(DataLoader([]))) == []


def test_bf16_computes_in_bf16_and_returns_fp32():
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    model = tiny_model().eval()
    batch = PadRows()(tiny_rows(4))
    exact = model(**batch).logits
    model = accelerator.prepare(accelerator.prepare(model))
    mixed = model(**batch).logits
    assert mixed.dtype == torch.float32
    assert not torch.equal(mixed, exact)
    torch.testing.assert_close(mixed, exact, rtol=0.1, atol=0.1)
    assert torch.equal(accelerator.unwrap_model(model, keep_fp32_wrapper=False)(**batch).logits, exact)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="fp16 needs a GPU")
def test_fp16_skips_an_update_that_overflowed():
    accelerator = Accelerator(mixed_precision="fp16")
    model = tiny_model()
    model, optimizer = accelerator.prepare(model, AdamW(model.parameters()))
    before = model.classifier.weight.clone()
    accelerator.backward(model.classifier.weight.sum() * float("inf"))
    optimizer.step()
    assert accelerator.optimizer_step_was_skipped
    assert torch.equal(model.classifier.weight, before)


def test_one_process_gathers_itself(capsys):
    accelerator = Accelerator(cpu=True)
    tensor = torch.arange(3)
    for collect in (accelerator.gather, accelerator.gather_for_metrics, accelerator.reduce):
        assert torch.equal(collect(tensor), tensor)
    with pytest.raises(ValueError, match="must be 'sum', 'mean', 'max' or 'none', not 'min'"):
        accelerator.reduce(tensor, "min")
    assert (accelerator.is_main_process, accelerator.is_local_main_process) == (True, True)
    assert (accelerator.num_processes, accelerator.process_index, accelerator.device) == (1, 0, torch.device("cpu"))
    accelerator.wait_for_everyone()
    accelerator.print("once")
    assert capsys.readouterr().out == "once\n"


def test_save_writes_safetensors(tmp_path):
    model = tiny_model()
    Accelerator(cpu=True).save(model.state_dict(), tmp_path / "model.safetensors")
    stored = load_file(tmp_path / "model.safetensors")
    assert stored.keys() == model.state_dict().keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())


def test_a_state_is_for_the_parts_that_wrote_it(tmp_path):
    accelerator = Accelerator(cpu=True)
    model = accelerator.prepare(tiny_model())
    with pytest.raises(FileNotFoundError, match="was not written by save_state: it has no state.json"):
        accelerator.load_state(tmp_path)
    assert accelerator.save_state(tmp_path / "state") == str(tmp_path / "state")
    other = Accelerator(cpu=True)
    other.prepare(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="does not hold the weights of this Linear"):
        other.load_state(tmp_path / "state")
    accelerator.prepare(AdamW(model.parameters()))
    with pytest.raises(ValueError, match="holds 0 optimizers; this Accelerator has 1"):
        accelerator.load_state(tmp_path / "state")


@pytest.mark.parametrize(
    ("thing", "file", "message"),
    [
        ({"a": torch.ones(1)}, "model.bin", r"model\.bin: Accelerator.save writes \.safetensors files only"),
        ({"a": 1}, "model.safetensors", "a dict of tensors"),
        (torch.ones(1), "model.safetensors", "a dict of tensors"),
    ],
)
def test_save_refuses_what_would_be_a_pickle(thing, file, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Accelerator(cpu=True).save(thing, tmp_path / file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"fsdp_plugin": object(), "wrong": None}, TypeError, "does not support 'fsdp_plugin', 'wrong'"),
        ({"log_with": "comet_ml"}, ValueError, "log_with: minift has no tracker 'comet_ml'; it has tensorboard, wandb"),
        ({"kwargs_handlers": [object()]}, TypeError, "kwargs_handlers: Accelerator does not support object"),
        ({"rng_types": ["torch"]}, ValueError, "rng_types=.*share the order of rows only"),
        ({"mixed_precision": "fp8"}, ValueError, "one of 'no', 'bf16', 'fp16', not 'fp8'"),
        ({"mixed_precision": "fp16"}, ValueError, "needs a GPU"),
        ({"gradient_accumulation_steps": 0}, ValueError, "at least 1, not 0"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Accelerator(cpu=True, **arguments)


def test_notebook_launcher_calls_the_function():
    seen = []
    notebook_launcher(seen.append, (3,))
    assert seen == [3]
