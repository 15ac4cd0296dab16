// Shows one cross-hair in all charts of time: the line of a bucket that is under the pointer in one of them.
import type { View } from "vega";

/** The parameter of a chart of time that has the start of the bucket under the pointer. */
const CROSS = "cross";
const views = new Set<View>();
let shown: number | null = null;

/** Adds a chart; one without the parameter has no cross-hair. */
export function join(view: View): void {
  const { signals } = view.getState({ signals: (name) => name === CROSS, data: () => false, recurse: false });
  if (CROSS in (signals as object)) views.add(view);
}

export function leave(view: View): void {
  views.delete(view);
}

/** Moves the cross-hair of all charts to a time; null hides it. */
export function point(from: View, time: number | null): void {
  if (!views.has(from) || time === shown) return;
  shown = time;
  for (const view of views) void view.signal(CROSS, time).runAsync();
}
