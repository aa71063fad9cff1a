// Reads a JSON array of messages from the standard input, and writes what the console's reader makes of each.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { read } = await import(pathToFileURL(process.argv[2]).href);
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(read)));
