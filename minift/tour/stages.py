"""One example through every stage of fine-tuning, computed by the functions of the source itself."""

from pathlib import Path

import torch
from torch import Tensor, nn

from minift.batches.chunk import Chunker
from minift.batches.collate import DataCollatorWithPadding
from minift.batches.draws import torch_draws
from minift.batches.mask import DataCollatorForLanguageModeling, hide
from minift.model.attention import attention_probabilities, key_mask, merge_heads, split_heads
from minift.model.auto import AutoModelForSequenceClassification
from minift.model.bert import BertEmbeddings, BertLayer, BertPooler
from minift.model.heads.losses import classification_loss
from minift.optim.adamw import AdamW, step_numbers, update
from minift.optim.schedule import linear
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.padding import pad_columns
from minift.tokenizer.wordpiece import WordPiece
from minift.tour.stage import Stage, picture

RATE, BETAS, EPS, MAX_NORM, STEPS = 5e-5, (0.9, 0.999), 1e-8, 1.0, 100


def classification(model: str | Path, text: str, text_pair: str | None, label: int = 1) -> list[Stage]:
    """Return the stages of a classifier's first training step on a text, or a pair, and a short one beside it."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    torch.manual_seed(42)
    network = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, attn_implementation="eager")
    network.eval()  # without dropout, so that every number can be computed again
    if network.config.model_type != "bert":
        raise ValueError(f"the tour is for BERT; {model} is a {network.config.model_type}")
    stages = [*texts_to_ids(tokenizer, text, text_pair)]
    rows = [tokenizer(text, text_pair, truncation=True) | {"label": label}, tokenizer(".") | {"label": 0}]
    batch = DataCollatorWithPadding(tokenizer)([dict(row) for row in rows])
    tokens = tokenizer.convert_ids_to_tokens(batch["input_ids"][0].tolist())
    ids, mask = batch["input_ids"], batch["attention_mask"]
    B, T = ids.shape
    stages.append(
        Stage(
            "batch",
            "Two rows, one batch",
            "Rows of different lengths become one array: the shorter one is filled up, and a mask says what is real.",
            f"input_ids, attention_mask ({B}, {T}); labels ({B},)",
            [f"row {i}: {int(row.sum())} tokens and {T - int(row.sum())} of padding" for i, row in enumerate(mask)],
            [picture("attention_mask: 1 real, 0 padding", mask, ["row 0", "row 1"], tokens)],
            [pad_columns],
        )
    )
    stages += inside_the_model(network, batch, tokens)
    return stages + one_step(network, batch)


def texts_to_ids(tokenizer, text: str, text_pair: str | None) -> list[Stage]:
    """Text -> clean text -> words -> pieces -> ids."""
    piecewise = WordPiece(tokenizer.get_vocab(), do_lower_case=tokenizer.do_lower_case)
    words = piecewise.basic.tokenize(text)
    pieces = {word: piecewise.pieces(word) for word in words}
    encoded = tokenizer(text, text_pair, truncation=True)
    names = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    types = encoded.get("token_type_ids", [0] * len(names))
    return [
        Stage(
            "text",
            "A text is cleaned and split",
            "Letters become lower case, accents and control characters go, and each punctuation mark is a word.",
            "text -> words",
            [f"text       {text!r}", f"cleaned    {piecewise.basic.clean(text)!r}", f"words      {' | '.join(words)}"],
            functions=[type(piecewise.basic).clean],
        ),
        Stage(
            "pieces",
            "Words become pieces of the vocabulary",
            "Each word is split greedily: the longest piece that it begins with, then the longest that goes on.",
            f"{len(words)} words -> {sum(map(len, pieces.values()))} pieces",
            [f"{word:<16} {' '.join(split)}" for word, split in pieces.items()],
            functions=[WordPiece.pieces],
        ),
        Stage(
            "ids",
            "Pieces become numbers",
            "[CLS] begins the input and [SEP] ends each text. The type says which text of a pair a piece is from.",
            f"input_ids, token_type_ids, attention_mask ({len(names)},)",
            [
                f"{i:>3}  {name:<14} id {number:>6}  type {kind}"
                for i, (name, number, kind) in enumerate(zip(names, encoded["input_ids"], types, strict=True))
            ],
        ),
    ]


def inside_the_model(network: nn.Module, batch: dict[str, Tensor], tokens: list[str]) -> list[Stage]:
    """Embeddings, one layer in slow motion, the other layers, the pooler and the head."""
    bert, ids, types = network.bert, batch["input_ids"], batch.get("token_type_ids")
    table = bert.embeddings
    with torch.no_grad():
        x = table(ids, types)  # (B, T, E)
        mask = key_mask(batch["attention_mask"], x)
        layer = bert.layers[0]
        query, key, value = layer.projections()
        q, k, v = (split_heads(project(x), layer.heads) for project in (query, key, value))  # (B, H, T, D)
        attention = attention_probabilities(q, k, mask, 0.0)  # (B, H, T, T)
        attended = layer.add_attended(x, merge_heads(attention @ v))  # (B, T, E)
        after = layer.feed_forward(attended)
        assert torch.allclose(after, layer(x, mask), atol=1e-5)  # what is shown is what the layer does
        states = [x, after]
        for other in bert.layers[1:]:
            states.append(other(states[-1], mask))
        pooled = bert.pooler(states[-1])  # (B, E)
        logits = network.classifier(pooled)  # (B, C)
    B, H, T, D = q.shape
    E, real = H * D, int(batch["attention_mask"][0].sum())
    parts = {
        "word": table.word_embeddings(ids)[0],
        "position": table.position_embeddings.weight[:T],
        "type": table.token_type_embeddings.weight[
            (types[0] if types is not None else torch.zeros(T, dtype=torch.long))
        ],
    }
    return [
        Stage(
            "embeddings",
            "Numbers become vectors",
            "Three tables are looked up and summed: the piece, its place, its text. LayerNorm brings all to one scale.",
            f"(B, T) = ({B}, {T}) -> (B, T, E) = ({B}, {T}, {E})",
            [f"{name:<9} mean length of a vector {part.norm(dim=-1).mean():.3f}" for name, part in parts.items()],
            [picture("the sum, first numbers of each vector", x[0], tokens)],
            [BertEmbeddings.forward],
        ),
        Stage(
            "attention",
            "Each token looks at the others",
            "Queries meet keys: their products, divided by √D, become shares by a softmax. Padding gets none.",
            f"q, k, v (B, H, T, D) = ({B}, {H}, {T}, {D}) -> shares (B, H, T, T)",
            [
                f"head {head}: {tokens[0]} looks most at {tokens[int(attention[0, head, 0, :real].argmax())]!r} "
                f"({attention[0, head, 0].max():.2f})"
                for head in range(min(H, 6))
            ],
            [picture(f"head {head}", attention[0, head], tokens, tokens) for head in range(H)],
            [attention_probabilities, split_heads],
        ),
        Stage(
            "layer",
            "A layer has two halves",
            "What a token has seen is added to what it was; then each token is transformed by itself, and added again.",
            f"(B, T, E) -> (B, T, E) = ({B}, {T}, {E})",
            [
                f"after attention     changed by {(attended - x).norm() / x.norm():.2f} of its length",
                f"after feed-forward  changed by {(after - attended).norm() / attended.norm():.2f}",
            ],
            [picture("after the first layer", after[0], tokens)],
            [BertLayer.self_attention, BertLayer.feed_forward],
        ),
        Stage(
            "layers",
            "Layer after layer",
            "The same two halves, with weights of their own, again and again.",
            f"{len(bert.layers)} layers, (B, T, E) each",
            [f"layer {i}: [CLS] has turned by {angle(states[i - 1], states[i]):.1f}°" for i in range(1, len(states))],
        ),
        Stage(
            "head",
            "From [CLS] to scores",
            "The vector of [CLS] goes through the pooler, and a linear layer gives a score for each class.",
            f"(B, T, E) -> (B, E) -> logits (B, C) = {tuple(logits.shape)}",
            [f"row {i}: logits {[round(s, 4) for s in row.tolist()]}" for i, row in enumerate(logits)],
            functions=[BertPooler.forward],
        ),
    ]


def angle(a: Tensor, b: Tensor) -> float:
    """Return the angle between the vectors of the first token of row 0, in degrees."""
    return float(torch.rad2deg(torch.arccos(torch.cosine_similarity(a[0, 0], b[0, 0], dim=0).clamp(-1, 1))))


def one_step(network: nn.Module, batch: dict[str, Tensor]) -> list[Stage]:
    """Loss, gradients, clipping, AdamW, the schedule, and the loss of the same batch afterwards."""
    output = network(**batch)
    chances = output.logits.detach().softmax(-1)  # (B, C)
    by_hand = -chances[torch.arange(len(chances)), batch["labels"]].log()
    output.loss.backward()
    groups: dict[str, float] = {}
    for name, parameter in network.named_parameters():
        part = ".".join(name.split(".")[:4]) if ".layer." in name else ".".join(name.split(".")[:2])
        if parameter.grad is not None:
            groups[part] = groups.get(part, 0.0) + float(parameter.grad.square().sum())
    norms = {part: total**0.5 for part, total in groups.items()}
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM))
    weight = network.classifier.weight.detach()
    before, gradient = float(weight[0, 0]), float(network.classifier.weight.grad[0, 0])
    optimizer = AdamW(network.parameters(), RATE, BETAS, EPS)
    optimizer.step()
    moment, square = (
        float(optimizer.state[network.classifier.weight][name][0, 0]) for name in ("exp_avg", "exp_avg_sq")
    )
    rate, root, *_ = step_numbers(optimizer.param_groups[0], 1)
    by_formula = before - rate * moment / (square**0.5 / root + EPS)
    after = float(weight[0, 0])
    with torch.no_grad():
        again, first = network(**batch).loss, output.loss.detach()
    return [
        Stage(
            "loss",
            "How wrong is it?",
            "Softmax makes chances of the scores; the loss is minus the logarithm of the right class's chance.",
            "logits (B, C), labels (B,) -> a number",
            [
                *(
                    f"row {i}: chances {[round(c, 4) for c in row.tolist()]}, label {label}: -log = {one:.4f}"
                    for i, (row, label, one) in enumerate(zip(chances, batch["labels"].tolist(), by_hand, strict=True))
                ),
                f"mean {by_hand.mean():.6f}; the model says {first:.6f}",
            ],
            functions=[classification_loss],
        ),
        Stage(
            "backward",
            "Which weight is to blame, and how much?",
            "The gradient of each weight says how the loss changes with it. Here its length, part by part.",
            "a gradient for each weight, of its shape",
            [
                f"{part:<32} {value:9.4f} {'█' * round(24 * value / max(norms.values()))}"
                for part, value in norms.items()
            ],
        ),
        Stage(
            "clip",
            "Not too far at once",
            f"If all gradients together are longer than {MAX_NORM:g}, they are scaled down to it.",
            "one factor for all gradients",
            [f"length {norm:.4f}: " + (f"scaled by {MAX_NORM / norm:.4f}" if norm > MAX_NORM else "left as it is")],
        ),
        Stage(
            "adamw",
            "One step of AdamW",
            "Two running means, of the gradient and of its square; the step is their ratio. In the first step "
            "that is the gradient's sign: every weight moves by about the learning rate.",
            "θ, g, m, v: each of one shape",
            [
                f"classifier.weight[0, 0]   θ = {before:.8f}, g = {gradient:.6f}",
                f"m = 0.1 · g   = {moment:.8f}      m / (1 - 0.9)   = {moment / (1 - BETAS[0]):.6f}",
                f"v = 0.001 · g² = {square:.3e}     v / (1 - 0.999) = {square / (1 - BETAS[1]):.6f}",
                f"θ - {RATE:g} · m̂ / (√v̂ + {EPS:g}) = {by_formula:.8f}",
                f"θ afterwards                    {after:.8f}, moved by {after - before:+.2e}",
            ],
            functions=[update],
        ),
        Stage(
            "schedule",
            "The rate falls",
            f"Over {STEPS} steps, the first {STEPS // 10} of them warm-up: up in a straight line, and down to 0.",
            "a factor for each step",
            [f"step {step:>3}: {linear(step, STEPS // 10, STEPS):.2f} · {RATE:g}" for step in (0, 5, 10, 55, 99)],
            functions=[linear],
        ),
        Stage(
            "after",
            "The same batch once more",
            "After one step the loss of the same batch is a little smaller. Training is this, thousands of times.",
            "a number",
            [f"loss before {first:.6f}", f"loss after  {again:.6f} ({float(again - first):+.6f})"],
        ),
    ]


def masked_language_model(model: str | Path, text: str, text_pair: str | None) -> list[Stage]:
    """Return the stages from texts to blocks with hidden tokens."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    documents = [tokenizer(one)["input_ids"] for one in (text, text_pair) if one]
    T = max(4, sum(map(len, documents)) // 2)
    blocks = Chunker(T)({"input_ids": documents})["input_ids"]
    ids = torch.tensor(blocks)  # (N, T)
    generator = torch.Generator().manual_seed(42)
    coins, tokens = torch_draws(generator)
    special = torch.tensor([[i in tokenizer.all_special_ids for i in row] for row in blocks])
    chosen = coins(torch.full(ids.shape, 0.15).masked_fill(special, 0.0), ids.shape)
    hidden, labels = hide(ids, chosen, DataCollatorForLanguageModeling(tokenizer), coins, tokens)
    names = [tokenizer.convert_ids_to_tokens(row.tolist()) for row in ids]
    after = [tokenizer.convert_ids_to_tokens(row.tolist()) for row in hidden]
    return [
        *texts_to_ids(tokenizer, text, None),
        Stage(
            "chunk",
            "Documents become blocks",
            f"All documents are laid end to end and cut every {T} tokens. What is left over is dropped.",
            f"{len(documents)} documents, {sum(map(len, documents))} tokens -> blocks (N, T) = {tuple(ids.shape)}",
            [f"block {i}: {' '.join(row)}" for i, row in enumerate(names)],
            functions=[Chunker.cut],
        ),
        Stage(
            "mask",
            "Some tokens are hidden",
            "15 % are drawn, never special tokens. Of those, 80 % become [MASK], 10 % another token, 10 % stay: "
            "the model cannot know which tokens it may trust.",
            f"input_ids, labels (N, T) = {tuple(ids.shape)}; labels are -100 where nothing is asked",
            [
                f"block {i}, place {j}: {names[i][j]!r} was drawn and is now {after[i][j]!r}, label {int(labels[i, j])}"
                for i, j in chosen.nonzero().tolist()
            ]
            or ["by chance, no token was drawn"],
            [picture("drawn", chosen.float(), [f"block {i}" for i in range(len(ids))], names[0])],
            [hide],
        ),
    ]
