"""The rules that every plan must follow, whatever was reviewed. `queries/README.md` explains them."""

import re
from collections.abc import Iterator

from amplifier.queries.findings import Finding
from amplifier.queries.plans.observation import Observation, Plan
from amplifier.queries.query import Query

_LARGE = ("messages", "session_events", "session_participants", "sessions")


def rules(query: Query, observed: Observation) -> Iterator[Finding]:
    """Yields a finding for each plan that reads a whole large table, misses its `@index` or exceeds its `@cost`."""
    for kind, plan in (("generic", observed.generic), ("custom", observed.custom)):
        for node in plan.nodes:
            table = re.match(r" *(Parallel )?Seq Scan on (\w+)$", node)
            if table and table[2] in _LARGE:
                yield query.wrong(
                    f"the {kind} plan reads all of {table[2]}", f"let an index find the rows:\n{_shown(plan)}"
                )
        used = {name for node in plan.nodes for name in re.findall(r"\w+", node)}
        for names in query.header.indexes:
            if not used.intersection(names):
                problem = f"the {kind} plan does not use {' or '.join(names)}, its @index"
                yield query.wrong(problem, f"its plan:\n{_shown(plan)}")
        if query.header.cost is not None and plan.cost > float(query.header.cost):
            yield query.wrong(
                f"the {kind} plan costs {plan.cost:.0f}, its @cost is {query.header.cost}", f"its plan:\n{_shown(plan)}"
            )


def _shown(plan: Plan) -> str:
    return "\n".join(f"    {node}" for node in plan.nodes)
