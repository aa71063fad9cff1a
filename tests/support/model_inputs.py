"""The inputs of the calls that tests compare with the model of sessions: strategies of Hypothesis."""

from typing import Any

from hypothesis import strategies as st

from tests.support.model import RANKS

PEOPLE = ["ana", "ben", "cleo", "dan"]
WORDS = ["amber", "birch", "cedar"]
Caller = tuple[int, bool]
Rights = dict[str, bool] | None

# the caller (below 8 a participant, otherwise any user), and the process that answers
callers = st.tuples(st.integers(0, 9), st.booleans())
people = st.sampled_from(PEOPLE)
roles = st.sampled_from(RANKS)
rights = st.none() | st.dictionaries(st.sampled_from(["send", "invite"]), st.booleans())
words = st.sampled_from(WORDS)
others = st.sampled_from([{}, {"x": None}, {"x": [1, 0.5, {"é": "\u2028"}]}])
messages = st.builds(
    lambda role, content, more: {"role": role, "content": content, **more},
    st.sampled_from(["user", "assistant", "tool"]),
    words,
    others,
)
changes = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from([None, "", "Trip"]),
        "status": st.sampled_from(["active", "completed", "failed", "cancelled"]),
    },
)
rarely = st.integers(0, 9).map(lambda number: number == 9)


def known(**fields: Any) -> dict[str, Any]:
    """Returns a body without the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}
