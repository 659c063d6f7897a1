"""Uploads through huggingface_hub's own client to a loopback server, and what comes back from there."""

import json
from typing import ClassVar

import pytest

from minift import Trainer, TrainingArguments
from minift.hub import upload_folder
from minift.model.auto import AutoModelForSequenceClassification
from tests.loopback_upload import READ, WRITE, upload_hub  # noqa: F401 - a fixture
from tests.tiny import PadRows, tiny_model, tiny_rows

MODEL_FILES = ["config.json", "model.safetensors", "training_args.json"]


@pytest.fixture
def folder(tmp_path):
    """Files to upload: binary, empty, in a subfolder, and of a checkpoint."""
    contents = {"all.bin": bytes(range(256)), "empty": b"", "sub/text.txt": b"text", "checkpoint-3/model": b"3"}
    for name, content in contents.items():
        file = tmp_path / "local" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "local"


UPLOAD = """
from minift.hub import snapshot, upload_folder
ignored = ["checkpoint-*"]
print(upload_folder({folder!r}, {name!r}, token={token!r}, repo_type={kind!r}, ignore_patterns=ignored))
print(snapshot("me/tiny", {kind!r}))
assert ignored == ["checkpoint-*"]
"""


@pytest.mark.parametrize(("name", "kind"), [("tiny", "model"), ("me/tiny", "dataset")])
@pytest.mark.parametrize("xet", [False, True], ids=["one commit", "pipelined"])  # the client's two ways to upload
def test_a_folder_comes_back(upload_hub, folder, tmp_path, name, kind, xet):  # noqa: F811
    code = "import os; del os.environ['HF_HUB_DISABLE_XET']\n" * xet + UPLOAD
    code = code.format(folder=str(folder), name=name, token=WRITE, kind=kind)
    address, downloaded = upload_hub.run(code, tmp_path / "cache").splitlines()[-2:]
    assert address.startswith(f"{upload_hub.endpoint}/me/tiny/commit/")
    assert upload_hub.commits == [("me/tiny", "Upload with minift", ["all.bin", "empty", "sub/text.txt"])]
    for path in upload_hub.commits[0].paths:
        assert (tmp_path / downloaded / path).read_bytes() == (folder / path).read_bytes()


REFUSED = """
from minift.hub import upload_folder
for token in {tokens!r}:
    try:
        upload_folder({folder!r}, "me/tiny", token=token)
    except PermissionError as error:
        print(error)
"""


@pytest.mark.parametrize("exists", [False, True])  # the client does not mind if an existing one cannot be created
def test_refusals_name_the_repository_and_the_remedy(upload_hub, folder, tmp_path, exists):  # noqa: F811
    if exists:
        (upload_hub.root / "models" / "me" / "tiny").mkdir(parents=True)
    code = REFUSED.format(folder=str(folder), tokens=(None, True, "wrong", READ))
    printed = upload_hub.run(code, tmp_path / "cache").splitlines()
    begin = f"{folder} was not uploaded to me/tiny: "
    rejected = begin + "no token, or one that the Hub rejects; run `hf auth login`"
    assert [line.split(", or pass")[0].split("; use")[0] for line in printed] == [
        *[rejected] * 3,
        begin + "the token has no permission to write there",
    ]
    assert not upload_hub.commits


@pytest.mark.parametrize("offline", [False, True])
def test_an_unreachable_hub(upload_hub, folder, tmp_path, offline):  # noqa: F811
    nobody = "import os; os.environ['HF_ENDPOINT'] = 'http://127.0.0.1:9'\n"
    code = nobody + REFUSED.replace("PermissionError", "ConnectionError").format(folder=str(folder), tokens=(WRITE,))
    printed = upload_hub.run(code, tmp_path / "cache", offline=offline)
    assert printed.startswith(f"{folder} was not uploaded to me/tiny: the Hub cannot be reached")


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such folder to upload"):
        upload_folder(tmp_path / "nothing", "me/tiny")


