import { useEffect } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { Button } from "../ui/button";
import { usePageTitle } from "../ui/page-title";
import { useResource } from "../ui/resource";
import { Time } from "../ui/time";
import styles from "./admin.module.css";
import { Figures } from "./figures";
import { duration, whole } from "./numbers";
import { Loaded, More, usePages } from "./pages";
import { type Column, Table } from "./table";

type Process = Schemas["Process"];
type Processes = Schemas["ProcessList"];

const PACE = 10_000; // milliseconds between two looks

/** Whether the service is well, and all of its processes. */
export default function Page() {
  usePageTitle("Health");
  const health = useResource(askHealth, []);
  const processes = usePages<Process, Processes>((cursor, signal) => {
    return answer(api.GET("/health/processes", { params: { query: cursor ? { cursor } : {} }, signal }));
  }, []);
  const refresh = () => (health.reload(), processes.reload());
  useEffect(() => {
    const timer = setInterval(() => document.hidden || refresh(), PACE);
    return () => clearInterval(timer);
  }, []);
  return (
    <>
      <div class={styles.head}>
        <h1>Health</h1>
        <Button onClick={refresh}>Refresh</Button>
      </div>
      <Loaded data={health}>{(found) => <Numbers {...found} />}</Loaded>
      <Loaded data={processes}>{(list) => <Rows list={list} />}</Loaded>
      <More pages={processes} />
      <p class={styles.soft}>
        Each process writes its row every ten seconds. One that died is shown for an hour. The page looks again every
        ten seconds.
      </p>
    </>
  );
}

async function askHealth(signal: AbortSignal) {
  const [health, version] = await Promise.all([
    answer(api.GET("/health", { signal })),
    answer(api.GET("/version", { signal })),
  ]);
  return { health, version };
}

function Numbers({ health, version }: { health: Schemas["Health"]; version: Schemas["Version"] }) {
  const numbers = {
    Service: health.status === "healthy" ? "Healthy" : "Degraded",
    Database: health.database_connected ? "Answers" : "Does not answer",
    Version: version.service_version,
    "amplifier-core": version.amplifier_core_version ?? "Not installed",
    "This process is up": duration(health.uptime),
  };
  return <Figures name="Health" values={numbers} isBad={(value) => /^(Degraded|Does not)/.test(value)} />;
}

function Rows({ list }: { list: Processes }) {
  const alive = list.items.filter((one) => one.is_alive);
  const columns: Column<Process>[] = [
    { name: "Process", cell: (row) => row.name + (row.process_id === list.process_id ? " (answers you)" : "") },
    { name: "State", cell: (row) => <State process={row} /> },
    { name: "Version", cell: (row) => row.version },
    { name: "Queries", cell: (row) => <code>{row.queries_hash}</code> },
    { name: "Started", cell: (row) => <Time at={row.started_at} /> },
    { name: "Last sign", cell: (row) => <Time at={row.seen_at} /> },
    { name: "Runs", cell: (row) => whole(row.runs), numeric: true },
    { name: "Streams", cell: (row) => whole(row.streams), numeric: true },
    {
      name: "Connections in use",
      cell: (row) => `${row.connections_in_use} of ${row.most_connections}`,
      numeric: true,
    },
  ];
  const sets = new Set(alive.map((one) => one.queries_hash));
  return (
    <>
      <Table
        caption={`${alive.length} ${alive.length === 1 ? "process" : "processes"} alive`}
        columns={columns}
        rows={list.items}
        keyOf={(row) => row.process_id}
      />
      {sets.size > 1 && (
        <p class={styles.bad}>
          The processes serve different queries. Give all nodes the same files, and run amplifier-api queries reload.
        </p>
      )}
    </>
  );
}

function State({ process }: { process: Process }) {
  if (!process.is_alive) return <span class={styles.bad}>Died</span>;
  return process.is_accepting ? <span class={styles.good}>Alive</span> : <span>Stopping</span>;
}
