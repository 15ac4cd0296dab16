// Draws sentences below each other, each a button that chooses what it is about.
import { say } from "./attribute";
import type { Place } from "./board";
import { type Run, write } from "./text";

export interface ChoicesData {
  kind: "choices";
  choices: {
    /** Whether it is about a rise (1) or a fall (-1). */
    rises: number;
    runs: Run[];
    /** What a click sends. */
    pick: unknown;
  }[];
}

export function drawChoices({ data, parentElement, send }: Place<ChoicesData>): () => void {
  parentElement.classList.add("ccs-choices");
  while (parentElement.children.length > data.choices.length) parentElement.lastElementChild!.remove();
  data.choices.forEach((choice, at) => {
    const button = (parentElement.children[at] ?? parentElement.appendChild(empty())) as HTMLElement;
    const [arrow, text] = [...button.children] as [HTMLElement, HTMLElement];
    say(arrow, choice.rises > 0 ? "↑" : "↓");
    write(text, choice.runs);
    button.onclick = () => send("picked", choice.pick);
  });
  return () => parentElement.replaceChildren();
}

function empty(): HTMLElement {
  const button = document.createElement("button");
  button.append(document.createElement("i"), document.createElement("span"));
  button.firstElementChild!.setAttribute("aria-hidden", "true");
  return button;
}
