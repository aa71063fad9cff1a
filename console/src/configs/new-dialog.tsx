import { useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { FormDialog } from "../sessions/form";
import { Field } from "../ui/field";
import { createConfig } from "./calls";
import { bundleName, TEMPLATES } from "./templates";
import styles from "./configs.module.css";

/** Creates a config from a template and opens it. */
export function NewDialog({ onClose }: { onClose: () => void }) {
  const [id, setId] = useState(TEMPLATES[0]!.id);
  const [name, setName] = useState("");
  const [, go] = useLocation();
  const template = TEMPLATES.find((one) => one.id === id)!;
  async function create() {
    const named = name.trim() || template.name;
    const { config_id } = await createConfig({ name: named, config_data: template.config(bundleName(named)) });
    go(`/configs/${encodeURIComponent(config_id)}`);
  }
  return (
    <FormDialog title="New config" verb="Create" onSubmit={create} onClose={onClose}>
      <fieldset class={styles.templates}>
        <legend>Begin with</legend>
        {TEMPLATES.map((one) => (
          <label key={one.id} class={styles.template}>
            <input type="radio" name="template" checked={one.id === id} onChange={() => setId(one.id)} />
            <span>
              {one.name}
              <small>{one.text}</small>
            </span>
          </label>
        ))}
      </fieldset>
      <Field label="Name">
        <input
          maxLength={255}
          value={name}
          placeholder={template.name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </Field>
    </FormDialog>
  );
}
