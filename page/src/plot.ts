// Draws a chart, and keeps it while its data changes: a refresh updates its rows in place.
import { Error as ERRORS, View, loader, logger, parse } from "vega";
import { type TopLevelSpec, compile } from "vega-lite";
import { Handler } from "vega-tooltip";
import { join, leave } from "./cross";
import { walk } from "./keys";
import type { Place } from "./board";
import { Pointer } from "./pointer";
import { type Columns, update } from "./rows";
import { addStyle } from "./style";
import { theme } from "./theme";

export interface PlotData {
  kind: "plot";
  /** A Vega-Lite specification whose data has only names. */
  spec: TopLevelSpec & { height?: number | object };
  /** The data of each name. */
  tables: Record<string, Columns>;
  /** The values of parameters of the specification. */
  signals: Record<string, unknown>;
  /** What the chart shows, for screen readers. */
  description: string;
  /** The columns whose values a click on a mark sends; without any, a click sends nothing. */
  pick: string[];
  /** Whether dragging selects a range of the horizontal axis, which is of time. */
  zooms: boolean;
}

/** A chart on the page. */
interface Plot {
  box: HTMLElement;
  view: View;
  pointer: Pointer;
  /** From what the view was made. A change of it makes a new view. */
  made: string;
  /** Ends the observation of the width. */
  end: () => void;
  /** Whether it was drawn once, at least without rows. */
  isDrawn: boolean;
  /** Is done when the chart has been drawn with the data that came last. */
  drawn: Promise<void>;
}

const plots = new WeakMap<HTMLElement, Plot>();
/** Files beside this one, such as the coastlines. */
const files = loader({ baseURL: new URL(".", import.meta.url).href });

export function drawPlot(place: Place<PlotData>): () => void {
  const { data, parentElement } = place;
  const config = theme(parentElement);
  const made = JSON.stringify([data.spec, config, data.description]);
  let plot = plots.get(parentElement);
  if (plot?.made !== made) {
    remove(parentElement);
    plot = create(place, made, config);
    plots.set(parentElement, plot);
  }
  const current = plot;
  current.pointer.send = (name, value) => place.send(name, value);
  // Rows are compared with those that are drawn, so one update waits for the one before.
  current.drawn = current.drawn.then(() => refresh(current, data));
  return () => remove(parentElement);
}

function create({ data, parentElement }: Place<PlotData>, made: string, config: object): Plot {
  addStyle();
  const box = document.createElement("div");
  box.className = `ccs-plot${data.zooms ? " ccs-zooms" : ""}`;
  parentElement.append(box);
  // A chart whose height follows from its rows keeps that height.
  const isStepped = typeof data.spec.height === "object";
  const spec: TopLevelSpec = {
    ...data.spec,
    width: box.clientWidth || 300,
    autosize: { type: isStepped ? "fit-x" : "fit", contains: "padding" },
    description: data.description,
  };
  if (!("data" in spec) || !spec.data) Object.assign(spec, { data: { name: "rows" } });
  // Vega-Lite warns of every chart whose height follows from its rows.
  const compiled = compile(spec, { config, logger: isStepped ? logger(ERRORS) : undefined });
  const view = new View(parse(compiled.spec), { renderer: "svg", loader: files, hover: true });
  view.tooltip(new Handler({ theme: isDark(parentElement) ? "dark" : "light" }).call).initialize(box);
  const pointer = new Pointer(view, box, data);
  join(view);
  const observer = new ResizeObserver(() => {
    if (box.clientWidth && box.clientWidth !== view.width()) void view.width(box.clientWidth).runAsync();
  });
  observer.observe(box);
  return { box, view, pointer, made, end: () => observer.disconnect(), isDrawn: false, drawn: Promise.resolve() };
}

async function refresh(plot: Plot, data: PlotData): Promise<void> {
  const { view, box, pointer } = plot;
  // The chart was removed while its last update was drawn.
  if (!box.isConnected) return;
  let isChanged = !plot.isDrawn;
  for (const [name, columns] of Object.entries(data.tables)) isChanged = update(view, name, columns) || isChanged;
  for (const [name, value] of Object.entries(data.signals)) {
    if (JSON.stringify(view.signal(name)) === JSON.stringify(value)) continue;
    view.signal(name, value);
    isChanged = true;
  }
  if (!isChanged) return;
  plot.isDrawn = true;
  await view.runAsync();
  if (data.pick.length) walk(box);
  pointer.again();
}

function remove(parentElement: HTMLElement): void {
  const plot = plots.get(parentElement);
  if (!plot) return;
  plots.delete(parentElement);
  plot.end();
  leave(plot.view);
  plot.pointer.end();
  plot.view.finalize();
  plot.box.remove();
}

function isDark(element: Element): boolean {
  const [red = 255, green = 255, blue = 255] = (
    getComputedStyle(element).getPropertyValue("--st-background-color").match(/[\da-f]{2}/gi) ?? []
  ).map((part) => parseInt(part, 16));
  return red + green + blue < 384;
}
