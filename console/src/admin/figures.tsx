import styles from "./admin.module.css";

interface Props {
  /** The name of the group, for those who do not see it. */
  name: string;
  /** Values by their names. */
  values: Record<string, string>;
  /** Returns whether a value is bad news. */
  isBad?: (value: string) => boolean;
}

/** A few numbers or states side by side. */
export function Figures({ name, values, isBad }: Props) {
  return (
    <div role="group" aria-label={name}>
      <dl class={styles.numbers}>
        {Object.entries(values).map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd class={isBad?.(value) ? styles.bad : undefined}>{value}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
