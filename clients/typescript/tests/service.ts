/** A service of this checkout with an embedded PostgreSQL in a temporary folder, for tests. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const PROGRAM = process.env["AMPLIFIER_API"] ?? join(ROOT, ".venv/bin/amplifier-api");
const LIMIT = 180_000; // milliseconds; several processes start slowly on a busy machine

export class Service {
  #process: ChildProcess | null = null;
  #output = "";
  #stopped = false;

  private constructor(
    readonly url: string,
    private readonly folder: string,
    private readonly settings: Record<string, string>,
  ) {}

  /** Starts a service and returns when it serves. */
  static async started(settings: Record<string, string> = {}): Promise<Service> {
    const folder = mkdtempSync(join(tmpdir(), "amplifier-client-"));
    chmodSync(folder, 0o755); // PostgreSQL works as another user where root runs the tests
    const port = await freePort();
    const all = { AMPLIFIER_HOME: join(folder, "home"), SERVICE_PORT: String(port), LOG_LEVEL: "warning", ...settings };
    const service = new Service(`http://127.0.0.1:${port}`, folder, all);
    await service.start().catch(async (error: unknown) => {
      await service.stop();
      throw error;
    });
    return service;
  }

  /** Starts the process, also again after `interrupt`. */
  async start(): Promise<void> {
    const child = spawn(PROGRAM, ["serve"], { cwd: this.folder, env: this.#environment(), stdio: "pipe" });
    this.#process = child;
    child.stdout.on("data", (text) => (this.#output += text));
    child.stderr.on("data", (text) => (this.#output += text));
    const deadline = Date.now() + LIMIT;
    while (
      !(await fetch(`${this.url}/health/ready`).then(
        (answer) => answer.ok,
        () => false,
      ))
    ) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`no service:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Ends the process with SIGTERM and waits for it. The data stays. */
  async interrupt(): Promise<void> {
    const child = this.#process;
    if (child === null || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.interrupt();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a command of `amplifier-api` on this service's data and returns what it prints. */
  command(...args: string[]): string {
    const done = spawnSync(PROGRAM, args, {
      cwd: this.folder,
      env: this.#environment(),
      encoding: "utf8",
      timeout: LIMIT,
    });
    if (done.status !== 0) throw new Error(done.stdout + done.stderr);
    return done.stdout.trim();
  }

  #environment(): Record<string, string> {
    const { PATH = "", HOME = "" } = process.env;
    return { PATH, HOME, ...this.settings };
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
