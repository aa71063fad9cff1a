import { Component, type ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { BASE } from "../base";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { usePageTitle } from "../ui/page-title";
import { reachable } from "../api/reachable";

interface Props {
  /** The address of what is inside; at another one it is rendered anew. */
  at: string;
  children: ComponentChildren;
}

/** Shows what broke in place of it, and lets the rest of the page live. */
export class Boundary extends Component<Props, { error: unknown }> {
  override state: { error: unknown } = { error: undefined };

  static override getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override componentDidCatch(error: unknown) {
    if (!isMissingChunk(error)) console.error(error);
  }

  override componentDidUpdate(former: Props) {
    if (former.at !== this.props.at && this.state.error !== undefined) this.setState({ error: undefined });
  }

  override render() {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    if (isMissingChunk(error)) return <Missing />;
    return <Broken error={error} retry={() => this.setState({ error: undefined })} />;
  }
}

/** Returns whether a part of the console could not be loaded. Each browser says it in other words. */
function isMissingChunk(error: unknown): boolean {
  return error instanceof Error && /dynamically imported module|importing a module script|preload/i.test(error.message);
}

function Broken({ error, retry }: { error: unknown; retry: () => void }) {
  usePageTitle("Error");
  return (
    <>
      <h1>This page does not work</h1>
      <ErrorNote error={error} retry={retry} />
    </>
  );
}

/** A page whose script is gone, as after an upgrade, is loaded anew at once; otherwise a button does it. */
function Missing() {
  usePageTitle("Not loaded");
  useEffect(() => void upgraded().then((is) => is && location.reload()), []);
  return (
    <>
      <h1>This page could not be loaded</h1>
      <p>
        {reachable.value
          ? "The console may have been replaced by a newer one."
          : "Its script is not in the browser yet, and the service does not answer."}
      </p>
      <p>
        <Button kind="primary" onClick={() => location.reload()}>
          Load it again
        </Button>
      </p>
    </>
  );
}

/** Returns whether the service has another build of the console than the one that runs. */
async function upgraded(): Promise<boolean> {
  const page = await fetch(`${BASE}/`, { cache: "no-store" }).then(
    (response) => (response.ok ? response.text() : ""),
    () => "",
  );
  const running = document.querySelector<HTMLScriptElement>("script[type=module][src]")?.src.split("/").at(-1);
  return page.includes("<script") && running !== undefined && !page.includes(running);
}
