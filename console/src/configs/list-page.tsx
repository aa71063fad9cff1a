import { useState } from "preact/hooks";
import { Link, useSearchParams } from "wouter-preact";
import { Button } from "../ui/button";
import { Chip } from "../ui/chip";
import { Empty } from "../ui/empty";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import { usePageTitle } from "../ui/page-title";
import { type Pages, usePages } from "../ui/pages";
import { Time } from "../ui/time";
import { VirtualList } from "../ui/virtual-list";
import { type ConfigSummary, listConfigs } from "./calls";
import { NewDialog } from "./new-dialog";
import styles from "./configs.module.css";

const ROW = 64; // pixels, before it is measured

/** The caller's configs, the last changed first. Filters are in the address. */
export default function Page() {
  usePageTitle("Configs");
  const [making, setMaking] = useState(false);
  const [query, setQuery] = useSearchParams();
  const name = query.get("name") ?? "";
  const tag = query.get("tag") ?? "";
  const pages = usePages(
    async (cursor, signal) => {
      const filters = { ...(name && { name }), ...(tag && { tag: [tag] }), ...(cursor && { cursor }) };
      const { configs, next } = await listConfigs(filters, signal);
      return { items: configs, next };
    },
    [name, tag],
  );
  function filter(key: string, value: string) {
    setQuery((query) => (value ? query.set(key, value) : query.delete(key), query), { replace: true });
  }
  return (
    <>
      <header class={styles.head}>
        <h1>Configs</h1>
        <Button kind="primary" onClick={() => setMaking(true)}>
          New config
        </Button>
      </header>
      <div class={styles.filters} role="search" aria-label="Configs">
        <input
          type="search"
          aria-label="Find by name"
          placeholder="Find by name"
          maxLength={255}
          value={name}
          onInput={(event) => filter("name", event.currentTarget.value)}
        />
        {tag && (
          <Chip name={`filter ${tag}`} onRemove={() => filter("tag", "")}>
            {tag}
          </Chip>
        )}
      </div>
      <List
        pages={pages}
        filtered={!!(name || tag)}
        onTag={(tag) => filter("tag", tag)}
        onNew={() => setMaking(true)}
      />
      {making && <NewDialog onClose={() => setMaking(false)} />}
    </>
  );
}

interface ListProps {
  pages: Pages<ConfigSummary>;
  filtered: boolean;
  onTag: (tag: string) => void;
  onNew: () => void;
}

function List({ pages, filtered, onTag, onNew }: ListProps) {
  const { items, error, loading, loadMore } = pages;
  if (error !== undefined) return <ErrorNote error={error} retry={loadMore} />;
  if (items.length > 0)
    return (
      <VirtualList items={items} height={ROW} keyOf={(one) => one.config_id} name="Configs" onEnd={loadMore}>
        {(config) => <Row config={config} onTag={onTag} />}
      </VirtualList>
    );
  if (loading) return <Loading />;
  if (filtered) return <Empty title="No config fits">Other words may find it.</Empty>;
  return (
    <Empty title="There are no configs yet">
      <p>A config says which agent answers in a session: its model, instructions and tools.</p>
      <Button onClick={onNew}>Create the first</Button>
    </Empty>
  );
}

function Row({ config, onTag }: { config: ConfigSummary; onTag: (tag: string) => void }) {
  const { config_id, name, description, tags, version, updated_at } = config;
  return (
    <div class={styles.item}>
      <div class={styles.text}>
        <Link href={`/configs/${encodeURIComponent(config_id)}`} class={styles.name} dir="auto">
          {name}
        </Link>
        {description && (
          <p class={styles.description} dir="auto">
            {description}
          </p>
        )}
      </div>
      <div class={styles.tags}>
        {Object.entries(tags as Record<string, string>).map(([key, value]) => (
          <button key={key} type="button" class={styles.tag} onClick={() => onTag(`${key}:${value}`)}>
            {key}: {value}
          </button>
        ))}
      </div>
      <span class={styles.when}>
        Version {version}, <Time at={updated_at} />
      </span>
    </div>
  );
}
