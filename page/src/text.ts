// Draws a text whose parts have styles. It is never HTML, so no value of a transaction can be markup.
import type { Place } from "./board";

/** A text, or a style of STYLES with a text. */
export type Run = string | [string, string];

export interface TextData {
  kind: "text";
  runs: Run[];
  /** Whether it is smaller than the page's text. */
  small: boolean;
}

export interface ItemsData {
  kind: "items";
  items: Run[][];
  /** The number of columns, which is one on a phone. */
  columns: number;
}

export function drawText({ data, parentElement }: Place<TextData>): () => void {
  parentElement.classList.add("ccs-paragraph");
  parentElement.classList.toggle("ccs-small", data.small);
  write(parentElement, data.runs);
  return () => parentElement.replaceChildren();
}

/** Draws a list of texts. */
export function drawItems({ data, parentElement }: Place<ItemsData>): () => void {
  const list = parentElement.querySelector("ul") ?? parentElement.appendChild(document.createElement("ul"));
  list.className = "ccs-items";
  list.style.columnCount = `${data.columns}`;
  while (list.children.length > data.items.length) list.lastElementChild!.remove();
  data.items.forEach((runs, at) => {
    write((list.children[at] ?? list.appendChild(document.createElement("li"))) as HTMLElement, runs);
  });
  return () => list.remove();
}

/** Writes a text into an element, unless it is there. */
export function write(element: HTMLElement, runs: Run[]): void {
  const wanted = JSON.stringify(runs);
  if (element.dataset["runs"] === wanted) return;
  element.dataset["runs"] = wanted;
  element.replaceChildren(
    ...runs.map((run) => {
      if (typeof run === "string") return run;
      const [style, text] = run;
      const part = document.createElement(style === "bold" ? "b" : style === "code" ? "code" : "span");
      part.className = `ccs-text-${style}`;
      part.textContent = text;
      return part;
    }),
  );
}
