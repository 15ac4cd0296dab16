// Draws a table whose rows can be chosen. Cells are texts, shares as bars, or courses.
import { put, say } from "./attribute";
import type { Place } from "./board";
import { trend } from "./cards";
import { addStyle } from "./style";

export interface TableData {
  kind: "table";
  /** What the table has, for screen readers. */
  description: string;
  columns: Column[];
  rows: Cell[][];
  /** What a click on a row sends; null if a click on it does nothing. */
  picks: (string | null)[];
  /** What is chosen; other rows are pale then. */
  chosen: string[];
}

interface Column {
  title: string;
  /** The class of its cells: text, number, share or trend. */
  form: "text" | "number" | "share" | "trend";
}

/** A text, a share from 0 to 1 with its text, or the values of a course. */
type Cell = string | [number, string] | number[];

export function drawTable({ data, parentElement, send }: Place<TableData>): () => void {
  addStyle();
  let box = parentElement.querySelector<HTMLElement>(".ccs-table");
  if (!box) {
    box = document.createElement("div");
    box.className = "ccs-table";
    // A table that is wider than a phone is scrolled, also by keyboard.
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.append(document.createElement("table"));
    parentElement.append(box);
  }
  put(box, "aria-label", data.description);
  const table = box.firstElementChild as HTMLTableElement;
  const shape = JSON.stringify([data.columns, data.rows.length, data.picks.map((one) => one !== null)]);
  if (table.dataset["shape"] !== shape) {
    table.replaceChildren(head(data.columns), body(data));
    table.dataset["shape"] = shape;
  }
  data.rows.forEach((cells, at) => {
    const row = table.tBodies[0]!.rows[at]!;
    cells.forEach((cell, column) => fill(row.cells[column]!, cell));
    const pick = data.picks[at] ?? null;
    const isChosen = pick !== null && data.chosen.includes(pick);
    row.classList.toggle("ccs-pale", data.chosen.length > 0 && !isChosen);
    if (pick === null) return;
    put(row.querySelector("button")!, "aria-pressed", `${isChosen}`);
    row.onclick = (event) => send("picked", { name: pick, adds: event.ctrlKey || event.metaKey });
  });
  return () => box.remove();
}

function head(columns: Column[]): HTMLTableSectionElement {
  const section = document.createElement("thead");
  const row = section.insertRow();
  for (const { title, form } of columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = `ccs-${form}`;
    cell.textContent = title;
    row.append(cell);
  }
  return section;
}

function body({ columns, rows, picks }: TableData): HTMLTableSectionElement {
  const section = document.createElement("tbody");
  rows.forEach((_, at) => {
    const row = section.insertRow();
    const isPicked = picks[at] != null;
    if (isPicked) row.className = "ccs-picked";
    columns.forEach(({ form }, column) => {
      const cell = row.insertCell();
      cell.className = `ccs-${form}`;
      if (form === "trend") cell.append(trend());
      else if (form === "share") cell.append(document.createElement("span"), document.createElement("i"));
      // A button makes the row reachable by keyboard.
      else cell.append(document.createElement(isPicked && column === 0 ? "button" : "span"));
    });
  });
  return section;
}

function fill(element: HTMLTableCellElement, cell: Cell): void {
  const first = element.firstElementChild!;
  if (typeof cell === "string") {
    say(first, cell);
  } else if (element.className === "ccs-trend") {
    trend(cell as number[], first as SVGElement);
  } else {
    const [share, text] = cell as [number, string];
    say(first, text);
    (element.lastElementChild as HTMLElement).style.setProperty("--ccs-share", `${(100 * share).toFixed(1)}%`);
  }
}
