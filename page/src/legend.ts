// Draws the legend of a chart.
import type { Place } from "./board";

export interface LegendData {
  kind: "legend";
  /** For each key, the class of its form, its colour and its text. */
  keys: [string, string, string][];
}

export function drawLegend({ data, parentElement }: Place<LegendData>): () => void {
  const wanted = JSON.stringify(data.keys);
  if (parentElement.dataset["keys"] !== wanted) {
    parentElement.classList.add("ccs-legend");
    parentElement.dataset["keys"] = wanted;
    parentElement.replaceChildren(...data.keys.map(key));
  }
  return () => parentElement.replaceChildren();
}

function key([form, colour, text]: [string, string, string]): HTMLElement {
  const [found, mark] = [document.createElement("span"), document.createElement("i")];
  mark.className = form;
  mark.style.color = colour;
  found.append(mark, text);
  return found;
}
