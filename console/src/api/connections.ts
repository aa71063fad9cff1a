/** One connection for live events: a WebSocket with a ticket, or server-sent events. `follow.ts` comes back when it ends. */

import { ConnectionError } from "amplifier-client/errors";
import { eventsOf } from "amplifier-client/events";
import { joined } from "amplifier-client/http";
import { SERVICE } from "../base";
import { http } from "./client";

/** An event of a stream. Those with a `seq` arrive once and in order. */
export interface LiveEvent {
  type: string;
  seq: number | null;
  data: any;
}

/** A note to the service, such as `{ type: "typing" }`. */
export type Say = (note: Record<string, unknown>) => void;

/** A connection that is to be made. */
export interface Opening {
  /** The path of the session, or "" for hints about all sessions. */
  base: string;
  /** The number after which the events begin. */
  after: number | null;
  signal: AbortSignal;
  /** Called when the connection is there; null: it cannot carry notes. */
  opened: (say: Say | null) => void;
  take: (event: LiveEvent) => void;
}

const LIMIT = 15_000; // milliseconds until a connection is there
const RESTART = 1012; // why a socket was closed: the service stops, and all of its clients come back

/** The service is there, but a socket was not opened. */
export class NotOpened extends ConnectionError {
  override name = "NotOpened";
}

/** Returns when the connection has ended. Throws ProblemError and ConnectionError when it was not made. */
export async function bySocket({ base, after, signal, opened, take }: Opening): Promise<void> {
  const { ticket } = await http.json<{ ticket: string }>("POST", `${base}/events/ticket`, { signal });
  const query = new URLSearchParams({ ticket, ...(after === null ? {} : { after: String(after) }) });
  await new Promise<void>((resolve, reject) => {
    const socket = new WebSocket(`${SERVICE.replace(/^http/, "ws")}${base}/ws?${query}`);
    const end = () => (socket.close(), closed());
    const timer = setTimeout(end, LIMIT);
    let isOpen = false;
    const closed = () => {
      socket.onmessage = null; // a socket that is closing may still receive
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      if (isOpen) resolve();
      else reject(new NotOpened("The connection was not made"));
    };
    signal.addEventListener("abort", end);
    socket.onopen = () => {
      isOpen = true;
      clearTimeout(timer);
      opened((note) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(note)));
    };
    socket.onmessage = ({ data }) => {
      const { seq = null, ...event } = JSON.parse(data as string);
      take({ ...event, seq });
    };
    socket.onclose = ({ code }) => (code === RESTART ? setTimeout(closed, 500 + Math.random() * 2500) : closed());
  });
}

/** The same over HTTP. */
export async function byEvents({ base, after, signal, opened, take }: Opening): Promise<void> {
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), LIMIT);
  const parts = { query: { after }, signal: joined(signal, end.signal) };
  const response = await http.open("GET", `${base}/events`, parts).finally(() => clearTimeout(timer));
  opened(null);
  for await (const { id, type, data } of eventsOf(response.body!, end)) {
    take({ type, seq: id === null ? null : Number(id), data: JSON.parse(data) });
  }
}
