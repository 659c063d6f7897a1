"""Answers from spans: beside all spans, one by one; windows; whole words; and no answer."""

import pytest
import torch

from minift.model.auto import AutoModelForQuestionAnswering
from minift.pipelines.pipeline import pipeline
from tests.pipelines.test_pipelines import config, tokenizer  # noqa: F401 - a fixture

QUESTION, CONTEXT = "what was good", "The longer film was good, and the longer plot was bad."


@pytest.fixture
def answer(tokenizer):  # noqa: F811
    torch.manual_seed(0)
    settings = config()
    settings.max_position_embeddings = 64
    return pipeline("question-answering", AutoModelForQuestionAnswering.from_config(settings), tokenizer=tokenizer)


def all_spans(answer, longest, whole_words, context, **window):
    """Every span of the context with its score, equal texts together; and the lowest probability of none."""
    windows = answer.tokenizer(
        [QUESTION],
        [context],
        truncation="only_second",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        **window,
    )
    found, none = {}, []
    for number, ids in enumerate(windows["input_ids"]):
        offsets, words = windows["offset_mapping"][number], windows.word_ids(number)
        inside = [place == 1 for place in windows.sequence_ids(number)]
        with torch.no_grad():
            types = torch.tensor([windows["token_type_ids"][number]])
            output = answer.model(torch.tensor([ids]), token_type_ids=types)
        excluded = ~torch.tensor([True, *inside[1:]])
        logits = [logits[0].masked_fill(excluded, -1e4) for logits in (output.start_logits, output.end_logits)]
        start, end = (one.softmax(-1).tolist() for one in logits)
        none.append(start[0] * end[0])
        for i in range(len(inside)):
            for j in range(i, min(i + longest, len(inside))):
                if inside[i] and inside[j]:
                    first = min(offsets[k][0] for k in range(len(ids)) if inside[k] and words[k] == words[i])
                    last = max(offsets[k][1] for k in range(len(ids)) if inside[k] and words[k] == words[j])
                    text = context[first:last] if whole_words else context[offsets[i][0] : offsets[j][1]]
                    found[text.lower()] = found.get(text.lower(), 0.0) + start[i] * end[j]
    return found, min(none), len(none)


@pytest.mark.parametrize("longest", [1, 3, 15])
@pytest.mark.parametrize("whole_words", [True, False])
@pytest.mark.parametrize(
    ("context", "windows"), [("The longer film was bad.", 1), (f"{CONTEXT} {CONTEXT} A film was long.", 4)]
)
def test_the_best_of_all_spans(answer, longest, whole_words, context, windows):
    options = {"max_answer_len": longest, "align_to_words": whole_words, "handle_impossible_answer": True}
    found = answer(question=QUESTION, context=context, top_k=1000, max_seq_len=20, doc_stride=5, **options)
    wanted, none, number = all_spans(answer, longest, whole_words, context, max_length=20, stride=5)
    assert number == windows
    assert found == sorted(found, key=lambda one: -one["score"])
    likely = {one["answer"].lower(): one["score"] for one in found if one["score"] > 0}  # what is too long has 0
    assert likely == pytest.approx({**wanted, "": none}, abs=1e-6)
    for one in found:
        assert context[one["start"] : one["end"]] == one["answer"]


def test_forms_of_the_call(answer):
    one = answer(question=QUESTION, context=CONTEXT)
    assert one == answer({"question": QUESTION, "context": CONTEXT}) == answer(QUESTION, CONTEXT)
    assert one == answer([{"question": QUESTION, "context": CONTEXT}])  # a list of one is unpacked
    assert answer(question=[QUESTION, "a"], context=CONTEXT)[0] == pytest.approx(one)
    assert list(answer(example for example in [{"question": QUESTION, "context": CONTEXT}] * 2)) == [one, one]
    with pytest.warns(UserWarning, match="topk is now top_k"):
        assert answer(question=QUESTION, context=CONTEXT, topk=2) == answer(question=QUESTION, context=CONTEXT, top_k=2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ({"question": "", "context": CONTEXT}, ValueError, "question='': expected a text that is not empty"),
        ({"question": ["a"], "context": [CONTEXT, CONTEXT]}, ValueError, "there are 1 questions, but 2 contexts"),
        ({"question": "a"}, ValueError, "give question= and context="),
        ({"question": "a", "context": "b", "max_answer_len": 0}, ValueError, "an answer has at least 1 token"),
        ({"question": "a", "context": "b", "doc_stride": 9, "max_seq_len": 8}, ValueError, "larger than max_seq_len=8"),
        ({"question": "a", "context": "b", "some": 1}, TypeError, "unknown argument some"),
    ],
)
def test_what_cannot_be_asked(answer, call, error, message):
    with pytest.raises(error, match=message):
        answer(**call)
