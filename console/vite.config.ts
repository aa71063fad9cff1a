import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const service = process.env["AMPLIFIER"] ?? "http://127.0.0.1:8765";
const client = fileURLToPath(new URL("../clients/typescript/src", import.meta.url));

const BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 7 } }; // 11 saves 7 % more, in twenty times the time

/** Writes the compressed forms of what was built beside it, which the service sends as they are. */
const compressed: Plugin = {
  name: "compressed",
  writeBundle({ dir }, bundle) {
    for (const [name, file] of Object.entries(bundle)) {
      const content = Buffer.from(file.type === "chunk" ? file.code : file.source);
      if (name === "index.html" || content.length < 1024) continue;
      writeFileSync(`${dir}/${name}.gz`, gzipSync(content, { level: 9 }));
      writeFileSync(`${dir}/${name}.br`, brotliCompressSync(content, BROTLI));
    }
  },
};

export default defineConfig(({ command }) => ({
  // a built page finds its files beside itself, wherever the service is mounted
  base: command === "build" ? "./" : "/console/",
  plugins: [compressed],
  resolve: {
    alias: [
      { find: /^amplifier-client\//, replacement: `${client}/` },
      { find: "react/jsx-runtime", replacement: "preact/jsx-runtime" },
      { find: /^react(-dom)?$/, replacement: "preact/compat" },
    ],
  },
  build: {
    outDir: "../amplifier/static/console",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0, // the policy forbids scripts and styles in the page
    modulePreload: { polyfill: false },
    license: { fileName: "licenses.txt" },
    rolldownOptions: { checks: { bundlerTimings: false } },
  },
  worker: { format: "es" },
  // everything but the page comes from a service, as where it is built in
  server: { proxy: { "^/(?!console(/|$)|@|node_modules/)": { target: service, ws: true } }, fs: { allow: [".."] } },
}));
