import styles from "./page.module.css";

const EXAMPLES = [
  ["refund insurance", "both words, in any form"],
  ['"travel certificate"', "these words side by side"],
  ["refund or voucher", "one of the two"],
  ["refund -insurance", "the first without the second"],
  ["mia@example.com", "names and paths as they are written"],
] as const;

/** What can be typed. */
export function Syntax() {
  return (
    <div class={styles.syntax}>
      <p>Everything said in your sessions, their titles and their tags. What you type finds:</p>
      <dl>
        {EXAMPLES.map(([typed, meaning]) => (
          <div key={typed}>
            <dt>
              <code>{typed}</code>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
