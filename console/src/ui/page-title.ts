import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

/** The title of the page that is shown: a new object whenever a page names itself. */
export const pageTitle = signal({ title: "" });

/** Names the page in the browser's title, first what it shows. */
export function usePageTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Amplifier`;
    pageTitle.value = { title };
  }, [title]);
}
