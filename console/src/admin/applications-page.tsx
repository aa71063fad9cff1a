import { useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { answer, api, type Schemas } from "../api/client";
import { FormDialog } from "../sessions/form";
import { Button } from "../ui/button";
import { Empty } from "../ui/empty";
import { Field } from "../ui/field";
import { usePageTitle } from "../ui/page-title";
import { Time } from "../ui/time";
import styles from "./admin.module.css";
import { KeyDialog } from "./key-dialog";
import { Loaded, More, usePages } from "./pages";
import { Table } from "./table";

type Application = Schemas["ApplicationSummary"];
type New = Schemas["CreateApplication"];

/** The applications that may call the service. */
export default function Page() {
  usePageTitle("Applications");
  const [creates, setCreates] = useState(false);
  const [key, setKey] = useState<string | null>(null);
  const pages = usePages<Application, { items: Application[]; next: string | null }>(list, []);
  return (
    <>
      <div class={styles.head}>
        <h1>Applications</h1>
        <Button kind="primary" onClick={() => setCreates(true)}>
          Register an application
        </Button>
      </div>
      <Loaded data={pages}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No application is registered">
              <p>Each program that calls the service has its own keys.</p>
            </Empty>
          ) : (
            <Table caption="Applications, newest first" columns={columns} rows={items} keyOf={(row) => row.app_id} />
          )
        }
      </Loaded>
      <More pages={pages} />
      {creates && (
        <CreateDialog onClose={() => setCreates(false)} onCreated={(text) => (setKey(text), pages.reload())} />
      )}
      {key && <KeyDialog apiKey={key} onClose={() => setKey(null)} />}
    </>
  );
}

/** Returns a page of applications, whose cursor is in `Link`. */
async function list(cursor: string | undefined, signal?: AbortSignal) {
  const query = { limit: 100, ...(cursor ? { cursor } : {}) };
  const { data, response } = await api.GET("/applications", { params: { query }, signal });
  const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];
  return { items: data!, next: next ? new URL(next, location.href).searchParams.get("cursor") : null };
}

const columns = [
  { name: "Application", cell: (row: Application) => <Link href={`/applications/${row.app_id}`}>{row.app_id}</Link> },
  { name: "Name", cell: (row: Application) => row.app_name },
  { name: "State", cell: (row: Application) => (row.is_active ? "Active" : "Switched off") },
  { name: "Admin", cell: (row: Application) => (row.is_admin ? "Yes" : "No") },
  { name: "Registered", cell: (row: Application) => <Time at={row.created_at} /> },
];

function CreateDialog({ onClose, onCreated }: { onClose: () => void; onCreated: (key: string) => void }) {
  const [given, setGiven] = useState({ app_id: "", app_name: "", key_managers: "", is_admin: false, act_as: false });
  const set = (changed: Partial<typeof given>) => setGiven((former) => ({ ...former, ...changed }));
  async function create() {
    const body = { ...given, app_name: given.app_name.trim(), key_managers: words(given.key_managers), settings: {} };
    onCreated((await answer(api.POST("/applications", { body: body satisfies New }))).api_key);
  }
  return (
    <FormDialog title="Register an application" verb="Register" onSubmit={create} onClose={onClose}>
      <Field label="Id" hint="Small letters, digits and hyphens. It cannot be changed.">
        <input
          value={given.app_id}
          required
          pattern="[a-z0-9\-]+"
          maxLength={100}
          onInput={(event) => set({ app_id: event.currentTarget.value })}
        />
      </Field>
      <Field label="Name">
        <input
          value={given.app_name}
          required
          maxLength={255}
          onInput={(event) => set({ app_name: event.currentTarget.value })}
        />
      </Field>
      <Field
        label="Key managers"
        hint="User ids of those who may list, add, replace and remove its keys; with spaces between."
      >
        <input value={given.key_managers} onInput={(event) => set({ key_managers: event.currentTarget.value })} />
      </Field>
      <label class={styles.check}>
        <input
          type="checkbox"
          checked={given.act_as}
          onChange={(event) => set({ act_as: event.currentTarget.checked })}
        />
        Its keys act for users without their tokens
      </label>
      <label class={styles.check}>
        <input
          type="checkbox"
          checked={given.is_admin}
          onChange={(event) => set({ is_admin: event.currentTarget.checked })}
        />
        It is an admin application: it manages all others
      </label>
    </FormDialog>
  );
}

/** Returns the words of a text. */
export function words(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}
