// Draws what Streamlit passes on. Streamlit calls the default function at each update.
import { type Part, drawParts } from "./board";
import { save, type SavedFile } from "./file";

/** What Streamlit passes to a component. */
interface Component {
  /** A :class:`Board` as JSON in UTF-8. */
  data: Uint8Array;
  parentElement: HTMLElement;
  /** Passes an event on to the server, which runs the page again. */
  setTriggerValue(name: string, value: unknown): void;
}

interface Board {
  parts: Part[];
  /** A file that was asked for; null without one. */
  file: SavedFile | null;
}

export default function draw({ data, parentElement, setTriggerValue }: Component): () => void {
  const { parts, file } = JSON.parse(new TextDecoder().decode(data)) as Board;
  const send = (part: string, event: string, value: unknown) => setTriggerValue("event", { part, event, value });
  let board = parentElement.querySelector<HTMLElement>(":scope > .ccs-column");
  if (!board) {
    board = document.createElement("div");
    board.className = "ccs-column";
    parentElement.append(board);
  }
  const drawn = board;
  drawParts(drawn, parts, send);
  if (file) save(file);
  return () => {
    drawParts(drawn, [], send);
    drawn.remove();
  };
}
