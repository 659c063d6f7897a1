"""The exercises, in the order of the pipeline: functions of the source itself, with hints and known mistakes."""

from minift.tour import exercise_inputs as inputs
from minift.tour.exercise import Exercise, Mistake

EXERCISES = [
    Exercise(
        "wordpiece",
        "a word in pieces",
        "tokenizer.wordpiece:WordPiece.pieces",
        [
            "Look for the longest piece that the word begins with; then go on behind it.",
            "A piece that goes on a word is in the vocabulary with ## before it: ##ing.",
            "If no piece fits at some place, the whole word is unknown: [self.unk_token], also when pieces were found.",
        ],
        inputs.wordpiece,
        [
            Mistake(
                "range(len(word), start, -1)",
                "range(start + 1, len(word) + 1)",
                "the shortest piece is taken, not the longest",
            ),
            Mistake('"##" if pieces else ""', '""', "pieces that go on a word are looked up without ##"),
            Mistake("if len(word) > MAX_CHARACTERS:", "if False:", "a word of more than 100 characters is not unknown"),
            Mistake(
                "            return [self.unk_token]\n        pieces",
                "            return [*pieces, self.unk_token]\n        pieces",
                "the pieces before an unknown part are kept",
            ),
        ],
        "chapter 6, section 6",
    ),
    Exercise(
        "punctuation",
        "punctuation marks as words",
        "tokenizer.wordpiece:split_punctuation",
        ["Each mark is a word of its own; what stands between marks is one, too.", "Do not yield empty words."],
        inputs.punctuation,
        [
            Mistake("if start < place:", "if True:", "empty words between two marks"),
            Mistake("yield char", "pass", "the marks themselves are lost"),
            Mistake("if start < len(word):", "if False:", "what stands behind the last mark is lost"),
        ],
        "chapter 6, section 4",
    ),
    Exercise(
        "padding",
        "the places of tokens in a padded batch",
        "tokenizer.padding:inside_rows",
        [
            "Compare the positions 0 … T-1 with the lengths, which need an axis more: lengths[:, None].",
            "On the left, padding comes first: T - length places of it.",
        ],
        inputs.padding,
        [
            Mistake("position < lengths", "position <= lengths", "one place too many is a token"),
            Mistake("width - lengths[:, None]", "lengths[:, None]", "padding on the left is as long as the text"),
            Mistake('if side == "right"', "if True", "the side is ignored"),
        ],
        "chapter 3, section 2",
    ),
    Exercise(
        "chunking",
        "documents to blocks of equal length",
        "batches.chunk:Chunker.cut",
        [
            "Without padding, the rest at the end that fills no block is dropped.",
            "labels are a copy of input_ids, if there are none.",
            "self._positions gives the place of each block's tokens; values.take takes null for null.",
        ],
        inputs.chunking,
        [
            Mistake(
                "values[:whole]", "values[total - whole :]", "the first tokens are dropped, and not the rest at the end"
            ),
            Mistake(
                'columns.get("labels", columns["input_ids"])', 'columns["attention_mask"]', "the labels are not the ids"
            ),
            Mistake(
                "if self.within_documents else np.array([total])",
                "if True else np.array([total])",
                "blocks never cross documents",
            ),
        ],
        "chapter 7, section 3",
    ),
    Exercise(
        "masking",
        "hide tokens: 80 % [MASK], 10 % another token, 10 % as they are",
        "batches.mask:hide",
        [
            "Labels are the ids before, and -100 where nothing was chosen.",
            "First toss coins for [MASK]; of those that are left, 0.1 / (1 - 0.8) become a random token.",
            "Every toss is for all places (ids.shape): only so are the draws the library's.",
        ],
        inputs.masking,
        [
            Mistake("labels[~chosen] = IGNORED", "pass", "labels everywhere, not at the chosen tokens only"),
            Mistake(
                "how.random_replace_prob / (1 - how.mask_replace_prob)",
                "how.random_replace_prob",
                "10 % of the rest, not 10 % of all, become random",
            ),
            Mistake("chosen & ~masked & coins", "chosen & coins", "a [MASK] is replaced again by a random token"),
            Mistake(
                "masked = chosen & coins(how.mask_replace_prob, ids.shape)",
                "masked = chosen",
                "all chosen tokens become [MASK]",
            ),
        ],
        "chapter 7, section 3",
    ),
    Exercise(
        "whole-words",
        "choose whole words, not pieces",
        "batches.whole_words:choose_words",
        [
            "A word begins where the number differs from that of the token before; NaN equals nothing.",
            "One coin for each word of the batch, in reading order.",
            "np.cumsum over the beginnings numbers the words.",
        ],
        inputs.whole_words,
        [
            Mistake("starts[:, 1:] &= words[:, 1:] != words[:, :-1]", "pass", "a coin for each token: words are torn"),
            Mistake("is_word & np.append", "np.append", "special tokens are chosen, too"),
        ],
        "chapter 7, section 3",
    ),
    Exercise(
        "attention",
        "how much each token looks at each other one",
        "model.attention:attention_probabilities",
        [
            "q kᵀ, divided by the root of the head size.",
            "A mask of booleans: what is False gets the lowest number there is, before the softmax.",
            "A mask of numbers is added.",
        ],
        inputs.attention,
        [
            Mistake("* q.size(-1) ** -0.5", "* 1.0", "the scores are not divided by √D"),
            Mistake("softmax(dim=-1)", "softmax(dim=-2)", "the softmax runs over the queries, not over the keys"),
            Mistake("elif mask is not None:", "elif False:", "padding is attended to"),
            Mistake("masked_fill(~mask", "masked_fill(mask", "the mask is the wrong way round"),
        ],
        "chapter 1, section 4; CS224n, lecture on self-attention",
    ),
    Exercise(
        "heads",
        "one vector into many heads",
        "model.attention:split_heads",
        ["(B, T, E) -> (B, T, H, D) -> (B, H, T, D)."],
        inputs.heads,
        [
            Mistake(
                "(heads, -1)).transpose(1, 2)",
                "(-1, heads)).permute(0, 3, 1, 2)",
                "neighbouring numbers go to different heads",
            ),
            Mistake(".transpose(1, 2)", ".transpose(0, 1)", "tokens and rows of the batch are swapped"),
        ],
        "CS224n, lecture on Transformers",
    ),
    Exercise(
        "self-attention",
        "the first half of a layer",
        "model.bert:BertLayer.self_attention",
        [
            "self.projections() gives the layers that make queries, keys and values.",
            "self.attend is the attention itself; no dropout outside training.",
            "self.add_attended adds the result to x and normalises.",
        ],
        inputs.self_attention,
        [
            Mistake("k = split_heads(key(x)", "k = split_heads(query(x)", "the keys are made by the layer for queries"),
            Mistake("mask, self.attention_dropout", "None, self.attention_dropout", "padding is attended to"),
            Mistake(
                "self.add_attended(x, merge_heads(attended))", "merge_heads(attended)", "no residual and no LayerNorm"
            ),
        ],
        "chapter 1, section 4",
    ),
    Exercise(
        "feed-forward",
        "the second half of a layer",
        "model.bert:BertLayer.feed_forward",
        ["Wide, activation, narrow, dropout, then add x, then LayerNorm."],
        inputs.feed_forward,
        [
            Mistake(") + x)", "))", "the residual is missing"),
            Mistake(
                "self.activation(self.intermediate", "(self.intermediate", "no activation: two linear layers are one"
            ),
            Mistake(
                'return self.output["LayerNorm"](self.dropout(self.output["dense"](wide)) + x)',
                'return self.output["LayerNorm"](self.output["dense"](wide)) + x',
                "LayerNorm comes before the residual",
            ),
            Mistake(
                "self.activation(",
                "torch.nn.functional.gelu(approximate='tanh', input=",
                "GELU by tanh, not the exact one",
            ),
        ],
        "CS224n, lecture on Transformers",
    ),
    Exercise(
        "cross-entropy",
        "the loss of labels that count",
        "model.heads.losses:cross_entropy",
        [
            "Labels of -100 count neither in the sum nor in the number.",
            "With num_items_in_batch: the sum, divided by that.",
        ],
        inputs.cross_entropy,
        [
            Mistake("ignore_index=IGNORED", "ignore_index=0", "label 0 is ignored, and -100 is an error"),
            Mistake(
                '"mean" if num_items_in_batch is None else "sum"',
                '"mean"',
                "divided twice: by the labels, and by num_items_in_batch",
            ),
            Mistake(
                "total if num_items_in_batch is None else total / num_items_in_batch",
                "total",
                "the sum is not divided by num_items_in_batch",
            ),
        ],
        "chapter 3, section 3",
    ),
    Exercise(
        "spans",
        "the loss of answers: where they begin, where they end",
        "model.heads.losses:span_loss",
        ["Two cross-entropies over the tokens, and their mean.", "A position beyond the last token does not count."],
        inputs.spans,
        [
            Mistake("/ 2", "/ 1", "the sum of both losses, not their mean"),
            Mistake(".clamp(0, T)", ".clamp(0, T - 1)", "answers beyond the window count as its last token"),
            Mistake(
                "(end, end_positions)", "(start, end_positions)", "the ends are scored by the logits of the starts"
            ),
        ],
        "chapter 7, section 7",
    ),
    Exercise(
        "weight-names",
        "stored tensors to parameters",
        "model.files.names:match_names",
        [
            "Rename with RENAMES, then try the name, with the prefix, and without it.",
            "Of a tied pair, one name is enough.",
            "What IGNORED matches is not reported.",
        ],
        inputs.weight_names,
        [
            Mistake(
                "(ours, prefix + ours, ours.removeprefix(prefix))", "(ours,)", "files without the prefix do not load"
            ),
            Mistake("ours = re.sub(pattern, replacement, ours)", "pass", "gamma and beta are not renamed"),
            Mistake(
                "if source not in report.stored_as and copy in report.stored_as:",
                "if False:",
                "a store that holds the tied copy only does not load",
            ),
            Mistake("and name not in tied]", "]", "tied names are reported as missing"),
        ],
        "",
    ),
    Exercise(
        "adamw",
        "one step of AdamW",
        "optim.adamw:update",
        [
            "Decay first: θ·decay. Then both moments, then θ.",
            "mean.lerp_(gradient, 1 - β₁) is m + (1 - β₁)(g - m).",
            "ε is added behind the root, which was divided by `root`.",
        ],
        inputs.adamw,
        [
            Mistake("if decay != 1:", "if False:", "no weight decay"),
            Mistake(".div_(root)", "", "the second moment is not corrected for its start at 0"),
            Mistake(".div_(root).add_(eps)", ".add_(eps).div_(root)", "ε is added before the root is corrected"),
            Mistake(
                "addcmul_(gradient, gradient, value=1 - beta2)",
                "add_(gradient.abs(), alpha=1 - beta2)",
                "the gradient is not squared",
            ),
            Mistake("1 - beta1)", "beta1)", "β₁ and 1 - β₁ are swapped"),
        ],
        "chapter 3, section 4",
    ),
    Exercise(
        "schedule",
        "warm up, then fall in a straight line",
        "optim.schedule:linear",
        [
            "rise(step, warmup) is the way up.",
            "From 1 at the end of the warm-up to 0 at `total`; never below 0; never divide by 0.",
        ],
        inputs.schedule,
        [
            Mistake("(total - step)", "(total - step - 1)", "one step too early"),
            Mistake(
                "max(0.0, (total - step) / max(1, total - warmup))",
                "max(0.0, (total - step) / max(1, total))",
                "the warm-up is not taken off the way down",
            ),
            Mistake("if step < warmup:", "if step <= warmup - 2:", "the warm-up ends a step too early"),
        ],
        "chapter 3, section 4",
    ),
    Exercise(
        "shares",
        "the batches of one of two ranks",
        "batches.sampler:BatchSampler.__iter__",
        [
            "Batch b of rank r begins at row (b·N + r)·size.",
            "With `even`, missing rows come from the beginning: place % len(rows).",
        ],
        inputs.shares,
        [
            Mistake("* self.world_size + self.first_row", "+ self.first_row", "ranks share rows"),
            Mistake("rows[place % len(rows)]", "rows[min(place, len(rows) - 1)]", "the last row fills the last batch"),
            Mistake("if self.even:", "if False:", "ranks have different numbers of rows"),
        ],
        "",
    ),
    Exercise(
        "f1",
        "precision, recall and F1 of counts",
        "metrics.averages:score_of",
        ["F1 = 2·right / (predicted + actual).", "Where nothing is to be divided by, the score is zero_division."],
        inputs.f1,
        [
            Mistake('"precision": (1, predicted)', '"precision": (1, actual)', "precision and recall are the same"),
            Mistake('"f1": (2, predicted + actual)', '"f1": (1, predicted + actual)', "F1 without the 2"),
            Mistake(
                'scores[undefined] = 0.0 if zero_division == "warn" else zero_division',
                "pass",
                "zero_division is ignored",
            ),
        ],
        "chapter 3, section 3",
    ),
    Exercise(
        "matthews",
        "Matthews' correlation",
        "metrics.classes:Confusion.matthews",
        [
            "self._by_label() counts right predictions, references and predictions of each label.",
            "0 where one side is constant.",
        ],
        inputs.matthews,
        [
            Mistake(
                "right.total() * total - sum", "right.total() * total + sum", "the products of the margins are added"
            ),
            Mistake("math.sqrt(variances)", "variances", "the root is missing"),
            Mistake("if variances else 0.0", "if True else 0.0", "a constant side divides by zero"),
        ],
        "",
    ),
    Exercise(
        "entities",
        "tags to entities",
        "metrics.tags:entities",
        [
            "mark_and_type cuts B-PER into B and PER.",
            "ends(last, now) and begins(last, now) say what happens between two tags.",
            "Put an O behind the last tag, so that an entity at the end ends.",
        ],
        inputs.entities,
        [
            Mistake('[*tags, "O"]', "[*tags]", "an entity at the end of the sentence is lost"),
            Mistake("place - 1))", "place))", "entities are one word too long"),
            Mistake("if begins(last, now):", "if now[0] == 'B':", "an I- that begins an entity is not seen"),
        ],
        "chapter 7, section 2",
    ),
]
BY_NAME = {exercise.name: exercise for exercise in EXERCISES}
