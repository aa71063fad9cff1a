/** The page of the search: results while you type, filters, and the keyboard's way through them. */

import { useSignalEffect } from "@preact/signals";
import { ConnectionError } from "amplifier-client/errors";
import { useEffect } from "preact/hooks";
import { reachable } from "../api/reachable";
import { Button } from "../ui/button";
import { Chip } from "../ui/chip";
import { Empty } from "../ui/empty";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import { usePageTitle } from "../ui/page-title";
import { isFiltered, type Wanted } from "./address";
import { Box } from "./box";
import { Filters } from "./filters";
import { Hits } from "./hits";
import { activeFilters } from "./labels";
import styles from "./page.module.css";
import { counts, failure, found, leave, search, waiting } from "./results";
import { keepScroll, useScroll } from "./scroll";
import { items } from "./selection";
import { Syntax } from "./syntax";
import { useQuery } from "./use-query";
import { useWide } from "./use-wide";

interface Props {
  wanted: Wanted;
  onChange: (wanted: Wanted) => void;
}

export default function Page() {
  usePageTitle("Search");
  useScroll();
  useEffect(() => leave, []);
  const { wanted, setQ, write, change } = useQuery();
  useSignalEffect(() => {
    if (reachable.value && failure.peek() instanceof ConnectionError) search(wanted, false, true);
  });
  const open = () => (write(), keepScroll());
  return (
    <div class={styles.page}>
      <h1 class="visually-hidden">Search</h1>
      <div class={styles.top}>
        <Box q={wanted.q} onInput={setQ} onEnter={() => search(wanted, false)} onOpen={open} />
        <Chips wanted={wanted} onChange={change} />
      </div>
      {wanted.q.trim() ? <Found wanted={wanted} onChange={change} onOpen={open} /> : <Syntax />}
    </div>
  );
}

/** The results, with what narrows and sorts them. */
function Found(props: Props & { onOpen: () => void }) {
  return (
    <>
      <Side {...props} />
      <section aria-label="Found" class={styles.found}>
        <Head {...props} />
        <Body {...props} />
      </section>
    </>
  );
}

/** The active filters. */
function Chips({ wanted, onChange }: Props) {
  const title = wanted.session_id ? (found.value.hits[0]?.title ?? null) : null;
  const filters = activeFilters(wanted, counts.value?.facets ?? null, title);
  if (!filters.length) return null;
  return (
    <ul class={styles.chips} aria-label="Active filters">
      {filters.map(({ text, without }) => (
        <li key={text}>
          <Chip name={`filter ${text}`} onRemove={() => onChange(without)}>
            <bdi>{text}</bdi>
          </Chip>
        </li>
      ))}
    </ul>
  );
}

/** The filters: beside the results, or folded above them. */
function Side({ wanted, onChange }: Props) {
  const filters = <Filters wanted={wanted} onChange={onChange} />;
  if (useWide()) return filters;
  return (
    <details class={styles.details}>
      <summary>Filters</summary>
      {filters}
    </details>
  );
}

/** How much was found, and in which order. */
function Head({ wanted, onChange }: Props) {
  const sort = (event: Event) =>
    onChange({ ...wanted, sort: (event.currentTarget as HTMLSelectElement).value as Wanted["sort"] });
  return (
    <div class={styles.head}>
      <p role="status">{summary()}</p>
      <label>
        <span class="visually-hidden">Order</span>
        <select value={wanted.sort} onChange={sort}>
          <option value="rank">Best first</option>
          <option value="recent">Newest first</option>
        </select>
      </label>
    </div>
  );
}

/** Returns how much was found, from the counts as soon as they are there. */
function summary(): string {
  const { wanted, hits, next, totalSessions } = found.value;
  if (!wanted || !items.value.length) return waiting.value ? "Searching…" : "";
  const facets = counts.value?.wanted === wanted ? counts.value.facets : null;
  const number = facets?.hits ?? hits.length;
  const more = facets?.partial || (!facets && next) ? "More than " : "";
  const places = totalSessions
    ? ` in ${totalSessions.toLocaleString()} ${totalSessions === 1 ? "session" : "sessions"}`
    : "";
  return `${more}${number.toLocaleString()} ${number === 1 ? "hit" : "hits"}${places}`;
}

function Body({ wanted, onChange, onOpen }: Props & { onOpen: () => void }) {
  const { wanted: shown, notice } = found.value;
  if (failure.value !== undefined) {
    return <ErrorNote error={failure.value} retry={() => search(wanted, false, true)} />;
  }
  if (!shown) return <Loading what="Searching" />;
  return (
    <>
      {notice && <p class={styles.notice}>{notice}</p>}
      {items.value.length ? <Hits onOpen={onOpen} /> : !notice && <Nothing wanted={wanted} onChange={onChange} />}
    </>
  );
}

function Nothing({ wanted, onChange }: Props) {
  const without: Wanted = { q: wanted.q, tag: [], sort: wanted.sort };
  const { didYouMean } = found.value;
  return (
    <Empty title="Nothing was found">
      {didYouMean && (
        <p>
          Did you mean <Button onClick={() => onChange({ ...wanted, q: didYouMean })}>{didYouMean}</Button>?
        </p>
      )}
      {isFiltered(wanted) ? (
        <Button onClick={() => onChange(without)}>Remove all filters</Button>
      ) : (
        <p>Try fewer words, or only the beginning of one.</p>
      )}
    </Empty>
  );
}
