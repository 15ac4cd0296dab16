// Draws a choice of one of a few settings, all of which are visible.
import type { Place } from "./board";

export interface RadioData {
  kind: "radio";
  label: string;
  /** Each value with its name on the page. */
  options: [string, string][];
  value: string;
}

export function drawRadio({ data, parentElement, send }: Place<RadioData>): () => void {
  const wanted = JSON.stringify(data.options);
  if (parentElement.dataset["options"] !== wanted) {
    parentElement.classList.add("ccs-radio");
    parentElement.dataset["options"] = wanted;
    parentElement.setAttribute("role", "radiogroup");
    parentElement.replaceChildren(...data.options.map(([value, name]) => option(data.label, value, name)));
  }
  parentElement.setAttribute("aria-label", data.label);
  for (const input of parentElement.querySelectorAll("input")) {
    input.checked = input.value === data.value;
    input.onchange = () => send("changed", input.value);
  }
  return () => parentElement.replaceChildren();
}

function option(group: string, value: string, name: string): HTMLElement {
  const [label, input] = [document.createElement("label"), document.createElement("input")];
  Object.assign(input, { type: "radio", name: group, value });
  label.append(input, name);
  return label;
}
