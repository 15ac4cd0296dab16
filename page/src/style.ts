// Adds the style of charts and cards to the page, once.
const STYLE = `
.ccs-plot { position: relative; width: 100%; overflow: hidden }
.ccs-plot svg { display: block; max-width: 100% }
.ccs-plot.ccs-zooms svg { cursor: crosshair }
.ccs-plot [tabindex]:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px }
.ccs-plot g[role="graphics-symbol"]:empty { display: none }
.ccs-band { position: absolute; top: 0; bottom: 0; background: var(--st-primary-color); opacity: .15; pointer-events: none }
.ccs-cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(var(--ccs-narrow), 1fr)); gap: .5rem }
.ccs-card { container-type: inline-size; position: relative; display: flex; flex-direction: column; min-width: 0;
  padding: .8rem 1rem .6rem; border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
  background: none; color: inherit; font: inherit; text-align: left }
button.ccs-card { cursor: pointer }
button.ccs-card:hover { border-color: var(--st-primary-color) }
.ccs-card:focus-visible { outline: 2px solid var(--st-primary-color) }
.ccs-card[aria-pressed="true"] { border-color: var(--st-primary-color); box-shadow: inset 0 0 0 1px var(--st-primary-color) }
.ccs-label { font-size: .875rem; overflow-wrap: anywhere }
.ccs-value { font-size: clamp(1.05rem, 13cqi, 2.25rem); line-height: 1.3; white-space: nowrap }
.ccs-change { align-self: start; font-size: .875rem; padding: 0 .4rem; border-radius: 999px; min-height: 1.3em }
.ccs-good { color: var(--st-green-text-color); background: var(--st-green-background-color) }
.ccs-bad { color: var(--st-red-text-color); background: var(--st-red-background-color) }
.ccs-flat { color: inherit; background: var(--st-gray-background-color) }
.ccs-trend { width: 100%; height: 34px; margin-top: auto; padding-top: .5rem; overflow: visible }
`;

export function addStyle(): void {
  if (document.getElementById("ccs-style")) return;
  const style = document.createElement("style");
  style.id = "ccs-style";
  style.textContent = STYLE;
  document.head.append(style);
}
