// Draws the head of a panel: its title, what it means, and a button that downloads its figures.
import { say } from "./attribute";
import type { Place } from "./board";
import { type Run, write } from "./text";

export interface HeadData {
  kind: "head";
  title: string;
  /** What the title means; null without an explanation. */
  help: string | null;
  /** A sentence beside the title. */
  said: Run[];
  /** Whether there is a button that downloads the figures. */
  file: boolean;
}

const ARROW = "M12 3v12m0 0 5-5m-5 5-5-5M4 20h16";

export function drawHead({ data, parentElement, send }: Place<HeadData>): () => void {
  if (!parentElement.firstElementChild) {
    const [title, said] = [document.createElement("h5"), document.createElement("span")];
    parentElement.classList.add("ccs-head");
    said.className = "ccs-said";
    parentElement.append(title, ...(data.help === null ? [] : help()), said, ...(data.file ? [button()] : []));
  }
  say(parentElement.querySelector("h5")!, data.title);
  write(parentElement.querySelector<HTMLElement>(".ccs-said")!, data.said);
  if (data.help !== null) explain(parentElement, data.title, data.help);
  const download = parentElement.querySelector<HTMLElement>(".ccs-file");
  if (download) download.onclick = () => send("file", true);
  return () => parentElement.replaceChildren();
}

function help(): HTMLElement[] {
  const [mark, text] = [document.createElement("button"), document.createElement("p")];
  mark.className = "ccs-help";
  mark.textContent = "?";
  text.hidden = true;
  mark.setAttribute("aria-expanded", "false");
  mark.onclick = () => {
    text.hidden = !text.hidden;
    mark.setAttribute("aria-expanded", `${!text.hidden}`);
  };
  return [mark, text];
}

function explain(element: HTMLElement, title: string, words: string): void {
  const mark = element.querySelector<HTMLElement>(".ccs-help")!;
  mark.title = words.replaceAll("`", "");
  mark.setAttribute("aria-label", `About ${title}`);
  // What is between two grave accents is a command.
  const runs = words.split("`").map((part, at): Run => (at % 2 ? ["code", part] : part));
  write(mark.nextElementSibling as HTMLElement, runs);
}

function button(): HTMLElement {
  const found = document.createElement("button");
  found.className = "ccs-file";
  found.title = "Download these figures as CSV";
  found.setAttribute("aria-label", found.title);
  found.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ARROW}"/></svg>`;
  return found;
}
