"""What an Accelerator offers besides the loop's own calls, in one process."""

import json
import logging
import pickle

import pytest
import torch
from torch.utils.data import DataLoader

import minift
from minift.accelerator.state import AcceleratorState, GradientState, PartialState
from minift.libraries.loop_tools import set_seed, synchronize_rng_states
from tests.report.test_event_file import read_events


class Notes(minift.GeneralTracker):
    name = "notes"

    def __init__(self):
        super().__init__()
        self.seen = []

    def store_init_configuration(self, values):
        self.seen.append(values)

    def log(self, values, step=None, **options):
        self.seen.append((values, step, options))

    def finish(self):
        self.seen.append("end")


def test_trackers_of_the_users_own():
    notes = Notes()
    accelerator = minift.Accelerator(cpu=True, log_with=notes)
    accelerator.init_trackers("project", {"lr": 0.1})
    accelerator.log({"loss": 1.0}, step=3, log_kwargs={"notes": {"tag": "a"}})
    assert accelerator.get_tracker("notes") is notes
    with pytest.raises(ValueError, match="no tracker is called 'other'; there is notes"):
        accelerator.get_tracker("other")
    accelerator.end_training()
    assert notes.seen == [{"lr": 0.1}, ({"loss": 1.0}, 3, {"tag": "a"}), "end"]


def test_tensorboard_in_a_plain_loop(tmp_path):
    accelerator = minift.Accelerator(log_with=["all", "tensorboard"], project_dir=str(tmp_path))
    accelerator.init_trackers("runs", {"lr": 0.1, "seed": 1})
    accelerator.log({"loss": torch.tensor(0.5), "note": "a text", "scores": {"f1": 0.25}}, step=3)
    accelerator.end_training()
    scalars, texts = read_events(tmp_path / "runs")
    assert scalars == {"loss": [(3, 0.5)], "scores/f1": [(3, 0.25)]}
    assert texts == {"note/text_summary": "a text", "config/text_summary": '{\n  "lr": 0.1,\n  "seed": 1\n}'}
    with pytest.raises(ValueError, match="log_with='tensorboard' needs a folder: pass project_dir"):
        minift.Accelerator(log_with="tensorboard")
    with pytest.raises(ImportError, match="needs the package wandb: pip install wandb"):
        minift.Accelerator(log_with="wandb").init_trackers("project")
    assert minift.Accelerator().get_tracker("wandb").name == "none"


def test_all_accelerators_compute_in_one_type():
    assert minift.Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"
    assert minift.Accelerator(cpu=True).mixed_precision == "bf16"  # as the first was told
    with pytest.raises(ValueError, match="Start a new process for 'no'"):
        minift.Accelerator(cpu=True, mixed_precision="no")
    assert "Mixed precision type: bf16" in str(AcceleratorState())


def test_states_show_where_the_process_is(capsys):
    state = PartialState(cpu=True)
    assert str(state).startswith("Distributed environment: DistributedType.NO\nNum processes: 1\n")
    state.on_main_process(print)("main")
    state.on_process(print, process_index=1)("other")

    @state.on_last_process
    def last():
        return "last"

    assert last() == "last"
    with state.split_between_processes([1, 2, 3]) as rows:
        assert rows == [1, 2, 3]
    assert capsys.readouterr().out == "main\n"
    with pytest.raises(TypeError, match="PartialState does not support 'backend'"):
        PartialState(backend="gloo")


def test_a_state_that_was_reset_says_so():
    accelerator = minift.Accelerator(cpu=True)
    AcceleratorState._reset_state()
    with pytest.raises(AttributeError, match="has no attribute `mixed_precision`. This happens if"):
        accelerator.prepare(torch.nn.Linear(1, 1))


def test_the_gradient_state_is_of_all():
    accelerator = minift.Accelerator(cpu=True, gradient_accumulation_steps=3)
    seen = []
    for _ in accelerator.prepare(DataLoader(range(4))):
        with accelerator.accumulate():
            where = GradientState()
            seen.append((where.sync_gradients, where.in_dataloader, where.end_of_dataloader))
    assert seen == [(False, True, False), (False, True, False), (True, True, False), (True, True, True)]
    assert (GradientState().num_steps, GradientState().active_dataloader) == (3, None)


