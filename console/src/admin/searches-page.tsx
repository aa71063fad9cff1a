import { useMemo } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { Empty } from "../ui/empty";
import { usePageTitle } from "../ui/page-title";
import { useAddress } from "./address";
import styles from "./admin.module.css";
import { Chart, momentsOf, type Series } from "./chart";
import { duration, sum, whole } from "./numbers";
import { Loaded, More, usePages } from "./pages";
import { boundsOf, PeriodFields } from "./period";
import { Table } from "./table";
import { Choice, one } from "./choice";

type Row = Schemas["SearchUsage"];
type Sums = Schemas["SearchUsageList"];

const BY = { day: "Day", user: "User", application: "Application", kind: "Kind" };
const KINDS: Record<string, string> = { messages: "For messages", sessions: "For sessions" };

/** How often people search, and how often they find nothing. What they search for is not stored. */
export default function Page() {
  usePageTitle("Searches");
  const [address, change] = useAddress();
  const by = one(BY, address.get("by"), "day");
  const pages = usePages<Row, Sums>(
    (cursor, signal) => {
      const query = { ...boundsOf(address), by, limit: by === "day" ? 400 : 50, ...(cursor ? { cursor } : {}) };
      return answer(api.GET("/usage/searches", { params: { query }, signal }));
    },
    [address.toString()],
  );
  return (
    <>
      <h1>Searches</h1>
      <form class={styles.filters} onSubmit={(event) => event.preventDefault()}>
        <Choice label="By" options={BY} value={by} onChange={(value) => change({ by: value })} />
        <PeriodFields address={address} change={change} />
      </form>
      <Loaded data={pages}>
        {(sums) =>
          sums.items.length === 0 ? (
            <Empty title="Nobody searched in this period">
              <p>Searches are shown after a minute.</p>
            </Empty>
          ) : (
            <>
              {by === "day" && <Timeline sums={sums} />}
              <Rows rows={sums.items} by={by} />
              <More pages={pages} />
            </>
          )
        }
      </Loaded>
      <p class={styles.soft}>
        Only numbers are stored, never the words. Further pages of a search do not count. Too slow are searches that
        took longer than SEARCH_TIMEOUT.
      </p>
    </>
  );
}

function Timeline({ sums }: { sums: Sums }) {
  const { moments, series } = useMemo(() => {
    const rows = new Map(sums.items.map((row) => [Date.parse(row.key) / 1000, row]));
    const moments = momentsOf(sums.created_after, sums.created_before, "day");
    const values = (of: (row: Row) => number) => moments.map((at) => (rows.has(at) ? of(rows.get(at)!) : 0));
    const series: Series[] = [
      { name: "Searches", values: values((row) => row.searches), color: "--accent" },
      { name: "Found nothing", values: values((row) => row.unsuccessful), color: "--danger" },
    ];
    return { moments, series };
  }, [sums]);
  const total = sum(sums.items, (row) => row.searches);
  return (
    <Chart
      label={`${whole(total)} searches by day, those that found nothing in red. The table has the numbers.`}
      moments={moments}
      series={series}
    />
  );
}

function Rows({ rows, by }: { rows: Row[]; by: keyof typeof BY }) {
  const share = (row: Row) => `${whole(row.unsuccessful)} (${Math.round((100 * row.unsuccessful) / row.searches)} %)`;
  const columns = [
    { name: BY[by], cell: (row: Row) => (by === "kind" ? (KINDS[row.key] ?? row.key) : (row.name ?? row.key)) },
    { name: "Searches", cell: (row: Row) => whole(row.searches), numeric: true },
    { name: "Found nothing", cell: share, numeric: true },
    { name: "Too slow", cell: (row: Row) => whole(row.cancelled), numeric: true },
    { name: "On average", cell: (row: Row) => duration(row.seconds / row.searches), numeric: true },
  ];
  return <Table caption={`Searches by ${by}`} columns={columns} rows={rows} keyOf={(row) => row.key} />;
}
