// Draws the cards of KPIs: each a name, a value, its change and its course, which choose what the charts show.
import { put, say } from "./attribute";
import type { Place } from "./board";
import { addStyle } from "./style";

export interface CardsData {
  kind: "cards";
  /** The least width of a card in pixels. */
  narrow: number;
  cards: Card[];
}

interface Card {
  label: string;
  value: string;
  /** The change in words, whether it is an improvement (1), the contrary (-1) or neither (0), and its direction. */
  change: string | null;
  good: number;
  up: number;
  trend: number[];
  help: string;
  /** What a click sends; null if a click does nothing. */
  pick: string | null;
  chosen: boolean;
}

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [100, 30];

export function drawCards({ data, parentElement, send }: Place<CardsData>): () => void {
  addStyle();
  let grid = parentElement.querySelector<HTMLElement>(".ccs-cards");
  if (!grid) {
    grid = document.createElement("div");
    grid.className = "ccs-cards";
    parentElement.append(grid);
  }
  grid.style.setProperty("--ccs-narrow", `${data.narrow}px`);
  // Cards remain while their values change, so that the focus and a tooltip do, too.
  const tags = data.cards.map((card) => (card.pick === null ? "DIV" : "BUTTON"));
  if ([...grid.children].map((one) => one.tagName).join() !== tags.join()) {
    grid.replaceChildren(...tags.map(empty));
  }
  data.cards.forEach((card, at) => {
    const element = grid.children[at] as HTMLElement;
    fill(element, card);
    if (card.pick !== null) {
      put(element, "aria-pressed", `${card.chosen}`);
      element.onclick = () => send("picked", card.pick);
    }
  });
  return () => grid.remove();
}

function empty(tag: string): HTMLElement {
  const card = document.createElement(tag);
  card.className = "ccs-card";
  for (const part of ["label", "value", "change"]) {
    const element = document.createElement("span");
    element.className = `ccs-${part}`;
    card.append(element);
  }
  card.append(trend());
  return card;
}

function fill(element: HTMLElement, card: Card): void {
  const [label, value, change, course] = [...element.children] as [HTMLElement, HTMLElement, HTMLElement, SVGElement];
  say(label, card.label);
  say(value, card.value);
  const arrow = card.up > 0 ? "↑ " : card.up < 0 ? "↓ " : "";
  say(change, card.change === null ? "" : `${arrow}${card.change}`);
  put(change, "class", `ccs-change${card.change === null ? "" : ` ${tone(card.good)}`}`);
  put(element, "title", card.help);
  trend(card.trend, course);
}

function tone(good: number): string {
  return good > 0 ? "ccs-good" : good < 0 ? "ccs-bad" : "ccs-flat";
}

/** Draws a course, by default an empty one in a new picture. Returns the picture. */
export function trend(values: number[] = [], picture: SVGElement = emptyTrend()): SVGElement {
  const line = points(values);
  const [area, course] = [...picture.children] as [SVGElement, SVGElement];
  put(area, "d", line && `${line}V${HEIGHT}H0Z`);
  put(course, "d", line);
  return picture;
}

function emptyTrend(): SVGElement {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("class", "ccs-course");
  picture.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("aria-hidden", "true");
  for (const form of ["area", "line"]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("vector-effect", "non-scaling-stroke");
    path.setAttribute("fill", form === "area" ? "currentColor" : "none");
    path.setAttribute("fill-opacity", "0.1");
    if (form === "line") path.setAttribute("stroke", "currentColor");
    path.setAttribute("stroke-opacity", "0.55");
    picture.append(path);
  }
  return picture;
}

/** Returns the path of a course, from its least to its greatest value. */
function points(values: number[]): string {
  if (values.length < 2) return "";
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = WIDTH / (values.length - 1);
  const y = (value: number) => (high > low ? HEIGHT - 1 - ((value - low) / (high - low)) * (HEIGHT - 2) : HEIGHT / 2);
  return values.map((value, at) => `${at ? "L" : "M"}${(at * step).toFixed(2)},${y(value).toFixed(2)}`).join("");
}
