"""BERT's tokeniser by hand, to be read: clean a text, split it into words, split words into pieces of the vocabulary.

A call of `Tokenizer` does the same in Rust, many times faster; the tests show that both give the same pieces. From:
Devlin et al. 2018, google-research/bert ``tokenization.py``, as the `tokenizers` library has it.

    "Tokenisers aren't magic!"
    clean        "tokenisers aren't magic!"                      lower case, no accents, no control characters
    split        tokenisers | aren | ' | t | magic | !           at spaces; each punctuation mark is a word
    look up      token ##iser ##s | aren | ' | t | magic | !     the longest piece first, then the longest that goes on
"""

import unicodedata
from collections.abc import Iterator, Mapping

from minift.tokenizer.unicode_marks import category

# Blocks of Chinese characters: a language without spaces, so each character becomes a word.
CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
MAX_CHARACTERS = 100  # a longer word is unknown as a whole


class BasicTokenizer:
    """Splits a text into words and punctuation marks."""

    def __init__(
        self, do_lower_case: bool = True, tokenize_chinese_chars: bool = True, strip_accents: bool | None = None
    ):
        self.do_lower_case, self.tokenize_chinese_chars = do_lower_case, tokenize_chinese_chars
        self.strip_accents = do_lower_case if strip_accents is None else strip_accents

    def tokenize(self, text: str) -> list[str]:
        return [word for part in self.clean(text).split() for word in split_punctuation(part)]

    def clean(self, text: str) -> str:
        """Normalise the characters; every kind of space becomes a plain one."""
        text = "".join(" " if is_space(char) else char for char in text if not is_control(char))
        if self.tokenize_chinese_chars:
            text = "".join(f" {char} " if is_chinese(char) else char for char in text)
        if self.strip_accents:  # é is split into e and an accent, which is then left out
            text = "".join(char for char in unicodedata.normalize("NFD", text) if category(char) != "Mn")
        if self.do_lower_case:
            text = "".join(char.lower() for char in text)  # one by one: Σ at a word's end, too, becomes σ
        return text


class WordPiece:
    """Splits texts into pieces of a vocabulary: piece -> id. Pieces that continue a word begin with ``##``."""

    def __init__(self, vocab: Mapping[str, int], unk_token: str = "[UNK]", **options: bool | None):
        self.vocab, self.unk_token = vocab, unk_token
        self.basic = BasicTokenizer(**options)

    def tokenize(self, text: str) -> list[str]:
        return [piece for word in self.basic.tokenize(text) for piece in self.pieces(word)]

    def encode(self, text: str) -> list[int]:
        """Return the ids of the pieces, without special tokens."""
        return [self.vocab[piece] for piece in self.tokenize(text)]

    def pieces(self, word: str) -> list[str]:
        """Split a word greedily: the longest piece that it begins with, then the longest that goes on, and so on.

        A word of which some part is no piece is unknown as a whole.
        """
        if len(word) > MAX_CHARACTERS:
            return [self.unk_token]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if pieces else ""
            candidates = (prefix + word[start:end] for end in range(len(word), start, -1))
            piece = next((candidate for candidate in candidates if candidate in self.vocab), None)
            if piece is None:
                return [self.unk_token]
            pieces.append(piece)
            start += len(piece) - len(prefix)
        return pieces


def split_punctuation(word: str) -> Iterator[str]:
    """Split off every punctuation mark: ``don't`` -> ``don``, ``'``, ``t``."""
    start = 0
    for place, char in enumerate(word):
        if is_punctuation(char):
            if start < place:
                yield word[start:place]
            yield char
            start = place + 1
    if start < len(word):
        yield word[start:]


def is_space(char: str) -> bool:
    return char.isspace()  # control characters, of which Python counts some as spaces, are gone before


def is_control(char: str) -> bool:
    """Tell whether a character is left out: control, format, private; and what stands for a broken character."""
    return char not in "\t\n\r" and (char in "\0\ufffd" or category(char) in ("Cc", "Cf", "Co"))


def is_chinese(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in CHINESE)


def is_punctuation(char: str) -> bool:
    """Tell whether Unicode calls it punctuation; of ASCII, all but letters, digits, spaces: also ``$+<=>``."""
    return category(char).startswith("P") or (char.isascii() and char.isprintable() and not char.isalnum())
