// Draws a choice of one of a few settings.
import type { Place } from "./board";

export interface SelectData {
  kind: "select";
  label: string;
  /** Each value with its name on the page. */
  options: [string, string][];
  value: string;
}

export function drawSelect({ data, parentElement, send }: Place<SelectData>): () => void {
  let select = parentElement.querySelector("select");
  if (!select) {
    select = document.createElement("select");
    parentElement.classList.add("ccs-select");
    parentElement.append(select);
  }
  select.setAttribute("aria-label", data.label);
  const wanted = JSON.stringify(data.options);
  if (select.dataset["options"] !== wanted) {
    select.dataset["options"] = wanted;
    select.replaceChildren(...data.options.map(([value, name]) => new Option(name, value)));
  }
  select.value = data.value;
  const drawn = select;
  select.onchange = () => send("changed", drawn.value);
  return () => parentElement.replaceChildren();
}
