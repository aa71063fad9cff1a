import { useState } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { FormDialog } from "../sessions/form";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm";
import { Field } from "../ui/field";
import { Time } from "../ui/time";
import styles from "./admin.module.css";
import { KeyDialog } from "./key-dialog";
import { Loaded, More, usePages } from "./pages";
import { type Column, Table } from "./table";

type Key = Schemas["ApplicationKeySummary"];

const DAY = 86_400; // seconds
const ENDS = { "": "Never", "30": "In 30 days", "90": "In 90 days", "365": "In a year" };

/** The keys of an application: several, so that one can be replaced without an outage. */
export function Keys({ appId }: { appId: string }) {
  const path = { app_id: appId };
  const [dialog, setDialog] = useState<"add" | "replace" | Key | null>(null);
  const [text, setText] = useState<string | null>(null);
  const close = () => setDialog(null);
  const keys = usePages<Key, Schemas["ApplicationKeyList"]>(
    (cursor, signal) => {
      const query = cursor ? { cursor } : {};
      return answer(api.GET("/applications/{app_id}/keys", { params: { path, query }, signal }));
    },
    [appId],
  );
  const show = (key: string) => (setText(key), keys.reload());
  async function replace() {
    show((await answer(api.POST("/applications/{app_id}/regenerate-key", { params: { path } }))).api_key);
  }
  async function remove({ key_id }: Key) {
    await api.DELETE("/applications/{app_id}/keys/{key_id}", { params: { path: { ...path, key_id } } });
    keys.reload();
  }
  return (
    <section class={styles.section} aria-label="Keys">
      <div class={styles.head}>
        <h2>Keys</h2>
        <div class={styles.buttons}>
          <Button onClick={() => setDialog("replace")}>Replace the default key</Button>
          <Button kind="primary" onClick={() => setDialog("add")}>
            Add a key
          </Button>
        </div>
      </div>
      <Loaded data={keys}>
        {({ items }) => (
          <Table caption="Keys, newest first" columns={columns(setDialog)} rows={items} keyOf={(key) => key.key_id} />
        )}
      </Loaded>
      <More pages={keys} />
      {dialog === "add" && <AddDialog appId={appId} onClose={close} onAdded={show} />}
      {dialog === "replace" && (
        <ConfirmDialog title="Replace the default key?" verb="Replace" danger onConfirm={replace} onClose={close}>
          The present one stops at once. To replace it without an outage, add a key, let all programs use it, and remove
          the former.
        </ConfirmDialog>
      )}
      {dialog !== null && typeof dialog === "object" && (
        <ConfirmDialog
          title={`Remove ${dialog.name}?`}
          verb="Remove"
          danger
          onConfirm={() => remove(dialog)}
          onClose={close}
        >
          Programs that use it get 401 from now on.
        </ConfirmDialog>
      )}
      {text && <KeyDialog apiKey={text} onClose={() => setText(null)} />}
    </section>
  );
}

function columns(onRemove: (key: Key) => void): Column<Key>[] {
  return [
    { name: "Key", cell: (key) => <code>{key.key_id}</code> },
    { name: "Name", cell: (key) => key.name },
    { name: "Made", cell: (key) => <Time at={key.created_at} /> },
    { name: "Last used", cell: (key) => (key.last_used_at ? <Time at={key.last_used_at} /> : "Never") },
    { name: "Ends", cell: (key) => (key.expires_at ? <Time at={key.expires_at} /> : "Never") },
    {
      name: "Action",
      cell: (key) =>
        key.name !== "default" && (
          <Button kind="danger" aria-label={`Remove ${key.name}`} onClick={() => onRemove(key)}>
            Remove
          </Button>
        ),
    },
  ];
}

interface AddProps {
  appId: string;
  onClose: () => void;
  onAdded: (key: string) => void;
}

function AddDialog({ appId, onClose, onAdded }: AddProps) {
  const [name, setName] = useState("");
  const [days, setDays] = useState("");
  async function add() {
    const body = { name: name.trim(), ...(days ? { expires_in: Number(days) * DAY } : {}) };
    onAdded(
      (await answer(api.POST("/applications/{app_id}/keys", { params: { path: { app_id: appId } }, body }))).api_key,
    );
  }
  return (
    <FormDialog title="Add a key" verb="Add" onSubmit={add} onClose={onClose}>
      <Field label="Name" hint="Says where it is used.">
        <input value={name} required maxLength={255} onInput={(event) => setName(event.currentTarget.value)} />
      </Field>
      <Field label="Ends">
        <select value={days} onChange={(event) => setDays(event.currentTarget.value)}>
          {Object.entries(ENDS).map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </Field>
    </FormDialog>
  );
}
