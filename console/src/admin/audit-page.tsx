import { useState } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { Button } from "../ui/button";
import { Empty } from "../ui/empty";
import { Field } from "../ui/field";
import { usePageTitle } from "../ui/page-title";
import { Time } from "../ui/time";
import { useAddress } from "./address";
import styles from "./admin.module.css";
import { Loaded, More, usePages } from "./pages";
import { boundsOf, PeriodFields } from "./period";
import { Table } from "./table";

type Entry = Schemas["AuditEntry"];

const TARGETS = ["session", "config", "application", "setting", "user"];
const TEXTS = { user_id: "User id", app_id: "Application id", action: "Action", target_id: "Target id" };

/** Who did what, latest first. */
export default function Page() {
  usePageTitle("Audit log");
  const [address, change] = useAddress();
  const pages = usePages<Entry, Schemas["AuditList"]>(
    (cursor, signal) => {
      const given = ["target_type", ...Object.keys(TEXTS)].flatMap((name) => {
        const value = address.get(name);
        return value ? [[name, value]] : [];
      });
      const query = { ...boundsOf(address), ...Object.fromEntries(given), ...(cursor ? { cursor } : {}) };
      return answer(api.GET("/audit", { params: { query }, signal }));
    },
    [address.toString()],
  );
  return (
    <>
      <h1>Audit log</h1>
      <Filters address={address} change={change} />
      <Loaded data={pages}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="Nothing was changed">
              <p>Choose a longer period, or fewer filters.</p>
            </Empty>
          ) : (
            <>
              <Table
                caption="Changes, latest first"
                columns={columns}
                rows={items}
                keyOf={(entry) => String(entry.audit_id)}
              />
              <More pages={pages} />
            </>
          )
        }
      </Loaded>
    </>
  );
}

const columns = [
  { name: "When", cell: (entry: Entry) => <Time at={entry.created_at} /> },
  { name: "User", cell: (entry: Entry) => entry.user_id },
  { name: "Application", cell: (entry: Entry) => entry.app_id },
  { name: "Action", cell: (entry: Entry) => <code>{entry.action}</code> },
  { name: "Target", cell: (entry: Entry) => <Target entry={entry} /> },
  { name: "Details", cell: (entry: Entry) => <Details entry={entry} /> },
];

function Target({ entry: { target_type, target_id } }: { entry: Entry }) {
  return (
    <>
      {target_type} {target_id && <code>{target_id}</code>}
    </>
  );
}

function Details({ entry }: { entry: Entry }) {
  const { details, address, request_id, created_at } = entry;
  const more = { ...(details as Record<string, unknown>), address, request_id, created_at };
  return (
    <details>
      <summary>{Object.keys(details as object).join(", ") || "Request"}</summary>
      <pre>{JSON.stringify(more, null, 2)}</pre>
    </details>
  );
}

interface Props {
  address: URLSearchParams;
  change: (values: Record<string, string | null>) => void;
}

function Filters({ address, change }: Props) {
  const names = ["target_type", ...Object.keys(TEXTS)];
  const [values, setValues] = useState(() => Object.fromEntries(names.map((name) => [name, address.get(name) ?? ""])));
  const set = (name: string, value: string) => setValues((former) => ({ ...former, [name]: value }));
  function submit(event: Event) {
    event.preventDefault();
    change(Object.fromEntries(names.map((name) => [name, values[name]!.trim() || null])));
  }
  return (
    <form class={styles.filters} onSubmit={submit}>
      {Object.entries(TEXTS).map(([name, label]) => (
        <Field key={name} label={label}>
          <input value={values[name]} maxLength={255} onInput={(event) => set(name, event.currentTarget.value)} />
        </Field>
      ))}
      <Field label="Target">
        <select value={values["target_type"]} onChange={(event) => set("target_type", event.currentTarget.value)}>
          <option value="">Any</option>
          {TARGETS.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
      </Field>
      <PeriodFields address={address} change={change} />
      <Button type="submit" kind="primary">
        Filter
      </Button>
    </form>
  );
}
