import { useLocation } from "wouter-preact";
import { searchPath } from "./address";
import styles from "./field.module.css";

const ID = "search-field"; // of the one field that is in the page

/** The attributes that each search field has. */
export const FIELD = {
  id: ID,
  type: "search",
  autocomplete: "off",
  autocapitalize: "off",
  spellcheck: false,
  enterkeyhint: "search",
  maxLength: 990,
  "aria-label": "Search",
} as const;

/** Moves the focus to the search field, on the page of the search if there is none here. */
export function focusSearch(navigate: (path: string) => void): void {
  const field = document.getElementById(ID) as HTMLInputElement | null;
  if (!field?.checkVisibility()) return navigate("/search");
  field.focus();
  field.select();
}

/** The search field beside the navigation. Enter opens the page of the search, which has a field of its own. */
export function SearchField() {
  const [path, navigate] = useLocation();
  if (path === "/search") return null;
  function open(event: SubmitEvent) {
    event.preventDefault();
    const q = new FormData(event.currentTarget as HTMLFormElement).get("q");
    navigate(searchPath({ q: String(q) }));
  }
  return (
    <form role="search" aria-label="All sessions" class={styles.form} onSubmit={open}>
      <input {...FIELD} name="q" placeholder="Search all sessions" />
    </form>
  );
}
