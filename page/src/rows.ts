// Updates the rows of a chart in place, so that what did not change is not drawn again.
import { type View, changeset } from "vega";

/** The columns of a table by their names. Times are milliseconds since 1970. */
export type Columns = Record<string, unknown[]>;
type Row = Record<string, unknown>;

/**
 * Changes the rows of a part of a chart's data to those of a table, and returns whether any has changed. Rows are
 * matched by their positions.
 */
export function update(view: View, name: string, columns: Columns): boolean {
  const rows = fromColumns(columns);
  const old = (view.data(name) as Row[] | null) ?? [];
  const changes = changeset();
  let isChanged = rows.length !== old.length;
  const common = Math.min(old.length, rows.length);
  for (let at = 0; at < common; at++) {
    const [before, now] = [old[at]!, rows[at]!];
    for (const field in now) {
      if (isSame(before[field], now[field])) continue;
      changes.modify(before, field, now[field]);
      isChanged = true;
    }
  }
  if (rows.length > common) changes.insert(rows.slice(common));
  if (old.length > common) changes.remove(old.slice(common));
  if (isChanged) view.change(name, changes);
  return isChanged;
}

function fromColumns(columns: Columns): Row[] {
  const names = Object.keys(columns);
  const length = columns[names[0] ?? ""]?.length ?? 0;
  return Array.from({ length }, (_, at) => Object.fromEntries(names.map((name) => [name, columns[name]![at]])));
}

function isSame(before: unknown, now: unknown): boolean {
  return before === now || (typeof now === "object" && JSON.stringify(before) === JSON.stringify(now));
}
