import { Button } from "./button";
import { notify } from "./toast";

/** Puts a text on the clipboard and says so. */
export async function copy(text: string, what = "text"): Promise<void> {
  if (!isSecureContext) throw new Error("Browsers copy only on pages with https. Open the console by https.");
  await navigator.clipboard.writeText(text);
  notify(`Copied the ${what}`);
}

/** A button that copies a text. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  return (
    <Button kind="quiet" aria-label={`Copy the ${what}`} onClick={() => copy(text, what)}>
      Copy
    </Button>
  );
}
