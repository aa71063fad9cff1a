import type { ComponentChildren } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Chip } from "../ui/chip";
import { useResource } from "../ui/resource";
import { listConfigs } from "./calls";
import styles from "./list.module.css";
import { countFilters, type Filters, filtersOf, SORTS, STATUSES } from "./filters";

interface Props {
  filters: Filters;
  /** Tags to offer, as `key:value`. */
  tags: string[];
  onChange: (filters: Filters) => void;
}

const WIDE = "(width >= 60rem)"; // as in list.module.css

/** The filters of the list. Where there is little room, they unfold. */
export function FilterBar({ filters, tags, onChange }: Props) {
  const element = useRef<HTMLDetailsElement>(null);
  useLayoutEffect(() => {
    const wide = matchMedia(WIDE);
    const unfold = () => wide.matches && (element.current!.open = true); // there is no summary to do it with
    unfold();
    wide.addEventListener("change", unfold);
    return () => wide.removeEventListener("change", unfold);
  }, []);
  const set = (change: Partial<Filters>) => onChange({ ...filters, ...change });
  const count = countFilters(filters);
  return (
    <details ref={element} class={styles.filters}>
      <summary>{count ? `Filters (${count})` : "Filters"}</summary>
      <div class={styles.bar} role="group" aria-label="Filters">
        <Choice name="Whose" value={filters.whose} onChange={(whose) => set({ whose: whose as Filters["whose"] })}>
          <option value="">Mine and shared</option>
          <option value="mine">Mine</option>
          <option value="shared">Shared with me</option>
        </Choice>
        <Choice name="Status" value={filters.status} onChange={(status) => set({ status })}>
          <option value="">Any</option>
          {STATUSES.map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
        </Choice>
        <ConfigChoice value={filters.config} onChange={(config) => set({ config })} />
        <Day name="Changed from" value={filters.from} onChange={(from) => set({ from })} />
        <Day name="to" value={filters.to} onChange={(to) => set({ to })} />
        <label class={styles.check}>
          <input
            type="checkbox"
            checked={filters.unread}
            onChange={(event) => set({ unread: event.currentTarget.checked })}
          />
          Unread
        </label>
        <TagFilter known={tags} chosen={filters.tags} onChange={(chosen) => set({ tags: chosen })} />
        {count > 0 && (
          <Button kind="quiet" onClick={() => onChange({ ...filtersOf(""), sort: filters.sort })}>
            Clear filters
          </Button>
        )}
      </div>
    </details>
  );
}

/** The order of the list. */
export function OrderChoice({ value, onChange }: { value: string; onChange: (sort: string) => void }) {
  return (
    <Choice name="Order" value={value} onChange={onChange}>
      {Object.entries(SORTS).map(([one, { name }]) => (
        <option key={one} value={one}>
          {name}
        </option>
      ))}
    </Choice>
  );
}

interface ChoiceProps {
  name: string;
  value: string;
  onChange: (value: string) => void;
}

function Choice({ name, value, onChange, children }: ChoiceProps & { children: ComponentChildren }) {
  const id = useId();
  return (
    <span class={styles.choice}>
      <label for={id}>{name}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {children}
      </select>
    </span>
  );
}

function Day({ name, value, onChange }: ChoiceProps) {
  const id = useId();
  return (
    <span class={styles.choice}>
      <label for={id}>{name}</label>
      <input id={id} type="date" value={value} onChange={(event) => onChange(event.currentTarget.value)} />
    </span>
  );
}

function ConfigChoice({ value, onChange }: { value: string; onChange: (configId: string) => void }) {
  const { data } = useResource((signal) => listConfigs("", signal), []);
  const configs = data?.configs ?? [];
  return (
    <Choice name="Config" value={value} onChange={onChange}>
      <option value="">Any</option>
      {value && !configs.some((one) => one.config_id === value) && <option value={value}>{value}</option>}
      {configs.map((one) => (
        <option key={one.config_id} value={one.config_id}>
          {one.name}
        </option>
      ))}
    </Choice>
  );
}

interface TagProps {
  known: string[];
  chosen: string[];
  onChange: (tags: string[]) => void;
}

function TagFilter({ known, chosen, onChange }: TagProps) {
  const [text, setText] = useState("");
  const id = useId();
  function add(event: Event) {
    event.preventDefault();
    const tag = text.trim();
    if (!tag.includes(":")) return;
    if (!chosen.includes(tag)) onChange([...chosen, tag]);
    setText("");
  }
  return (
    <form class={styles.choice} onSubmit={add}>
      <label for={`${id}tag`}>Tag</label>
      <input
        id={`${id}tag`}
        list={id}
        value={text}
        placeholder="key:value"
        pattern=".+:.*"
        title="A key and a value, as customer:mia; Enter adds the filter"
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <datalist id={id}>
        {known.map((tag) => (
          <option key={tag} value={tag} />
        ))}
      </datalist>
      {chosen.map((tag) => (
        <Chip key={tag} name={`filter ${tag}`} onRemove={() => onChange(chosen.filter((one) => one !== tag))}>
          {tag}
        </Chip>
      ))}
    </form>
  );
}
