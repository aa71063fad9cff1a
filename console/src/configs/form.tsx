import { TagsField } from "../sessions/tags-field";
import { Button } from "../ui/button";
import { Field } from "../ui/field";
import type { Draft } from "./draft";
import { NumberAt, SecretAt, TextAt } from "./fields";
import styles from "./configs.module.css";

const CONTEXT = ["session", "context"];
const LOOP = ["session", "orchestrator"];
const MOST = 20; // entries of a list that the form shows
const MODULES = ["provider-openai", "provider-anthropic", "provider-echo"];

/** The parts of a config that most agents have. Everything else is in the JSON beside it. */
export function ConfigForm({ draft }: { draft: Draft }) {
  const parsed = draft.parsed.value;
  return (
    <form class={styles.form} onSubmit={(event) => event.preventDefault()} aria-label="Config">
      <Field label="Name" error={draft.problemAt("name")}>
        <input
          required
          maxLength={255}
          dir="auto"
          value={draft.name.value}
          onInput={(event) => (draft.name.value = event.currentTarget.value)}
        />
      </Field>
      <Field label="Description" error={draft.problemAt("description")}>
        <textarea
          rows={2}
          maxLength={10_000}
          dir="auto"
          value={draft.description.value}
          onInput={(event) => (draft.description.value = event.currentTarget.value)}
        />
      </Field>
      <TagsField draft={draft.tags.value} onChange={(tags) => (draft.tags.value = tags)} />
      {"fault" in parsed ? (
        <p class={styles.fault}>The JSON has a fault. When it is mended, the rest of the form is here again.</p>
      ) : (
        <Parts draft={draft} />
      )}
    </form>
  );
}

function Parts({ draft }: { draft: Draft }) {
  return (
    <>
      <TextAt draft={draft} path={["bundle", "name"]} label="Bundle" hint="The agent's name for programs." />
      <TextAt
        draft={draft}
        path={[...CONTEXT, "config", "system_prompt"]}
        within={{ section: CONTEXT, module: "context-simple" }}
        label="Instructions"
        hint="Tell the model how to answer."
        lines={5}
      />
      <Providers draft={draft} />
      <Tools draft={draft} />
      <NumberAt
        draft={draft}
        path={[...LOOP, "config", "max_iterations"]}
        within={{ section: LOOP, module: "loop-streaming" }}
        label="Most model calls in one turn"
        hint="50 if it is empty."
      />
    </>
  );
}

/** Returns how many entries a list of the config has. */
function lengthOf(draft: Draft, name: string): number {
  const list = draft.at([name]);
  return Array.isArray(list) ? list.length : 0;
}

/** Says that a list has more entries than the form shows. */
function More({ count, what }: { count: number; what: string }) {
  return count > MOST ? (
    <p class={styles.soft}>
      {count - MOST} more {what} are in the JSON.
    </p>
  ) : null;
}

function Providers({ draft }: { draft: Draft }) {
  const count = lengthOf(draft, "providers");
  return (
    <>
      {Array.from({ length: Math.min(count, MOST) }, (_, index) => (
        <Provider key={index} draft={draft} index={index} of={count} />
      ))}
      <More count={count} what="providers" />
      <datalist id="provider-modules">
        {MODULES.map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <Button onClick={() => draft.put(["providers", count], { module: "provider-openai", config: {} })}>
        Add a provider
      </Button>
    </>
  );
}

function Provider({ draft, index, of }: { draft: Draft; index: number; of: number }) {
  const path = ["providers", index];
  const config = [...path, "config"];
  const number = of > 1 ? ` ${index + 1}` : "";
  const echoes = draft.at([...path, "module"]) === "provider-echo";
  return (
    <fieldset class={styles.part}>
      <legend>Provider{number}</legend>
      <TextAt draft={draft} path={[...path, "module"]} label="Module" list="provider-modules" />
      {echoes ? (
        <NumberAt draft={draft} path={[...config, "delay"]} label="Delay" hint="Seconds between words." />
      ) : (
        <>
          <TextAt draft={draft} path={[...config, "model"]} label="Model" />
          <SecretAt
            draft={draft}
            path={[...config, "api_key"]}
            label="API key"
            hint="A key, or the name of a secret of the service: ${OPENAI_API_KEY}"
          />
          <TextAt draft={draft} path={[...config, "base_url"]} label="Address" hint="Empty: the provider's own." />
          <div class={styles.pair}>
            <NumberAt draft={draft} path={[...config, "temperature"]} label="Temperature" />
            <NumberAt draft={draft} path={[...config, "max_tokens"]} label="Most tokens of an answer" />
          </div>
        </>
      )}
      <Button kind="quiet" onClick={() => draft.put(path, undefined)}>
        Remove provider{number}
      </Button>
    </fieldset>
  );
}

function Tools({ draft }: { draft: Draft }) {
  const count = lengthOf(draft, "tools");
  return (
    <fieldset class={styles.part}>
      <legend>Tools</legend>
      {Array.from({ length: Math.min(count, MOST) }, (_, index) => (
        <div key={index} class={styles.tool}>
          <TextAt draft={draft} path={["tools", index, "module"]} label={`Module of tool ${index + 1}`} />
          <Button
            kind="quiet"
            aria-label={`Remove tool ${index + 1}`}
            onClick={() => draft.put(["tools", index], undefined)}
          >
            ✕
          </Button>
        </div>
      ))}
      <More count={count} what="tools" />
      <Button onClick={() => draft.put(["tools", count], { module: "" })}>Add a tool</Button>
    </fieldset>
  );
}
