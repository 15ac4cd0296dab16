// Draws a board: parts of a page within each other, each of which is kept while its data changes.
import { say } from "./attribute";
import { type CardsData, drawCards } from "./cards";
import { type ChoicesData, drawChoices } from "./choices";
import { type HeadData, drawHead } from "./head";
import { type LegendData, drawLegend } from "./legend";
import { type LinkData, drawLink } from "./link";
import { type PlotData, drawPlot } from "./plot";
import { type RadioData, drawRadio } from "./radio";
import { type SelectData, drawSelect } from "./select";
import { addStyle } from "./style";
import { type TableData, drawTable } from "./table";
import { type ItemsData, type TextData, drawItems, drawText } from "./text";

/** What a part is drawn from and where. */
export interface Place<Data> {
  data: Data;
  parentElement: HTMLElement;
  /** Passes an event on to the server, which runs the page again. */
  send(event: string, value: unknown): void;
}

/**
 * Parts below each other (column, panel), beside each other in columns (row), in a line that wraps (line), or below a
 * title that shows and hides them (fold).
 */
interface BoxData {
  kind: "box";
  form: "column" | "panel" | "row" | "line" | "fold";
  title: string;
  /** The widths of the columns of a row, relative to each other. */
  weights: number[];
  parts: Part[];
}

export type Part = { key: string } & (
  | BoxData
  | CardsData
  | ChoicesData
  | HeadData
  | ItemsData
  | LegendData
  | LinkData
  | PlotData
  | RadioData
  | SelectData
  | TableData
  | TextData
);

/** Passes on an event of the part with a key. */
type Send = (part: string, event: string, value: unknown) => void;

interface Slot {
  element: HTMLElement;
  /** Removes what was drawn. */
  end: () => void;
}

const boards = new WeakMap<HTMLElement, Map<string, Slot>>();

/** Draws parts below each other in an element. What is there already is updated, and what is not a part is removed. */
export function drawParts(parent: HTMLElement, parts: Part[], send: Send): void {
  addStyle();
  const before = boards.get(parent) ?? new Map<string, Slot>();
  const now = new Map<string, Slot>();
  for (const part of parts) now.set(`${part.kind} ${part.key}`, before.get(`${part.kind} ${part.key}`) ?? slot(part));
  for (const [name, { end, element }] of before) {
    if (now.has(name)) continue;
    end();
    element.remove();
  }
  boards.set(parent, now);
  // An element that moves would lose the focus, so only those that are not in their places do.
  let next = parent.firstElementChild;
  for (const { element } of now.values()) {
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
  [...now.values()].forEach((one, at) => (one.end = draw(parts[at]!, one.element, send)));
}

function slot({ key }: Part): Slot {
  const element = document.createElement("div");
  // Streamlit gives its elements such a class, too.
  element.className = `st-key-${key}`;
  return { element, end: () => {} };
}

function draw(part: Part, parentElement: HTMLElement, send: Send): () => void {
  const of = { parentElement, send: (event: string, value: unknown) => send(part.key, event, value) };
  switch (part.kind) {
    case "box":
      return drawBox(part, parentElement, send);
    case "cards":
      return drawCards({ ...of, data: part });
    case "choices":
      return drawChoices({ ...of, data: part });
    case "head":
      return drawHead({ ...of, data: part });
    case "items":
      return drawItems({ ...of, data: part });
    case "legend":
      return drawLegend({ ...of, data: part });
    case "link":
      return drawLink({ ...of, data: part });
    case "plot":
      return drawPlot({ ...of, data: part });
    case "radio":
      return drawRadio({ ...of, data: part });
    case "select":
      return drawSelect({ ...of, data: part });
    case "table":
      return drawTable({ ...of, data: part });
    case "text":
      return drawText({ ...of, data: part });
  }
}

function drawBox({ form, title, weights, parts }: BoxData, element: HTMLElement, send: Send): () => void {
  element.classList.add(`ccs-${form}`);
  if (form === "fold") return drawFold(title, parts, element, send);
  if (form === "row") element.style.setProperty("--ccs-columns", weights.map((one) => `minmax(0, ${one}fr)`).join(" "));
  drawParts(element, parts, send);
  return () => drawParts(element, [], send);
}

function drawFold(title: string, parts: Part[], element: HTMLElement, send: Send): () => void {
  if (!element.firstElementChild) {
    const [fold, summary, within] = ["details", "summary", "div"].map((tag) => document.createElement(tag));
    within!.className = "ccs-column";
    fold!.append(summary!, within!);
    element.append(fold!);
  }
  const [summary, within] = [...element.firstElementChild!.children] as [HTMLElement, HTMLElement];
  say(summary, title);
  drawParts(within, parts, send);
  return () => drawParts(within, [], send);
}
