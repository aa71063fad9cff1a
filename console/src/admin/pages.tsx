import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import { type Resource, useResource } from "../ui/resource";

interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Pages<T, P extends Page<T> = Page<T>> extends Resource<P> {
  /** Loads one more page. */
  more: () => Promise<void>;
}

/** Loads a list page by page, from the first one again whenever one of `inputs` changes. */
export function usePages<T, P extends Page<T>>(
  load: (cursor: string | undefined, signal?: AbortSignal) => Promise<P>,
  inputs: readonly unknown[],
): Pages<T, P> {
  const list = useResource((signal) => load(undefined, signal), inputs);
  const shown = useRef(list.data);
  shown.current = list.data;
  async function more() {
    const former = list.data!;
    const page = await load(former.next!);
    if (shown.current === former) list.set({ ...page, items: [...former.items, ...page.items] });
  }
  return { ...list, more };
}

interface Props<P> {
  data: Resource<P>;
  children: (data: P) => ComponentChildren;
}

/** Shows data, or the state of it that is on its way or could not be loaded. */
export function Loaded<P>({ data: { data, error, reload }, children }: Props<P>) {
  return (
    <>
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      {data !== undefined ? children(data) : error === undefined && <Loading />}
    </>
  );
}

/** The button that loads one more page of a list, if there is one. */
export function More<T, P extends Page<T>>({ pages }: { pages: Pages<T, P> }) {
  return pages.data?.next ? (
    <div>
      <Button onClick={pages.more}>Show more</Button>
    </div>
  ) : null;
}
