import { useMemo } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { Empty } from "../ui/empty";
import { usePageTitle } from "../ui/page-title";
import { useAddress } from "./address";
import styles from "./admin.module.css";
import { Chart, momentsOf, type Series } from "./chart";
import { Choice, one } from "./choice";
import { Figures } from "./figures";
import { duration, sum, whole } from "./numbers";
import { Loaded, More, usePages } from "./pages";
import { boundsOf, PeriodFields } from "./period";
import { type Column, Table } from "./table";

type Row = Schemas["UsageRow"];
type Sums = Schemas["UsageList"];

const BY = { day: "Day", hour: "Hour", user: "User", application: "Application", config: "Config", model: "Model" };
const SORTS = { total_tokens: "Tokens", runs: "Runs", messages: "Messages" };

/** Runs, tokens and messages of a period: over time, or by user, application, config or model. */
export default function Page() {
  usePageTitle("Usage");
  const [address, change] = useAddress();
  const by = one(BY, address.get("by"), "day");
  const timed = by === "day" || by === "hour";
  const counted = by !== "config" && by !== "model";
  const chosen = one(SORTS, address.get("sort"), "total_tokens");
  const sort = counted || chosen !== "messages" ? chosen : "total_tokens";
  const pages = usePages<Row, Sums>(
    (cursor, signal) => {
      const limit = timed ? 1000 : 50;
      const query = { ...boundsOf(address), by, limit, ...(timed ? {} : { sort }), ...(cursor ? { cursor } : {}) };
      return answer(api.GET("/usage", { params: { query }, signal }));
    },
    [address.toString()],
  );
  return (
    <>
      <h1>Usage</h1>
      <form class={styles.filters} onSubmit={(event) => event.preventDefault()}>
        <Choice label="By" options={BY} value={by} onChange={(value) => change({ by: value })} />
        <Choice
          label={timed ? "In the chart" : "Most first by"}
          options={counted ? SORTS : { total_tokens: SORTS.total_tokens, runs: SORTS.runs }}
          value={sort}
          onChange={(value) => change({ sort: value })}
        />
        <PeriodFields address={address} change={change} />
      </form>
      <Loaded data={pages}>
        {(sums) =>
          sums.items.length === 0 ? (
            <Empty title="Nothing happened in this period">
              <p>Choose a longer one.</p>
            </Empty>
          ) : (
            <>
              {timed && !sums.next && <Totals rows={sums.items} />}
              {timed && <Timeline sums={sums} step={by} sort={sort} />}
              <Table
                caption={`Usage by ${by}${timed ? ", in UTC" : ""}`}
                columns={columns(by)}
                rows={sums.items}
                keyOf={(row) => row.key}
              />
              <More pages={pages} />
            </>
          )
        }
      </Loaded>
      <p class={styles.soft}>Sessions that were deleted no longer count. Tokens are those that providers report.</p>
    </>
  );
}

function Totals({ rows }: { rows: Row[] }) {
  const numbers = {
    Runs: whole(sum(rows, (row) => row.runs)),
    Failed: whole(sum(rows, (row) => row.runs_failed)),
    Messages: whole(sum(rows, (row) => row.messages)),
    Tokens: whole(sum(rows, (row) => row.total_tokens)),
    "Time in models": duration(sum(rows, (row) => row.model_seconds)),
  };
  return <Figures name="In this period" values={numbers} />;
}

function Timeline({ sums, step, sort }: { sums: Sums; step: "day" | "hour"; sort: keyof typeof SORTS }) {
  const { moments, series } = useMemo(() => {
    const rows = new Map(sums.items.map((row) => [Date.parse(row.key) / 1000, row]));
    const start = sums.next ? sums.items.at(-1)!.key : sums.created_after; // earlier ones are not loaded
    const moments = momentsOf(start, sums.created_before, step);
    const values = (of: (row: Row) => number | null) =>
      moments.map((at) => (rows.has(at) ? (of(rows.get(at)!) ?? 0) : 0));
    const series: Series[] = [{ name: SORTS[sort], values: values((row) => row[sort]), color: "--accent" }];
    if (sort === "runs") series.push({ name: "Failed", values: values((row) => row.runs_failed), color: "--danger" });
    return { moments, series };
  }, [sums, step, sort]);
  const failed = sort === "runs" ? ", failed ones in red" : "";
  return (
    <Chart label={`${SORTS[sort]} by ${step}${failed}. The table has the numbers.`} moments={moments} series={series} />
  );
}

function columns(by: keyof typeof BY): Column<Row>[] {
  const numbers: [string, (row: Row) => string][] = [
    ["Runs", (row) => whole(row.runs)],
    ["Failed", (row) => whole(row.runs_failed)],
    ["Cancelled", (row) => whole(row.runs_cancelled)],
    ["Messages", (row) => whole(row.messages)],
    ["Tokens", (row) => whole(row.total_tokens)],
    ["Read", (row) => whole(row.input_tokens)],
    ["From cache", (row) => whole(row.cache_read_tokens)],
    ["Written", (row) => whole(row.output_tokens)],
    ["Model calls", (row) => whole(row.model_calls)],
    ["In models", (row) => duration(row.model_seconds)],
    ["Tool calls", (row) => whole(row.tool_calls)],
    ["In tools", (row) => duration(row.tool_seconds)],
  ];
  const left = { config: ["Messages"], model: ["Messages", "Tool calls", "In tools"] }[by as string] ?? [];
  return [
    { name: BY[by], cell: (row) => <Key row={row} by={by} /> },
    ...numbers.filter(([name]) => !left.includes(name)).map(([name, cell]) => ({ name, cell, numeric: true })),
  ];
}

function Key({ row: { key, name }, by }: { row: Row; by: string }) {
  if (by === "hour") return <>{key.slice(0, 16).replace("T", " ")}</>;
  if (key === "") return <>No config</>;
  return name && name !== key ? <span title={key}>{name}</span> : <>{key}</>;
}
