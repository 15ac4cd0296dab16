// Makes a Vega configuration from the colours and fonts of the page, which are CSS variables of Streamlit.
import type { Config } from "vega-lite";

let known: Config | undefined;

/** Returns the configuration of charts. Reading the styles is slow, so all charts of an update share it. */
export function theme(element: Element): Config {
  known ??= read(element);
  queueMicrotask(() => (known = undefined));
  return known;
}

function read(element: Element): Config {
  const style = getComputedStyle(element);
  const of = (name: string, usual: string) => style.getPropertyValue(`--st-${name}`).trim() || usual;
  const text = of("text-color", "#31333f");
  const lines = of("border-color-light", "#8883");
  const label = { labelColor: text, labelFontSize: 12, labelOpacity: 0.85 };
  const title = { titleColor: text, titleFontSize: 12, titleFontWeight: "normal" as const, titleOpacity: 0.85 };
  return {
    background: "transparent",
    font: of("font", "sans-serif"),
    padding: { left: 0, right: 2, top: 6, bottom: 0 },
    view: { stroke: null },
    axis: { ...label, ...title, gridColor: lines, domainColor: lines, tickColor: lines, labelPadding: 6, titlePadding: 8 },
    axisBand: { grid: false, ticks: false, domain: false },
    legend: { ...label, ...title, symbolStrokeWidth: 1.5 },
  };
}
