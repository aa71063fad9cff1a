import { signal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { pageTitle } from "../ui/page-title";

const said = signal("");

/** Moves the focus to a page's heading when its address is opened from another page, as a browser does with documents. */
export function Arrival() {
  const path = useRef(location.pathname);
  useSignalEffect(() => {
    const { title } = pageTitle.value;
    if (path.current === location.pathname) return;
    path.current = location.pathname;
    arrive(title);
  });
  return (
    <p class="visually-hidden" aria-live="polite">
      {said.value}
    </p>
  );
}

/** Focuses the heading, which screen readers then read. A page without one yet is named aloud instead. */
function arrive(title: string): void {
  const main = document.getElementById("main")!;
  main.scrollTop = 0;
  said.value = "";
  if (main.contains(document.activeElement) && document.activeElement !== main) return; // the page has chosen
  const heading = main.querySelector("h1");
  if (heading) heading.tabIndex = -1;
  else said.value = title;
  (heading ?? main).focus({ preventScroll: true });
}