PUSH = """
import torch
from minift import AutoModelForSequenceClassification, AutoTokenizer
from tests.tiny import tiny_model
tokenizer = AutoTokenizer.from_pretrained({folder!r})
tiny_model().push_to_hub("tiny", token={token!r}, commit_message="weights")
tiny_model().config.push_to_hub("me/tiny", token={token!r}, commit_message="configuration")
tokenizer.push_to_hub("me/tiny", token={token!r})
assert AutoTokenizer.from_pretrained("me/tiny")("a b")["input_ids"] == tokenizer("a b")["input_ids"] == [2, 5, 6, 3]
loaded = AutoModelForSequenceClassification.from_pretrained("me/tiny", strict=True).state_dict()
assert all(torch.equal(value, loaded[name]) for name, value in tiny_model().state_dict().items())
"""


def test_models_and_tokenizers_upload_themselves(upload_hub, tmp_path):  # noqa: F811
    vocabulary = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"])
    (tmp_path / "vocab.txt").write_text(vocabulary)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    upload_hub.run(PUSH.format(folder=str(tmp_path), token=WRITE), tmp_path / "cache")
    assert upload_hub.commits == [
        ("me/tiny", "weights", ["config.json", "model.safetensors"]),
        ("me/tiny", "configuration", ["config.json"]),
        ("me/tiny", "Upload with minift", ["tokenizer.json", "tokenizer_config.json"]),
    ]


TRAIN = """
import torch
from minift import AutoModelForSequenceClassification, Trainer, TrainingArguments
from tests.tiny import PadRows, tiny_model, tiny_rows
args = TrainingArguments(
    {folder!r}, max_steps=2, save_strategy="steps", save_steps=1, learning_rate=1e-2, disable_tqdm=True, use_cpu=True,
    push_to_hub=True, hub_strategy={strategy!r}, hub_model_id={name!r}, hub_token={token!r},
)
trainer = Trainer(tiny_model(), args, PadRows(), tiny_rows(16))
trainer.train()
loaded = AutoModelForSequenceClassification.from_pretrained("me/tiny", strict=True).state_dict()
assert all(torch.equal(value, loaded[name]) for name, value in trainer.model.state_dict().items())
assert not torch.equal(loaded["classifier.weight"], tiny_model().classifier.weight)
"""


@pytest.mark.parametrize(
    ("strategy", "name", "saves"),
    [("end", None, []), ("every_save", "me/tiny", [1, 2])],  # None: the name of the output folder
    ids=["end", "every_save"],
)
def test_trainer_uploads_what_it_trained(upload_hub, tmp_path, strategy, name, saves):  # noqa: F811
    output = tmp_path / "tiny"
    upload_hub.run(TRAIN.format(folder=str(output), strategy=strategy, name=name, token=WRITE), tmp_path / "cache")
    messages = [f"Training in progress, step {step}" for step in saves] + ["End of training"]
    assert [commit.message for commit in upload_hub.commits] == messages
    assert all(commit.repository == "me/tiny" and "model.safetensors" in commit.paths for commit in upload_hub.commits)
    assert upload_hub.commits[-1].paths == ["README.md", *MODEL_FILES]  # the card goes with the model
    assert (output / "checkpoint-2" / "resume.json").is_file()
    uploaded = upload_hub.root / "models" / "me" / "tiny" / "training_args.json"
    assert json.loads(uploaded.read_text())["hub_token"] == "<HUB_TOKEN>"


RESUME = """
from minift import Trainer, TrainingArguments, set_seed
from minift.hub import snapshot
from tests.tiny import PadRows, tiny_model, tiny_rows
def train(resume=None, **more):
    args = TrainingArguments(
        {folder!r}, max_steps=4, save_steps=2, learning_rate=1e-2, disable_tqdm=True, use_cpu=True, seed=3, **more
    )
    trainer = Trainer(tiny_model(), args, PadRows(), tiny_rows(16))
    trainer.train(resume)
    return trainer.model.state_dict()
whole = train(push_to_hub=True, hub_strategy={strategy!r}, hub_model_id="me/tiny", hub_token={token!r})
loaded = train(snapshot("me/tiny") / {subfolder!r}, overwrite_output_dir=True)
assert all(value.equal(loaded[name]) for name, value in whole.items())
"""


