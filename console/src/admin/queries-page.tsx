import { useMemo } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { Button } from "../ui/button";
import { Empty } from "../ui/empty";
import { Field } from "../ui/field";
import { usePageTitle } from "../ui/page-title";
import { useResource } from "../ui/resource";
import { Time } from "../ui/time";
import { useAddress } from "./address";
import styles from "./admin.module.css";
import { duration, whole } from "./numbers";
import { Loaded } from "./pages";
import { type Column, Table } from "./table";
import { Choice, one } from "./choice";

type Query = Schemas["QueryUse"];

const SORTS = { seconds: "Seconds", calls: "Calls", average: "Average", name: "Name" };
const COMPARE: Record<keyof typeof SORTS, (a: Query, b: Query) => number> = {
  seconds: (a, b) => b.seconds - a.seconds,
  calls: (a, b) => b.calls - a.calls,
  average: (a, b) => average(b) - average(a),
  name: (a, b) => a.name.localeCompare(b.name),
};

/** The queries of the process that answers: what each costs, and since when it is in use. */
export default function Page() {
  usePageTitle("Queries");
  const [address, change] = useAddress();
  const queries = useResource((signal) => answer(api.GET("/health/queries", { signal })), []);
  const sort = one(SORTS, address.get("sort"), "seconds");
  const wanted = address.get("name") ?? "";
  const rows = useMemo(() => {
    const found = (queries.data?.queries ?? []).filter(({ name }) => name.includes(wanted.trim().toLowerCase()));
    return found.sort(COMPARE[sort]);
  }, [queries.data, sort, wanted]);
  return (
    <>
      <div class={styles.head}>
        <h1>Queries</h1>
        <Button onClick={queries.reload}>Refresh</Button>
      </div>
      <Loaded data={queries}>
        {(set) => (
          <>
            <p class={styles.soft}>
              Process <code>{set.process}</code> serves the set <code>{set.hash}</code> of <code>{set.folder}</code>,
              loaded <Time at={set.loaded_at} />. Other processes count for themselves.
            </p>
            {set.refused && <Refused refused={set.refused} />}
            <form class={styles.filters} onSubmit={(event) => event.preventDefault()}>
              <Field label="Name has">
                <input
                  type="search"
                  value={wanted}
                  onInput={({ currentTarget: { value } }) => change({ name: value || null })}
                />
              </Field>
              <Choice
                label="Most first by"
                options={SORTS}
                value={sort}
                onChange={(value) => change({ sort: value })}
              />
            </form>
            {rows.length === 0 ? (
              <Empty title="No query has such a name" />
            ) : (
              <Table caption={`${rows.length} queries`} columns={columns} rows={rows} keyOf={(row) => row.name} />
            )}
          </>
        )}
      </Loaded>
    </>
  );
}

function average({ calls, seconds }: Query): number {
  return calls ? seconds / calls : 0;
}

const columns: Column<Query>[] = [
  { name: "Query", cell: (row) => <code>{row.name}</code> },
  { name: "Calls", cell: (row) => whole(row.calls), numeric: true },
  { name: "Seconds", cell: (row) => duration(row.seconds), numeric: true },
  { name: "Average", cell: (row) => (row.calls ? duration(average(row)) : "–"), numeric: true },
  { name: "Hash", cell: (row) => <code>{row.hash}</code> },
  { name: "Place", cell: (row) => `${row.file}:${row.line}` },
  { name: "Loaded", cell: (row) => <Time at={row.loaded_at} /> },
];

/** The last reload, if the files did not pass the checks. */
function Refused({ refused }: { refused: Schemas["Refusal"] }) {
  return (
    <section class={styles.danger} aria-label="Refused reload">
      <p>
        The reload <Time at={refused.at} /> was refused. The queries before it are still served. Correct this, and
        reload:
      </p>
      <ul>
        {refused.findings.map((finding) => (
          <li key={JSON.stringify(finding)}>
            <code>
              {finding.file}:{finding.line}
            </code>{" "}
            {finding.problem} {finding.remedy && `(${finding.remedy})`}
          </li>
        ))}
      </ul>
    </section>
  );
}
