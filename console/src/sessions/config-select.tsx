import { useState } from "preact/hooks";
import { errorText } from "../ui/error-note";
import { Field } from "../ui/field";
import { useResource } from "../ui/resource";
import { listConfigs } from "./calls";
import styles from "./sessions.module.css";

interface Props {
  value: string;
  onChange: (configId: string) => void;
  /** The text of the choice without a config. */
  none: string;
  label?: string;
  hint?: string;
}

/** A choice among the caller's configs. With more than a hundred, a part of the name narrows it down. */
export function ConfigSelect({ value, onChange, none, label = "Config", hint }: Props) {
  const [name, setName] = useState("");
  const { data, error } = useResource((signal) => listConfigs(name, signal), [name]);
  const configs = data?.configs ?? [];
  const many = data?.more || name !== "";
  return (
    <>
      {many && (
        <Field label="Find a config">
          <input type="search" value={name} onInput={(event) => setName(event.currentTarget.value)} />
        </Field>
      )}
      <Field label={label} hint={hint} error={error ? errorText(error) : undefined}>
        <select class={styles.select} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
          <option value="">{none}</option>
          {value && !configs.some((one) => one.config_id === value) && <option value={value}>{value}</option>}
          {configs.map((one) => (
            <option key={one.config_id} value={one.config_id}>
              {one.name}
            </option>
          ))}
        </select>
      </Field>
    </>
  );
}
