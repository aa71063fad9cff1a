/** Light or dark: as the system says, or as the person chose. */

import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];

const KEY = "theme";

/** Returns what was chosen in this browser. */
function chosen(): Theme {
  const kept = localStorage.getItem(KEY);
  return THEMES.find((one) => one === kept) ?? "system";
}

export const theme = signal<Theme>(chosen());

effect(() => {
  const { dataset } = document.documentElement;
  if (theme.value === "system") {
    delete dataset["theme"];
    localStorage.removeItem(KEY);
  } else {
    dataset["theme"] = theme.value;
    localStorage.setItem(KEY, theme.value);
  }
});

// chosen in another window
addEventListener("storage", ({ key }) => key === KEY && (theme.value = chosen()));
