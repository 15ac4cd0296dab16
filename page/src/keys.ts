// Lets a keyboard choose marks: the arrow keys walk from mark to mark, Enter and the space bar click.
import { put } from "./attribute";

const MARKS = 'path[role="graphics-symbol"]';

/** Makes the marks of a chart reachable by keyboard. It is called after each update, because marks come and go. */
export function walk(box: HTMLElement): void {
  const marks = [...box.querySelectorAll<SVGElement>(MARKS)];
  const current = marks.find((mark) => mark === document.activeElement) ?? marks[0];
  for (const mark of marks) put(mark, "tabindex", mark === current ? "0" : "-1");
  box.onkeydown = press;
}

function press(event: KeyboardEvent): void {
  const mark = event.target as SVGElement;
  if (!mark.matches(MARKS)) return;
  if (event.key === "Enter" || event.key === " ") {
    const { left, top, width, height } = mark.getBoundingClientRect();
    const [clientX, clientY] = [left + width / 2, top + height / 2];
    const { ctrlKey, metaKey } = event;
    mark.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX, clientY, ctrlKey, metaKey }));
  } else {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const marks = [...(event.currentTarget as HTMLElement).querySelectorAll<SVGElement>(MARKS)];
    const next = marks[marks.indexOf(mark) + step];
    if (next) {
      mark.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    }
  }
  event.preventDefault();
}
