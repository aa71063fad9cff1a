import { Field } from "../ui/field";

interface ChoiceProps<K extends string> {
  label: string;
  options: Partial<Record<K, string>>;
  value: K;
  onChange: (value: K) => void;
}

/** A choice among a few values with names. */
export function Choice<K extends string>({ label, options, value, onChange }: ChoiceProps<K>) {
  return (
    <Field label={label}>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value as K)}>
        {(Object.entries(options) as [K, string][]).map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
    </Field>
  );
}

/** Returns the given key of `options`, or the usual one for any other text. */
export function one<K extends string>(options: Record<K, string>, given: string | null, usual: NoInfer<K>): K {
  return given !== null && Object.hasOwn(options, given) ? (given as K) : usual;
}
