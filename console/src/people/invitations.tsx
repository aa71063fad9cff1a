import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { useResource } from "../ui/resource";
import { Time } from "../ui/time";
import { type Invitation, invitationsOf, invite, type Person, revoke } from "./calls";
import { changesOf } from "./changes";
import { RoleSelect } from "./role-select";
import { type Role, rightsOf, rolesToGive } from "./rights";
import styles from "./people.module.css";

const EXPIRIES = [
  [3_600, "1 hour"],
  [86_400, "1 day"],
  [604_800, "1 week"],
  [2_592_000, "30 days"],
] as const;

/** Creates links that admit people whose user ids are not known, and lists them for owners. */
export function Invitations({ sessionId, own }: { sessionId: string; own: Person }) {
  const [link, setLink] = useState("");
  const mayList = rightsOf(own).own;
  const list = useResource(
    async (signal) => (mayList ? invitationsOf(sessionId, signal) : []),
    [sessionId, mayList, changesOf.value[sessionId]],
  );
  return (
    <section class={styles.section}>
      <h3>Invite by a link</h3>
      <InviteForm
        sessionId={sessionId}
        own={own}
        onMade={(link) => {
          setLink(link);
          list.reload();
        }}
      />
      {link && <NewLink key={link} link={link} />}
      {list.error !== undefined && <ErrorNote error={list.error} retry={list.reload} />}
      {!!list.data?.length && (
        <ul class={styles.people} aria-label="Invitations">
          {list.data.map((one) => (
            <Row key={one.invitation_id} sessionId={sessionId} invitation={one} onRevoked={list.reload} />
          ))}
        </ul>
      )}
    </section>
  );
}

function InviteForm(props: { sessionId: string; own: Person; onMade: (link: string) => void }) {
  const [role, setRole] = useState<Role>(props.own.role === "viewer" ? "viewer" : "editor");
  const [expires_in, setExpiry] = useState<number>(604_800);
  const [max_uses, setUses] = useState(1);
  const [error, setError] = useState<unknown>();
  async function make(event: Event) {
    event.preventDefault();
    setError(undefined);
    await invite(props.sessionId, { role, expires_in, max_uses }).then(props.onMade, setError);
  }
  return (
    <form onSubmit={make}>
      <div class={styles.row}>
        <RoleSelect label="Joins as" roles={rolesToGive(props.own)} value={role} onChange={setRole} />
        <label>
          Expires in
          <select value={expires_in} onChange={(event) => setExpiry(Number(event.currentTarget.value))}>
            {EXPIRIES.map(([seconds, text]) => (
              <option key={seconds} value={seconds}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label>
          People
          <input
            type="number"
            required
            min={1}
            max={10_000}
            value={max_uses}
            onInput={(event) => setUses(event.currentTarget.valueAsNumber)}
          />
        </label>
        <Button type="submit">Create link</Button>
      </div>
      {error !== undefined && <ErrorNote error={error} />}
    </form>
  );
}

/** A link that was just made: the only time that it is shown. */
function NewLink({ link }: { link: string }) {
  const [copied, setCopied] = useState(false);
  async function copy() {
    await navigator.clipboard.writeText(link);
    setCopied(true);
  }
  return (
    <div class={styles.link} role="status">
      <label class={styles.grow}>
        Invitation link
        <input readOnly value={link} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <Button kind="primary" onClick={copy}>
        {copied ? "Copied" : "Copy link"}
      </Button>
      <p class={styles.hint}>Copy it now: it is not shown again.</p>
    </div>
  );
}

function Row(props: { sessionId: string; invitation: Invitation; onRevoked: () => void }) {
  const { invitation_id, role, created_by_user_id, created_at, expires_at, uses, max_uses } = props.invitation;
  const ended = endOf(props.invitation);
  async function end() {
    await revoke(props.sessionId, invitation_id);
    props.onRevoked();
  }
  return (
    <li class={styles.person} data-ended={ended ?? undefined}>
      <span class={styles.who}>
        <span>
          {role}, {uses} of {max_uses} joined
        </span>
        <span class={styles.overrides} dir="auto">
          by {created_by_user_id}, <Time at={created_at} />
        </span>
      </span>
      {ended ? (
        <span class={styles.soft}>{ended}</span>
      ) : (
        <>
          <span class={styles.soft}>
            ends <Time at={expires_at} />
          </span>
          <Button kind="quiet" class={styles.end} onClick={end} aria-label={`Revoke the invitation as ${role}`}>
            Revoke
          </Button>
        </>
      )}
    </li>
  );
}

/** Returns why an invitation admits nobody any more, or null. */
function endOf({ revoked_at, expires_at, uses, max_uses }: Invitation): string | null {
  if (revoked_at) return "revoked";
  if (Date.parse(expires_at) < Date.now()) return "expired";
  return uses >= max_uses ? "used up" : null;
}
