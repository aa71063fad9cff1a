"""The words of the search benchmark: a made-up language, 45 of 100 words English stop words.

How frequent the others are follows Zipf and Mandelbrot.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

VOCABULARY, STOP_SHARE = 150_000, 0.45
EXPONENT, SHIFT = 1.05, 31  # with these the most frequent word is in 13 % of the messages
_STOP_WORDS = (
    "the of and to a in is it you that he was for on are with as I his they be at this have from or had by but what "
    "all were we when your can there an each which she do how their if will up other about out many then them these"
)


def texts(number: int) -> list[str]:
    """Returns texts similar to those of the corpus that are not in it."""
    return counted_texts(np.random.default_rng(VOCABULARY), number)[0]


def counted_texts(random: np.random.Generator, number: int) -> tuple[list[str], NDArray[np.int64]]:
    """Returns texts, and the number of texts with each word of the vocabulary."""
    words, cumulated = vocabulary(), _cumulated()
    lengths = np.maximum(3, random.lognormal(3.83, 0.7, number).astype(np.int64))
    drawn = np.minimum(np.searchsorted(cumulated, random.random(lengths.sum())), len(words) - 1)
    pairs = np.unique(np.repeat(np.arange(number), lengths) * len(words) + drawn)
    ends = np.cumsum(lengths).tolist()
    typed = [words[word] for word in drawn.tolist()]
    contents = [" ".join(typed[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]
    return contents, np.bincount(pairs % len(words), minlength=len(words))[:VOCABULARY]


@cache
def vocabulary() -> list[str]:
    """Returns the words, the most frequent first, and after them the stop words."""
    return [_word(number + 400) + "kpgb"[number % 4] for number in range(VOCABULARY)] + _STOP_WORDS.split()


def _word(number: int) -> str:
    """Returns a word of syllables whose ending has no stem."""
    word = ""
    while number or not word:
        number, consonant = divmod(number, 16)
        number, vowel = divmod(number, 5)
        word += "bcdfghklmnprstvz"[consonant] + "aeiou"[vowel]
    return word


@cache
def _cumulated() -> NDArray[np.float64]:
    weights = 1 / (np.arange(VOCABULARY) + SHIFT) ** EXPONENT
    stop = np.full(len(_STOP_WORDS.split()), STOP_SHARE / len(_STOP_WORDS.split()))
    return np.cumsum(np.concatenate([weights / weights.sum() * (1 - STOP_SHARE), stop]))
