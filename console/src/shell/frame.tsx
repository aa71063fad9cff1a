import type { ComponentChildren } from "preact";
import { Link, useLocation } from "wouter-preact";
import { phase } from "../sign-in/sign-in";
import { Arrival } from "./arrival";
import { Boundary } from "./boundary";
import { focusSearch, SearchField } from "../search/field";
import styles from "./frame.module.css";
import { Navigation } from "./navigation";
import { Offline } from "./offline";
import { useShortcut } from "./shortcuts";
import { UserMenu } from "./user-menu";

/** What surrounds each page: a way to the content, the navigation, the person's menu, and the page itself. */
export function Frame({ children }: { children: ComponentChildren }) {
  const [path] = useLocation();
  return (
    <div class={styles.frame}>
      <button type="button" class={styles.skip} onClick={() => document.getElementById("main")!.focus()}>
        Skip to the content
      </button>
      <header class={styles.header}>
        <Link href="/" class={styles.brand}>
          Amplifier
        </Link>
        {phase.value === "signed-in" && <Tools />}
      </header>
      <Offline />
      <main id="main" class={styles.main} tabIndex={-1}>
        <Boundary at={path}>{children}</Boundary>
      </main>
      <Arrival />
    </div>
  );
}

/** What only those have who are signed in. */
function Tools() {
  const [, navigate] = useLocation();
  useShortcut("/", "Search", () => focusSearch(navigate));
  return (
    <>
      <Navigation />
      <span class={styles.space} />
      <SearchField />
      <UserMenu />
    </>
  );
}
