/** Runs the test files, all of them or those that are named, against one service. */

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Service } from "./service.js";

const folder = fileURLToPath(new URL(".", import.meta.url));
const named = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".test.js") && (named.length === 0 || named.some((one) => name.startsWith(one))))
  .map((name) => folder + name);
const service = await Service.started();
try {
  const env = { ...process.env, AMPLIFIER_URL: service.url };
  const tests = spawn(process.execPath, ["--test", "--test-reporter=spec", "--test-concurrency=2", ...files], {
    env,
    stdio: "inherit",
  });
  process.exitCode = await new Promise((resolve) => tests.once("exit", (code) => resolve(code ?? 1)));
} finally {
  await service.stop();
}
