/** Code of pages, as it is written there. */

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild-wasm";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));
const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));

/** Returns the block of a page that is marked with this word, as in "```ts route". */
export function block(page: string, mark: string): string {
  const found = new RegExp(`^\`\`\`tsx? ${mark}\\n(.*?)^\`\`\``, "ms").exec(readFileSync(ROOT + page, "utf8"));
  if (!found) throw new Error(`${page} has no block ${mark}`);
  return found[1]!;
}

/** Returns the lines that a block without types prints, each as the list of its values. */
export async function printed(code: string, environ: Record<string, string> = {}): Promise<unknown[][]> {
  const head = `console.log = (...values) => process.stdout.write(JSON.stringify(values) + "\\n");\n`;
  const env = { ...process.env, ...environ };
  const output = await new Promise<string>((resolve, reject) => {
    const options = { cwd: PACKAGE, env, timeout: 60_000 };
    const child = execFile(process.execPath, ["--input-type=module"], options, (error, stdout, stderr) =>
      error ? reject(new Error(stdout + stderr)) : resolve(stdout),
    );
    child.stdin!.end(head + code);
  });
  const lines = output.split("\n").filter(Boolean);
  return lines.map((line) => JSON.parse(line));
}

/** Returns a module in which blocks of a page and further files, by their names, are bundled. */
export async function bundled(
  page: string,
  blocks: Record<string, string>,
  files: Record<string, string>,
  entry: string,
  platform: "browser" | "node" = "browser",
): Promise<string> {
  const all = { ...files };
  for (const [mark, name] of Object.entries(blocks)) all[name] = block(page, mark);
  const written: Plugin = {
    name: "written",
    setup(builder) {
      builder.onResolve({ filter: /^\.\/\w+(\.tsx?)?$/ }, ({ path, namespace, importer }) => {
        if (namespace !== "written" && importer) return undefined;
        const name = path.slice(2);
        return {
          path: name in all ? name : Object.keys(all).find((one) => one.startsWith(`${name}.`))!,
          namespace: "written",
        };
      });
      builder.onLoad({ filter: /.*/, namespace: "written" }, ({ path }) => ({
        contents: all[path]!,
        loader: path.endsWith("x") ? "tsx" : "ts",
        resolveDir: dirname(PACKAGE + "x"),
      }));
    },
  };
  const result = await build({
    entryPoints: [`./${entry}`],
    plugins: [written],
    absWorkingDir: PACKAGE,
    bundle: true,
    write: false,
    platform,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    define: platform === "browser" ? { "process.env.NODE_ENV": '"production"' } : {},
    packages: platform === "node" ? "external" : "bundle",
    logLevel: "silent",
  });
  return result.outputFiles![0]!.text;
}
