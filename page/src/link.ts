// Draws a link to another page, which the server opens in the same session.
import { put, say } from "./attribute";
import type { Place } from "./board";

export interface LinkData {
  kind: "link";
  text: string;
  /** The address, for a tab of its own. */
  address: string;
}

const BELL = "M6 17v-6a6 6 0 0 1 12 0v6l2 2H4zM10 21h4M12 5V3";

export function drawLink({ data, parentElement, send }: Place<LinkData>): () => void {
  let link = parentElement.querySelector("a");
  if (!link) {
    link = document.createElement("a");
    link.className = "ccs-link";
    link.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${BELL}"/></svg><span></span>`;
    parentElement.append(link);
  }
  put(link, "href", data.address);
  say(link.lastElementChild!, data.text);
  link.onclick = (event) => {
    // With a key held down, the browser opens a tab.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    send("opened", true);
  };
  return () => parentElement.replaceChildren();
}
