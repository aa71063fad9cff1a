import { Link } from "wouter-preact";
import { Empty } from "./empty";
import { usePageTitle } from "./page-title";

/** The page of an address that leads nowhere. */
export function NotFound() {
  usePageTitle("Not found");
  return (
    <Empty title="There is no such page">
      <h1 class="visually-hidden">Not found</h1>
      <Link href="/">Show sessions</Link>
    </Empty>
  );
}
