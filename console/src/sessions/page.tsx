import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { useLocation, useSearch } from "wouter-preact";
import { useShortcut } from "../shell/shortcuts";
import { Button } from "../ui/button";
import { Empty } from "../ui/empty";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import { usePageTitle } from "../ui/page-title";
import { VirtualList } from "../ui/virtual-list";
import { CreateDialog } from "./create-dialog";
import { FilterBar, OrderChoice } from "./filter-bar";
import { countFilters, type Filters, filtersOf, orderOf, searchOf } from "./filters";
import { SessionList } from "./list";
import styles from "./list.module.css";
import { Newcomer } from "./newcomer";
import { SessionRow } from "./row";
import type { Row } from "./rows";

const HEIGHT = 68; // pixels of a row
const OFFERED = 200; // tags
const keyOf = (row: Row) => row.session_id;
const NUMBER = new Intl.NumberFormat();

/** The sessions of the caller. */
export default function Page() {
  usePageTitle("Sessions");
  const [, navigate] = useLocation();
  const search = useSearch();
  const filters = useMemo(() => filtersOf(search), [search]);
  const [creating, setCreating] = useState(false);
  const create = useCallback(() => setCreating(true), []);
  useShortcut("c", "Create a session", create);
  const list = useMemo(() => new SessionList(filters), [filters]);
  useEffect(() => {
    void list.load();
    list.follow();
    return () => list.close();
  }, [list]);
  const total = list.total.value;
  const isNew = total === 0 && list.rows.value.length === 0 && !countFilters(filters);
  const count = total === 1 ? "1 session" : `${NUMBER.format(total ?? 0)} sessions`;
  const set = (changed: Filters) => navigate(`/${searchOf(changed)}`, { replace: true });
  const clear = () => set({ ...filtersOf(""), sort: filters.sort });
  return (
    <>
      <header class={styles.header}>
        <h1>Sessions</h1>
        <span role="status">{total !== null && count}</span>
        <div class={styles.tools}>
          {!isNew && <OrderChoice value={filters.sort} onChange={(sort) => set({ ...filters, sort })} />}
          <Button kind="primary" onClick={create}>
            Create a session
          </Button>
        </div>
      </header>
      {!isNew && <FilterBar filters={filters} tags={tagsOfRows(list.rows.value)} onChange={set} />}
      <Rows list={list} filters={filters} onCreate={create} onClear={clear} />
      {creating && <CreateDialog onClose={() => setCreating(false)} />}
    </>
  );
}

interface RowsProps {
  list: SessionList;
  filters: Filters;
  onCreate: () => void;
  onClear: () => void;
}

function Rows({ list, filters, onCreate, onClear }: RowsProps) {
  const rows = list.rows.value;
  const error = list.error.value;
  const { sort } = orderOf(filters);
  if (rows.length === 0) {
    if (error) return <ErrorNote error={error} retry={() => list.load()} />;
    if (list.total.value === null) return <Loading what="Loading sessions" />;
    if (!countFilters(filters)) return <Newcomer onCreate={onCreate} />;
    return (
      <Empty title="No session fits these filters">
        <Button onClick={onClear}>Clear filters</Button>
      </Empty>
    );
  }
  return (
    <>
      <VirtualList items={rows} height={HEIGHT} keyOf={keyOf} name="Sessions" onEnd={() => void list.loadMore()}>
        {(row, _, current) => (
          <SessionRow row={row} time={row[sort]} current={current} onChanged={(session) => list.change(session)} />
        )}
      </VirtualList>
      {error ? <ErrorNote error={error} retry={() => (list.hasMore ? list.loadMore() : list.load())} /> : null}
    </>
  );
}

/** Returns the tags of the first rows, as filters take them. */
function tagsOfRows(rows: readonly Row[]): string[] {
  const tags = rows
    .slice(0, OFFERED)
    .flatMap((row) => Object.entries(row.tags).map(([key, value]) => `${key}:${value}`));
  return [...new Set(tags)].sort();
}