def test_epochs_need_not_end_an_update():
    plugin = minift.GradientAccumulationPlugin(num_steps=3, sync_with_dataloader=False)
    accelerator = minift.Accelerator(cpu=True, gradient_accumulation_plugin=plugin)
    synced = []
    for _ in accelerator.prepare(DataLoader(range(4))):
        with accelerator.accumulate():
            synced.append(accelerator.sync_gradients)
    assert synced == [False, False, True, False]


def test_triggers():
    accelerator = minift.Accelerator(cpu=True)
    assert not accelerator.check_trigger()
    accelerator.set_trigger()
    assert accelerator.check_trigger()
    assert not accelerator.check_trigger()


class Counter:
    def __init__(self):
        self.count, self.past = 0, torch.zeros(2)

    def state_dict(self):
        return {"count": self.count, "past": [self.past], "name": {"tensor": "0"}}

    def load_state_dict(self, state):
        self.count, (self.past,), self.name = state["count"], state["past"], state["name"]


def test_checkpoints_by_number_and_registered_objects(tmp_path):
    config = minift.ProjectConfiguration(str(tmp_path), automatic_checkpoint_naming=True, total_limit=2)
    accelerator = minift.Accelerator(cpu=True, project_config=config)
    model, counter = accelerator.prepare(torch.nn.Linear(2, 2)), Counter()
    accelerator.register_for_checkpointing(counter)
    for count in range(3):
        counter.count, counter.past = count, torch.full((2,), float(count))
        accelerator.save_state()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["checkpoint_1", "checkpoint_2"]
    before = model.weight.clone()
    model.weight.data.zero_()
    counter.count = 9
    accelerator.load_state()
    assert (counter.count, counter.past.tolist(), counter.name) == (2, [2.0, 2.0], {"tensor": "0"})
    assert torch.equal(model.weight, before)
    accelerator.load_state(tmp_path / "checkpoints" / "checkpoint_1")
    assert counter.count == 1
    with pytest.raises(ValueError, match="a dict, has no state_dict and load_state_dict"):
        accelerator.register_for_checkpointing({})
    accelerator.register_for_checkpointing(Counter())
    with pytest.raises(ValueError, match="holds 1 registered objects; this Accelerator has 2"):
        accelerator.load_state()
    config.iteration = 2
    with pytest.raises(ValueError, match="checkpoint_2 exists"):
        accelerator.save_state()
    with pytest.raises(ValueError, match="needs output_dir"):
        minift.Accelerator(cpu=True).save_state()
    with pytest.raises(ValueError, match="without safe_serialization=False"):
        accelerator.save_state(tmp_path / "x", safe_serialization=False)


def test_a_loader_goes_on_in_the_middle_of_an_epoch():
    config = minift.DataLoaderConfiguration(use_stateful_dataloader=True)
    accelerator = minift.Accelerator(cpu=True, dataloader_config=config)
    loader = accelerator.prepare(DataLoader(range(12), batch_size=2, shuffle=True))
    list(loader)
    seen = []
    for batch in loader:
        seen.append(batch.tolist())
        if len(seen) == 2:
            state = json.loads(json.dumps(loader.state_dict()))
    loader.load_state_dict(state)
    assert [batch.tolist() for batch in loader] == seen[2:]
    assert len(list(loader)) == 6  # the next epoch is whole
    with pytest.raises(ValueError, match="use_stateful_dataloader=True"):
        minift.Accelerator(cpu=True).prepare(DataLoader(range(2))).state_dict()


def test_first_batches_are_left_out():
    accelerator = minift.Accelerator(cpu=True)
    loader = accelerator.prepare(DataLoader(range(6), batch_size=2))
    rest = accelerator.skip_first_batches(loader, 1)
    assert ([batch.tolist() for batch in rest], len(rest)) == ([[2, 3], [4, 5]], 2)
    plain = minift.skip_first_batches(DataLoader(range(6), batch_size=2), 2)
    assert [batch.tolist() for batch in plain] == [[4, 5]]


