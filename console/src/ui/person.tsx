import styles from "./person.module.css";

const HUES = 12;

/** Returns one of twelve colours, always the same for a user. */
function hue(userId: string): number {
  let sum = 0;
  for (const character of userId) sum = (sum * 31 + character.codePointAt(0)!) % 997;
  return sum % HUES;
}

/** A user as a disc with two letters. The id is its title and its name for screen readers. */
export function Avatar({ userId }: { userId: string }) {
  const letters = [...userId.replace(/[^\p{L}\p{N}]+/gu, " ").trim()].slice(0, 2).join("").toUpperCase() || "?";
  // the letters are drawn by the style: as text they would be part of what is copied, and of names of controls
  return (
    <span
      class={styles.avatar}
      data-hue={hue(userId)}
      data-letters={letters}
      role="img"
      aria-label={userId}
      title={userId}
    />
  );
}