@pytest.mark.parametrize(
    ("strategy", "subfolder", "folders"),
    [
        ("checkpoint", "last-checkpoint", ["last-checkpoint", "last-checkpoint"]),
        ("all_checkpoints", "checkpoint-2", ["checkpoint-2", "checkpoint-4"]),
    ],
)
def test_a_run_goes_on_from_an_uploaded_checkpoint(upload_hub, tmp_path, strategy, subfolder, folders):  # noqa: F811
    code = RESUME.format(folder=str(tmp_path / "tiny"), strategy=strategy, subfolder=subfolder, token=WRITE)
    upload_hub.run(code, tmp_path / "cache")
    step_2, step_4 = "Training in progress, step 2", "Training in progress, step 4"
    messages = [step_2, f"{step_2}, checkpoint", step_4, f"{step_4}, checkpoint", "End of training"]
    assert [commit.message for commit in upload_hub.commits] == messages
    for commit, folder in zip(upload_hub.commits[1::2], folders, strict=True):
        names = {path.rpartition("/")[2] for path in commit.paths if path.startswith(f"{folder}/")}
        assert len(names) == len(commit.paths)
        assert names > {*MODEL_FILES, "optimizer.safetensors", "resume.json"}


@pytest.mark.parametrize("push", [False, True])
def test_a_subclass_takes_the_upload_of_a_checkpoint_over(tmp_path, push):
    class Mine(Trainer):
        pushed: ClassVar[list] = []

        def _push_from_checkpoint(self, checkpoint_folder):
            self.pushed.append((self.state.global_step, checkpoint_folder))

        def push_to_hub(self, *args, **options):
            self.pushed.append("end")

    options = {"max_steps": 2, "save_steps": 1, "disable_tqdm": True, "use_cpu": True, "push_to_hub": push}
    args = TrainingArguments(str(tmp_path), **options)
    Mine(tiny_model(), args, PadRows(), tiny_rows(16)).train()
    folders = [(step, str(tmp_path / f"checkpoint-{step}")) for step in (1, 2)]
    assert Mine.pushed == ([*folders, "end"] if push else [])


BRANCH = """
from minift import Trainer, TrainingArguments
from tests.tiny import tiny_model
model = tiny_model()
for _ in range(2):
    model.push_to_hub("me/tiny", token={token!r}, revision="trial", max_shard_size=20_000, commit_message=None)
args = TrainingArguments({folder!r}, hub_revision="trial", hub_model_id="me/tiny", hub_token={token!r}, use_cpu=True)
Trainer(model, args).push_to_hub()
"""


def test_a_branch_is_made_for_the_upload(upload_hub, tmp_path):  # noqa: F811
    upload_hub.run(BRANCH.format(folder=str(tmp_path / "run"), token=WRITE), tmp_path / "cache")
    assert upload_hub.branches == {"main", "trial"}
    assert upload_hub.revisions == ["trial"] * 3
    assert "model.safetensors.index.json" in upload_hub.commits[0].paths
    assert upload_hub.commits[0].message == "Upload with minift"


def test_a_rejected_token_leaves_what_was_trained(upload_hub, tmp_path):  # noqa: F811
    output = tmp_path / "output"
    code = TRAIN.format(folder=str(output), strategy="end", name="me/tiny", token="wrong")
    with pytest.raises(RuntimeError, match="PermissionError: .* was not uploaded to me/tiny: .*hf auth login"):
        upload_hub.run(code, tmp_path / "cache")
    assert not upload_hub.commits
    start = tiny_model().classifier.weight
    for folder in (output, output / "checkpoint-1", output / "checkpoint-2"):
        trained = AutoModelForSequenceClassification.from_pretrained(folder, strict=True)
        assert not trained.classifier.weight.equal(start)
