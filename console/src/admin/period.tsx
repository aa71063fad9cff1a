import { Field } from "../ui/field";

/** The bounds of a period, as lists and sums take them. */
export interface Bounds {
  created_after?: string;
  created_before?: string;
}

const DAY = 86_400_000; // milliseconds
const CHOICES = [7, 30, 90, 365];

/** Returns the bounds that an address names: the last `days`, or the days `from` and `to` in UTC. */
export function boundsOf(address: URLSearchParams): Bounds {
  const [from, to] = [address.get("from"), address.get("to")];
  if (from || to)
    return {
      ...(from ? { created_after: `${from}T00:00:00Z` } : {}),
      ...(to ? { created_before: new Date(Date.parse(`${to}T00:00:00Z`) + DAY).toISOString() } : {}),
    };
  const days = Number(address.get("days") ?? 30);
  return { created_after: `${new Date(Date.now() - (days - 1) * DAY).toISOString().slice(0, 10)}T00:00:00Z` };
}

interface Props {
  address: URLSearchParams;
  change: (values: Record<string, string | null>) => void;
}

/** The choice of a period, in whole days of UTC. */
export function PeriodFields({ address, change }: Props) {
  const other = address.has("from") || address.has("to");
  const today = new Date().toISOString().slice(0, 10);
  const dated = (name: string) => (event: { currentTarget: HTMLInputElement }) =>
    change({ [name]: event.currentTarget.value || null });
  return (
    <>
      <Field label="Period">
        <select
          value={other ? "other" : (address.get("days") ?? "30")}
          onChange={({ currentTarget: { value } }) =>
            change(value === "other" ? { days: null, from: today, to: today } : { days: value, from: null, to: null })
          }
        >
          {CHOICES.map((days) => (
            <option key={days} value={days}>
              Last {days} days
            </option>
          ))}
          <option value="other">Other days</option>
        </select>
      </Field>
      {other && (
        <>
          <Field label="From">
            <input type="date" value={address.get("from") ?? ""} max={today} onChange={dated("from")} />
          </Field>
          <Field label="To">
            <input type="date" value={address.get("to") ?? ""} max={today} onChange={dated("to")} />
          </Field>
        </>
      )}
    </>
  );
}
