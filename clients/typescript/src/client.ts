/** The client: sessions by key or id, lists, and search over all of them. */

import { Http, type Options, type Query } from "./http.js";
import type { openapi } from "./openapi-names.js";
import { existing, Session } from "./session.js";

/** A service as one caller sees it. Without options the settings come from environment variables. */
export class Amplifier {
  readonly http: Http;

  constructor(options: Options = {}) {
    this.http = new Http(options);
  }

  /**
   * Returns the caller's session with this key, of 1 to 512 characters.
   *
   * It is made with `create` when it is used first, unless it is there. Of several callers at once, one makes it.
   */
  session(key: string, create?: openapi.CreateSession): Session {
    return new Session(this.http, key, null, create);
  }

  /** Returns the session with this id, the caller's own or a shared one. */
  sessionById(session_id: string): Session {
    return new Session(this.http, null, session_id);
  }

  /** Returns the session with this key, or null if there is none. Makes none. */
  async find(key: string): Promise<Session | null> {
    const found = await existing(this.http, key);
    return found && new Session(this.http, key, found.session_id);
  }

  /** Yields the sessions in which the caller takes part. Filters are those of `GET /sessions`. */
  async *sessions(query: Query = {}): AsyncGenerator<openapi.SessionSummary> {
    for (let cursor: string | null | undefined; cursor !== null;) {
      const page: openapi.SessionList = await this.http.json("GET", "/sessions", {
        query: { limit: 100, ...query, cursor },
      });
      yield* page.sessions;
      cursor = page.next;
    }
  }

  /** Finds what was said in all sessions of the caller, best first. */
  async search(q: string, query: Query = {}): Promise<openapi.SearchResults> {
    return this.http.json("GET", "/search", { query: { q, ...query } });
  }

  /** Makes a config, which describes an agent. */
  async createConfig(config: openapi.CreateConfig): Promise<openapi.Config> {
    return this.http.json("POST", "/configs", { body: config, once: true });
  }
}
