/** Messages in parts that fit into one request each. */

const MOST = 1000;
const SIZE = 7_000_000; // bytes as JSON, below the 8 MB of a request

/** Yields lists of at most `most` messages and, where a message is not larger by itself, `size` bytes. */
export function* batches<T extends object>(messages: readonly T[], most = MOST, size = SIZE): Generator<T[]> {
  let batch: T[] = [];
  let sum = 0;
  for (const message of messages) {
    const bytes = encoder.encode(JSON.stringify(message)).length + 1;
    if (batch.length && (batch.length === most || sum + bytes > size)) {
      yield batch;
      batch = [];
      sum = 0;
    }
    batch.push(message);
    sum += bytes;
  }
  if (batch.length) yield batch;
}

const encoder = new TextEncoder();
