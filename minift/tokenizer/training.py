"""A vocabulary of one's own: the same pipeline, trained on other texts."""

import json
from collections.abc import Iterable
from typing import Any

import tokenizers
from tokenizers import AddedToken, trainers

TRAINERS = {"WordPiece": trainers.WordPieceTrainer, "WordLevel": trainers.WordLevelTrainer}


def trained(
    backend: tokenizers.Tokenizer,
    texts: Iterable[Any],
    vocab_size: int,
    length: int | None,
    new_special_tokens: list[str | AddedToken] | None,
    renamed: dict[str, str],
    **options: Any,
) -> tokenizers.Tokenizer:
    """Train a vocabulary on `texts` (strings, or lists of them) for the pipeline of `backend`, which stays as it is.

    Special tokens come first, in their order, with new names where `renamed` has them. `length` is the number of
    texts, for the progress bar; `options` are those of the trainer in `tokenizers`. Re-implements
    ``train_new_from_iterator`` (transformers/tokenization_utils_tokenizers.py).
    """
    described = json.loads(backend.to_str())
    added, frame, model = described.pop("added_tokens"), described.pop("post_processor"), described["model"]
    if model["type"] not in TRAINERS:
        raise ValueError(f"train_new_from_iterator: a {model['type']} model is not supported, only {list(TRAINERS)}")
    model["vocab"] = {}
    model["unk_token"] = renamed.get(model["unk_token"], model["unk_token"])
    special = []
    for token in added:
        if token["special"]:
            options_of_token = {name: token[name] for name in ("single_word", "lstrip", "rstrip", "normalized")}
            special.append(AddedToken(renamed.get(token["content"], token["content"]), **options_of_token))
    new = tokenizers.Tokenizer.from_str(json.dumps(described))
    trainer = TRAINERS[model["type"]](
        vocab_size=vocab_size, special_tokens=[*special, *(new_special_tokens or ())], **options
    )
    new.train_from_iterator(texts, trainer=trainer, length=length)
    if frame is None:
        return new
    whole = json.loads(new.to_str())
    whole["post_processor"] = _renumbered(frame, new, renamed)
    return tokenizers.Tokenizer.from_str(json.dumps(whole))


def _renumbered(frame: dict[str, Any], backend: tokenizers.Tokenizer, renamed: dict[str, str]) -> dict[str, Any]:
    """Give the tokens that frame a text (`post_processor` of tokenizer.json) their new names and ids."""
    new = dict(frame)
    for role in ("cls", "sep"):  # BertProcessing: a token and its id
        if role in frame:
            token = renamed.get(frame[role][0], frame[role][0])
            new[role] = [token, backend.token_to_id(token)]
    tokens = {}
    for name, held in frame.get("special_tokens", {}).items():  # TemplateProcessing
        names = [renamed.get(token, token) for token in held["tokens"]]
        tokens[name] = {"id": held["id"], "ids": [backend.token_to_id(token) for token in names], "tokens": names}
    return new | ({"special_tokens": tokens} if tokens else {})