def test_a_seed_for_each_epoch():
    config = minift.DataLoaderConfiguration(use_seedable_sampler=True, data_seed=5)
    loader = minift.Accelerator(cpu=True, dataloader_config=config).prepare(DataLoader(range(9), shuffle=True))
    first, second = ([batch.item() for batch in loader] for _ in range(2))
    assert first != second
    loader.set_epoch(0)
    assert [batch.item() for batch in loader] == first


def test_schedules_that_step_with_the_optimizer_or_not():
    for with_optimizer, expected in ((True, 0.5), (False, 0.25)):
        accelerator = minift.Accelerator(
            cpu=True, gradient_accumulation_steps=2, step_scheduler_with_optimizer=with_optimizer
        )
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        optimizer, schedule, loader = accelerator.prepare(optimizer, schedule, DataLoader(range(2)))
        for _ in loader:
            with accelerator.accumulate():
                optimizer.step()
                schedule.step()
        assert schedule.get_last_lr() == [expected]


def test_an_optimizer_can_be_pickled():
    accelerator = minift.Accelerator(cpu=True)
    model = torch.nn.Linear(2, 2)
    _, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=0.3))
    copy = pickle.loads(pickle.dumps(optimizer))
    assert copy.param_groups[0]["lr"] == 0.3
    copy.step()
    assert optimizer.step_was_skipped is False


def test_save_model_writes_shards(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
    model[1].weight = model[0].weight  # tied: it is stored once
    accelerator = minift.Accelerator(cpu=True)
    accelerator.save_model(model, tmp_path, max_shard_size="10KB")
    assert sorted(path.name for path in tmp_path.glob("*.safetensors*"))[-1] == "model.safetensors.index.json"
    stored = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    assert set(stored) == {"0.weight", "0.bias", "1.bias"}
    with pytest.raises(ValueError, match="other formats can run code"):
        accelerator.save_model(model, tmp_path, safe_serialization=False)


def test_a_batch_size_that_fits():
    tried = []

    @minift.find_executable_batch_size(starting_batch_size=16)
    def train(batch_size, word):
        tried.append(batch_size)
        if batch_size > 10:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        return word

    assert (train("ok"), tried) == ("ok", [16, 14, 12, 10])
    with pytest.raises(TypeError, match="train gets batch_size as its first argument"):
        train(16, "ok")

    @minift.find_executable_batch_size(starting_batch_size=2, reduce_batch_size_fn=lambda: 0)
    def never(batch_size):
        raise RuntimeError("CUDA out of memory.")

    with pytest.raises(RuntimeError, match="No executable batch size found, reached zero"):
        never()
    with pytest.raises(RuntimeError, match="another"):
        minift.find_executable_batch_size(lambda batch_size: (_ for _ in ()).throw(RuntimeError("another")))()


def test_messages_carry_the_rank(caplog):
    logger = minift.get_logger("a.script", log_level="INFO")
    with pytest.raises(RuntimeError, match="make an Accelerator"):
        logger.info("too early")
    minift.Accelerator(cpu=True)
    logger.info("for all", main_process_only=False)
    logger.warning("in order", in_order=True)
    logger.warning_once("once")
    logger.warning_once("once")
    logging.getLogger().setLevel(logging.WARNING)
    assert caplog.messages == ["[RANK 0] for all", "[RANK 0] in order", "[RANK 0] once"]


def test_seeds():
    set_seed(5, device_specific=True)
    first = torch.rand(1)
    set_seed(5)
    assert torch.equal(torch.rand(1), first)
    synchronize_rng_states(["torch", "generator"], torch.Generator())
    with pytest.raises(ValueError, match="rng_types are 'torch', 'cuda' and 'generator', not 'xla'"):
        synchronize_rng_states(["xla"])


def test_fp16_of_the_first_releases():
    with pytest.warns(UserWarning, match="fp16 needs a GPU: the loop computes in float32"):
        accelerator = minift.Accelerator(fp16=True, cpu=True)
    assert (accelerator.mixed_precision, accelerator.use_fp16) == ("no", False)
