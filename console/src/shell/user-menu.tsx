import { useState } from "preact/hooks";
import { credentials } from "../api/credentials";
import { signOut, until, wanted, workAs } from "../sign-in/sign-in";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { Menu } from "../ui/menu";
import { Avatar } from "../ui/person";
import { me } from "./me";
import { useShortcut } from "./shortcuts";
import { ShortcutsDialog } from "./shortcuts-dialog";
import { theme, THEMES } from "./theme";
import styles from "./user-menu.module.css";

const UNTIL = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const NAMES = { system: "System", light: "Light", dark: "Dark" };

/** The menu of the person: for whom the page works, the theme, the shortcuts, and the way out. */
export function UserMenu() {
  const [dialog, setDialog] = useState<"work-as" | "shortcuts" | null>(null);
  const close = () => setDialog(null);
  const name = me.value?.user_id ?? credentials.value.user ?? "";
  const open = wanted.value?.mode === "off";
  useShortcut("?", "Show this list", () => setDialog("shortcuts"));
  return (
    <>
      <Menu name={`You: ${name}`} icon={<Avatar userId={name} />}>
        <Who name={name} />
        {open && (
          <button type="button" onClick={() => setDialog("work-as")}>
            Work as…
          </button>
        )}
        <Themes />
        <button type="button" onClick={() => setDialog("shortcuts")}>
          Keyboard shortcuts
        </button>
        {!open && (
          <button type="button" onClick={() => void signOut()}>
            Sign out
          </button>
        )}
      </Menu>
      {dialog === "work-as" && <WorkAs name={name} onClose={close} />}
      {dialog === "shortcuts" && <ShortcutsDialog onClose={close} />}
    </>
  );
}

function Who({ name }: { name: string }) {
  return (
    <div class={styles.who}>
      <strong>{name}</strong>
      {me.value?.app_id && <span>Application {me.value.app_id}</span>}
      {until.value && <span>Signed in until {UNTIL.format(until.value)}</span>}
    </div>
  );
}

function Themes() {
  return (
    <div class={styles.themes} role="group" aria-label="Theme">
      {THEMES.map((one) => (
        <button key={one} type="button" aria-pressed={theme.value === one} onClick={() => (theme.value = one)}>
          {NAMES[one]}
        </button>
      ))}
    </div>
  );
}

/** While authentication is off, anybody may work as anybody; each window of the browser as another one. */
function WorkAs({ name, onClose }: { name: string; onClose: () => void }) {
  const [user, setUser] = useState(name);
  function submit(event: Event) {
    event.preventDefault();
    onClose();
    void workAs(user.trim());
  }
  return (
    <Dialog title="Work as another user" onClose={onClose}>
      <form onSubmit={submit}>
        <p>Authentication is off, so this window can work as anybody. Other windows stay as they are.</p>
        <Field label="User id">
          <input value={user} required pattern=".*\S.*" onInput={(event) => setUser(event.currentTarget.value)} />
        </Field>
        <Button type="submit" kind="primary">
          Work as this user
        </Button>
      </form>
    </Dialog>
  );
}
