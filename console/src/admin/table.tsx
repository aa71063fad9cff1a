import type { ComponentChildren } from "preact";
import styles from "./admin.module.css";

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  numeric?: boolean;
}

interface Props<T> {
  /** Says what the rows are. */
  caption: string;
  /** The first column names the row. */
  columns: Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
}

/** A table that scrolls by itself where it is wider than the page. */
export function Table<T>({ caption, columns, rows, keyOf }: Props<T>) {
  const numeric = (column: Column<T>) => column.numeric || undefined;
  return (
    <div class={styles.scroll} tabIndex={0} role="region" aria-label={caption}>
      <table class={styles.table}>
        <caption>{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.name} scope="col" data-numeric={numeric(column)}>
                {column.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column, place) =>
                place === 0 ? (
                  <th key={column.name} scope="row">
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.name} data-numeric={numeric(column)}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
