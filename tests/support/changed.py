"""Messages of the table of examples with a few members changed, left out or added at random, from a seed."""

import copy
import random
from collections.abc import Iterator
from typing import Any

from tests.transcripts.examples import examples

Message = dict[str, Any]
_Place = tuple[str | int, ...]

_ODD: list[Any] = [
    *(None, True, 0, -7, 1.5, "", " ", "\n", "x", "x" * 70, [], {}, [[]], [None], [1, 2.5]),
    *(
        {"text": None},
        {"text": 3},
        {"a": {"b": [1]}},
        {"type": "text", "text": ["x"]},
        {"role": "user", "content": "x"},
    ),
    *(["a", {"type": "text"}], [{"type": "image"}], [{"type": "tool_use"}], [{"type": {}, "text": "x"}]),
    [{"type": "tool_result", "content": [{"type": "image", "source": 3}]}],
]


def transcripts(seed: int, count: int) -> Iterator[list[Message]]:
    """Yields transcripts of 1 to 6 messages, most of them changed."""
    random_ = random.Random(seed)
    given = [example["message"] for _, example in examples()]
    keys = sorted({str(key) for message in given for place in _places(message) for key in place})
    for _ in range(count):
        chosen = (copy.deepcopy(random_.choice(given)) for _ in range(random_.randint(1, 6)))
        yield [_changed(random_, message, keys) if random_.random() < 0.8 else message for message in chosen]


def _changed(random_: random.Random, message: Message, keys: list[str]) -> Message:
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        places, value = list(_places(message)), copy.deepcopy(random_.choice(_ODD))
        if not places or random_.random() < 0.25:
            message[random_.choice(keys)] = value
            continue
        *way, last = random_.choice(places)
        inside: Any = message
        for key in way:
            inside = inside[key]
        if random_.random() < 0.25:
            del inside[last]
        else:
            inside[last] = value
    return message


def _places(value: Any) -> Iterator[_Place]:
    """Yields the way to every member and item."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *way) for way in _places(inner))
