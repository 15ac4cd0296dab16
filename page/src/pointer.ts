// Turns what a mouse does over a chart into events: a click on a mark, a range that was dragged over, a double click.
import type { Item, View } from "vega";
import { point } from "./cross";

/** The columns of what was clicked, and whether it adds to what is chosen. */
export type Picked = Record<string, unknown> & { adds: boolean };

interface Wanted {
  pick: string[];
  zooms: boolean;
}

/** The distance, in pixels, from which on a movement is a drag. */
const DRAG = 5;
/** The time, in milliseconds, in which a second click makes a double click. */
const DOUBLE = 300;

export class Pointer {
  send: (name: string, value: Picked | [number, number] | true) => void = () => {};
  private last: MouseEvent | undefined;
  private start: number | undefined;
  private band: HTMLElement | undefined;
  private waiting: number | undefined;
  private wasDragged = false;
  private readonly over = new AbortController();

  constructor(
    private readonly view: View,
    private readonly box: HTMLElement,
    private readonly wanted: Wanted,
  ) {
    const of = { signal: this.over.signal };
    view.addEventListener("pointermove", (event, item) => {
      this.last = event as unknown as MouseEvent;
      point(view, timeOf(item));
    });
    box.addEventListener("pointerleave", () => this.leave(), of);
    // A mark that moves away under a pointer at rest hides the tooltip; then the mark that is there now shows its own.
    box.addEventListener("pointerover", (event) => event.isTrusted && this.last && this.again(), of);
    view.addEventListener("click", (event, item) => this.click(event as unknown as MouseEvent, item));
    if (wanted.zooms) {
      box.addEventListener("pointerdown", (event) => this.down(event), of);
      window.addEventListener("pointermove", (event) => this.drag(event), of);
      window.addEventListener("pointerup", (event) => this.up(event), of);
      box.addEventListener("dblclick", () => this.back(), of);
    }
  }

  /** Lets the chart know the pointer again after its data was changed, so that its tooltip has the new figures. */
  again(): void {
    if (!this.last) return;
    const { clientX, clientY } = this.last;
    const under = document.elementFromPoint(clientX, clientY);
    if (!under || !this.box.contains(under)) return;
    under.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX, clientY, pointerType: "mouse" }));
  }

  end(): void {
    this.over.abort();
    window.clearTimeout(this.waiting);
  }

  private leave(): void {
    this.last = undefined;
    point(this.view, null);
  }

  private click(event: MouseEvent, item: Item | null | undefined): void {
    if (this.wasDragged) {
      this.wasDragged = false;
      return;
    }
    const datum = item?.datum as Record<string, unknown> | undefined;
    if (!datum || item?.mark.marktype === "text" || "href" in (item ?? {})) return;
    if (this.wanted.zooms) {
      const [from, to] = [datum["time"], datum["end"]];
      if (typeof from !== "number" || typeof to !== "number") return;
      window.clearTimeout(this.waiting);
      // The first click of a double click does not zoom.
      this.waiting = window.setTimeout(() => this.send("zoomed", [from, to]), DOUBLE);
    } else {
      this.pick(datum, event.ctrlKey || event.metaKey);
    }
  }

  private pick(datum: Record<string, unknown>, adds: boolean): void {
    const columns = this.wanted.pick;
    if (!columns.length || columns.some((name) => datum[name] === undefined)) return;
    this.send("picked", { ...Object.fromEntries(columns.map((name) => [name, datum[name]])), adds });
  }

  private down(event: PointerEvent): void {
    if (event.button === 0 && event.pointerType !== "touch") this.start = this.across(event);
  }

  private drag(event: PointerEvent): void {
    if (this.start === undefined) return;
    const now = this.across(event);
    if (!this.band && Math.abs(now - this.start) < DRAG) return;
    if (!this.band) {
      this.band = document.createElement("div");
      this.band.className = "ccs-band";
      this.box.append(this.band);
    }
    this.band.style.left = `${Math.min(now, this.start)}px`;
    this.band.style.width = `${Math.abs(now - this.start)}px`;
  }

  private up(event: PointerEvent): void {
    const [start, band] = [this.start, this.band];
    this.start = this.band = undefined;
    if (start === undefined || !band) return;
    band.remove();
    // A click follows if the button is released over the chart.
    this.wasDragged = event.target instanceof Node && this.box.contains(event.target);
    const times = [start, this.across(event)].map((x) => this.time(x)).sort((one, other) => one - other);
    this.send("zoomed", times as [number, number]);
  }

  private back(): void {
    window.clearTimeout(this.waiting);
    this.send("back", true);
  }

  /** Returns where an event is within the chart, in pixels from its left edge; at most at the plot's edges. */
  private across(event: MouseEvent): number {
    const [left, width] = [this.origin(), this.plotWidth()];
    return Math.max(left, Math.min(left + width, event.clientX - this.box.getBoundingClientRect().left));
  }

  private time(x: number): number {
    const scale = this.view.scale("x") as { invert(x: number): number | Date };
    return Math.round(Number(scale.invert(x - this.origin())));
  }

  private origin(): number {
    return this.view.origin()[0] + (this.view.padding() as { left: number }).left;
  }

  private plotWidth(): number {
    const [from, to] = (this.view.scale("x") as { range(): [number, number] }).range();
    return to - from;
  }
}

function timeOf(item: Item | null | undefined): number | null {
  const time = (item?.datum as Record<string, unknown> | undefined)?.["time"];
  return typeof time === "number" ? time : null;
}
