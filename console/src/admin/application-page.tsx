import { useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { answer, api, type Schemas } from "../api/client";
import { FormDialog } from "../sessions/form";
import { me } from "../shell/me";
import { Button } from "../ui/button";
import { Field } from "../ui/field";
import { usePageTitle } from "../ui/page-title";
import { useResource } from "../ui/resource";
import { Time } from "../ui/time";
import { notify } from "../ui/toast";
import styles from "./admin.module.css";
import { words } from "./applications-page";
import { Keys } from "./keys";
import { Loaded } from "./pages";

type Application = Schemas["Application"];

/** One application: what it may do, its keys, and its end. */
export default function Page({ id }: { id: string }) {
  usePageTitle(id);
  const params = { path: { app_id: id } };
  const application = useResource((signal) => answer(api.GET("/applications/{app_id}", { params, signal })), [id]);
  return (
    <>
      <div class={styles.head}>
        <h1>{application.data?.app_name ?? id}</h1>
        <Link href="/applications">All applications</Link>
      </div>
      <Loaded data={application}>
        {(found) => (
          <>
            <p class={styles.soft}>
              <code>{found.app_id}</code>, registered <Time at={found.created_at} />, changed{" "}
              <Time at={found.updated_at} />
              {found.is_admin && ". It is an admin application"}
            </p>
            <Rights key={found.updated_at} application={found} onChanged={application.set} />
            <Keys appId={id} />
            <Deletion application={found} />
          </>
        )}
      </Loaded>
    </>
  );
}

function Rights({ application, onChanged }: { application: Application; onChanged: (changed: Application) => void }) {
  const [given, setGiven] = useState({
    app_name: application.app_name,
    key_managers: application.key_managers.join(" "),
    act_as: application.act_as,
    is_active: application.is_active,
  });
  const set = (changed: Partial<typeof given>) => setGiven((former) => ({ ...former, ...changed }));
  const isOwn = application.app_id === me.value?.app_id;
  async function save() {
    const body = { ...given, app_name: given.app_name.trim(), key_managers: words(given.key_managers) };
    const params = { path: { app_id: application.app_id } };
    onChanged(await answer(api.PATCH("/applications/{app_id}", { params, body })));
    notify("Saved");
  }
  return (
    <section class={styles.section} aria-label="What it may do">
      <h2>What it may do</h2>
      <div class={styles.filters}>
        <Field label="Name">
          <input
            value={given.app_name}
            maxLength={255}
            onInput={(event) => set({ app_name: event.currentTarget.value })}
          />
        </Field>
        <Field label="Key managers" hint="User ids, with spaces between.">
          <input value={given.key_managers} onInput={(event) => set({ key_managers: event.currentTarget.value })} />
        </Field>
      </div>
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
          checked={given.is_active}
          disabled={isOwn}
          onChange={(event) => set({ is_active: event.currentTarget.checked })}
        />
        Active: switched off, all its keys and tokens are refused at once{isOwn && ". You work through it"}
      </label>
      <div>
        <Button kind="primary" onClick={save}>
          Save
        </Button>
      </div>
    </section>
  );
}

function Deletion({ application: { app_id } }: { application: Application }) {
  const [, navigate] = useLocation();
  const [asks, setAsks] = useState(false);
  const [typed, setTyped] = useState("");
  if (app_id === me.value?.app_id) return null;
  async function remove() {
    await answer(api.DELETE("/applications/{app_id}", { params: { path: { app_id } } }));
    notify(`Deleted ${app_id}`);
    navigate("/applications");
  }
  return (
    <section class={styles.section} aria-label="Delete it">
      <h2>Delete it</h2>
      <p class={styles.soft}>Its keys stop at once. Sessions belong to people, and stay.</p>
      <div>
        <Button kind="danger" onClick={() => (setTyped(""), setAsks(true))}>
          Delete the application
        </Button>
      </div>
      {asks && (
        <FormDialog title={`Delete ${app_id}?`} verb="Delete" onSubmit={remove} onClose={() => setAsks(false)}>
          <p>Programs that use its keys get 401 from now on. There is no undo.</p>
          <Field label={`Type ${app_id} to confirm`}>
            <input
              value={typed}
              required
              pattern={app_id}
              title={app_id}
              autocomplete="off"
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </Field>
        </FormDialog>
      )}
    </section>
  );
}
