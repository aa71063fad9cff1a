import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { theme } from "../shell/theme";
import styles from "./admin.module.css";
import { short } from "./numbers";

const DAY = 86_400; // seconds
const DAYS = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", timeZone: "UTC" });
const HOURS = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "numeric",
  hourCycle: "h23",
  timeZone: "UTC",
});

export interface Series {
  name: string;
  values: number[];
  /** The token of the style that colours it. */
  color: "--accent" | "--danger";
}

interface Props {
  /** Says what is shown, and where the same numbers are for those who do not see it. */
  label: string;
  /** Moments in seconds since 1970, ascending. */
  moments: number[];
  series: Series[];
}

/** Bars over time, in UTC. A table beside it has the same numbers. */
export function Chart({ label, moments, series }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const dark = useDark();
  useEffect(() => {
    const place = element.current!;
    const size = moments.length > 1 ? moments[1]! - moments[0]! : DAY;
    const chart = new uPlot(options(place, series, size), [moments, ...series.map(({ values }) => values)], place);
    const watcher = new ResizeObserver(() => chart.setSize({ width: place.clientWidth, height: place.clientHeight }));
    watcher.observe(place);
    return () => (watcher.disconnect(), chart.destroy());
  }, [moments, series, theme.value, dark]);
  return <div ref={element} class={styles.chart} role="img" aria-label={label} />;
}

function options(place: HTMLElement, series: Series[], size: number): uPlot.Options {
  const names = size < DAY ? HOURS : DAYS;
  const color = (name: string) => colorOf(place, name);
  const axis = { stroke: color("--text-soft"), grid: { stroke: color("--border"), width: 1 }, ticks: { show: false } };
  const paths = uPlot.paths.bars!({ size: [0.8, 48] });
  return {
    width: place.clientWidth,
    height: place.clientHeight,
    tzDate: (moment) => uPlot.tzDate(new Date(moment * 1000), "Etc/UTC"),
    legend: { show: false },
    cursor: { show: false },
    // half a bar of room at both ends
    scales: {
      x: { range: (_, from, to) => [from - size / 2, to + size / 2] },
      y: { range: (_, __, most) => [0, Math.max(1, most * 1.05)] },
    },
    axes: [
      { ...axis, space: 72, values: (_, splits) => splits.map((moment) => names.format(moment * 1000)) },
      { ...axis, size: 56, values: (_, splits) => splits.map(short) },
    ],
    series: [
      {},
      ...series.map((one) => ({
        label: one.name,
        paths,
        points: { show: false },
        fill: color(one.color),
        stroke: color(one.color),
        width: 0,
      })),
    ],
  };
}

/** Returns a colour of the style as a canvas takes it: that of the light or the dark page, whichever is shown. */
function colorOf(place: HTMLElement, name: string): string {
  place.style.color = `var(${name})`;
  const { color } = getComputedStyle(place);
  place.style.color = "";
  return color;
}

/** Returns whether the system asks for a dark page: colours of a canvas do not follow by themselves. */
function useDark(): boolean {
  const [query] = useState(() => matchMedia("(prefers-color-scheme: dark)"));
  const [dark, setDark] = useState(query.matches);
  useEffect(() => {
    const changed = () => setDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return dark;
}

/** Returns the moments of all days or hours of a period that have begun, ascending. */
export function momentsOf(from: string, to: string, step: "day" | "hour"): number[] {
  const size = step === "day" ? DAY : 3_600;
  const end = Math.min(Date.parse(to), Date.now()) / 1000;
  const start = Math.floor(Date.parse(from) / 1000 / size) * size;
  return Array.from({ length: Math.max(0, Math.ceil((end - start) / size)) }, (_, place) => start + place * size);
}
