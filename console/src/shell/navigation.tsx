import { Link, useLocation } from "wouter-preact";
import { Icon } from "../ui/icon";
import { me } from "./me";
import styles from "./navigation.module.css";
import { useShortcut } from "./shortcuts";

const PAGES = [
  { to: "/", name: "Sessions", icon: "sessions", below: "/sessions" },
  { to: "/search", name: "Search", icon: "search", below: "/search" },
  { to: "/configs", name: "Configs", icon: "configs", below: "/configs" },
  { to: "/admin", name: "Administration", icon: "administration", below: "/admin" },
] as const;

/** The links to the pages: above, or below on a phone. Administration is for admin applications. */
export function Navigation() {
  const [path, navigate] = useLocation();
  useShortcut("g s", "Show sessions", () => navigate("/"));
  useShortcut("g c", "Show configs", () => navigate("/configs"));
  return (
    <nav aria-label="Pages" class={styles.nav}>
      {PAGES.filter(({ to }) => to !== "/admin" || me.value?.is_admin).map(({ to, name, icon, below }) => (
        <Link key={to} href={to} class={styles.link} aria-current={isBelow(path, to, below) ? "page" : undefined}>
          <Icon name={icon} />
          <span>{name}</span>
        </Link>
      ))}
    </nav>
  );
}

function isBelow(path: string, to: string, below: string): boolean {
  return path === to || path === below || path.startsWith(`${below}/`);
}
