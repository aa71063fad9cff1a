import { NotFoundError } from "amplifier-client/errors";
import { Button } from "../ui/button";
import { notify } from "../ui/toast";
import type { Approval } from "./agent";
import type { Live } from "./live";
import styles from "./approvals.module.css";

const REFUSALS = /^(deny|no|reject|cancel)/i; // how options begin that grant nothing
const UNTIL = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** What the agent asks before it goes on. Whoever may send answers; the others see that it waits. */
export function Approvals({ live }: { live: Live }) {
  const { approvals } = live.agent;
  return (
    <section aria-label="Questions of the agent" aria-live="polite" class={styles.questions}>
      {approvals.value.map((one) => (
        <Question key={one.approval_id} live={live} approval={one} />
      ))}
    </section>
  );
}

function Question({ live, approval }: { live: Live; approval: Approval }) {
  const { approval_id, prompt, options, expires_at } = approval;
  async function decide(option: string) {
    try {
      await live.agent.decide(approval_id, option);
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      notify("Somebody else has answered, or the time is over.");
    }
  }
  return (
    <div class={styles.question} role="group" aria-label="The agent asks">
      <p class={styles.prompt} dir="auto">
        {prompt}
      </p>
      {live.rights.value.send ? (
        <div class={styles.options}>
          {options.map((option) => (
            <Button key={option} kind={REFUSALS.test(option) ? "plain" : "primary"} onClick={() => decide(option)}>
              {option}
            </Button>
          ))}
        </div>
      ) : (
        <p class={styles.note}>It waits for a participant who may send messages.</p>
      )}
      <p class={styles.note}>Without an answer it counts as denied at {UNTIL.format(new Date(expires_at))}.</p>
    </div>
  );
}
