// Adds the style of boards and their parts to the page, once.
const STYLE = `
.ccs-column, .ccs-panel { display: flex; flex-direction: column; gap: .6rem; min-width: 0 }
.ccs-panel { padding: calc(1rem - 1px); border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius) }
.ccs-row { display: grid; grid-template-columns: var(--ccs-columns); gap: 1rem }
.ccs-column:has(> .ccs-panel, > .ccs-row) { gap: 1rem }
.ccs-row > .ccs-column > .ccs-panel:last-child { flex: 1 }
.ccs-row > .ccs-column:empty { display: none }
.ccs-row:has(> .ccs-column:empty) { grid-template-columns: minmax(0, 1fr) }
@media (max-width: 640px) { .ccs-row { grid-template-columns: minmax(0, 1fr) } }
.ccs-line { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .8rem }
.ccs-line > .ccs-head { flex: 1 1 auto }
.ccs-head { display: flex; flex-wrap: wrap; align-items: center; gap: .1rem .5rem; min-height: 1.75rem }
.ccs-head h5 { margin: 0; padding: 0; font-size: 1rem; font-weight: 600; line-height: 1.2 }
.ccs-head p { order: 9; flex-basis: 100%; margin: 0; font-size: .875rem }
.ccs-help { all: unset; box-sizing: border-box; flex: none; width: 1.1rem; height: 1.1rem; border: 1px solid currentColor;
  border-radius: 50%; font-size: .75rem; line-height: calc(1.1rem - 2px); text-align: center; opacity: .7; cursor: pointer }
.ccs-file { all: unset; flex: none; margin-left: auto; padding: .2rem; line-height: 0; cursor: pointer; opacity: .75 }
.ccs-file svg { width: 1.1rem; height: 1.1rem; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round }
:is(.ccs-help, .ccs-file):hover { opacity: 1 }
:is(.ccs-help, .ccs-file, .ccs-choices button, .ccs-select select):focus-visible { outline: 2px solid var(--st-primary-color);
  outline-offset: 1px }
.ccs-paragraph { white-space: pre-line; overflow-wrap: anywhere }
.ccs-small { font-size: .875rem; opacity: .85 }
.ccs-text-small { font-size: .875rem }
.ccs-text-good { color: var(--st-green-text-color) }
.ccs-text-bad { color: var(--st-red-text-color) }
.ccs-text-doubtful { color: var(--st-orange-text-color) }
.ccs-items { margin: 0; padding-left: 1.1rem; white-space: pre-line; overflow-wrap: anywhere }
.ccs-items li { margin: 0 0 .35rem }
.ccs-link { display: flex; align-items: center; gap: .3rem; color: inherit; text-decoration: none }
.ccs-link:hover { color: var(--st-primary-color) }
.ccs-link svg { flex: none; width: 1.1rem; height: 1.1rem; fill: none; stroke: currentColor; stroke-width: 2 }
.ccs-radio { display: flex; flex-wrap: wrap }
.ccs-radio label { position: relative; padding: .3rem .8rem; border: 1px solid var(--st-border-color); margin-right: -1px; font-size: .875rem;
  cursor: pointer }
.ccs-radio label:first-child { border-radius: var(--st-base-radius) 0 0 var(--st-base-radius) }
.ccs-radio label:last-child { border-radius: 0 var(--st-base-radius) var(--st-base-radius) 0 }
.ccs-radio label:has(:checked) { z-index: 1; border-color: var(--st-primary-color); color: var(--st-primary-color) }
.ccs-radio label:has(:focus-visible) { outline: 2px solid var(--st-primary-color); outline-offset: 1px }
.ccs-radio input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer }
.ccs-fold summary { cursor: pointer }
.ccs-choices { display: flex; flex-direction: column }
.ccs-choices button { all: unset; display: flex; gap: .5rem; padding: .3rem 0; cursor: pointer }
.ccs-choices button:hover { color: var(--st-primary-color) }
.ccs-choices i { flex: none; font-style: normal; width: 1rem; text-align: center }
.ccs-select select { max-width: 100%; padding: .3rem .5rem; border: 1px solid var(--st-border-color); color: inherit;
  border-radius: var(--st-base-radius); background: var(--st-secondary-background-color); font: inherit; font-size: .875rem }
.ccs-legend { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; font-size: .875rem }
.ccs-legend span { display: inline-flex; align-items: center; gap: .4rem }
.ccs-legend i { display: inline-block; flex: none; width: 1.1rem; height: .7rem; background: currentColor }
.ccs-legend i.line { height: 0; background: none; border-top: 2.5px solid currentColor }
.ccs-legend i.dashes { height: 0; background: none; border-top: 2px dashed currentColor }
.ccs-legend i.area { opacity: .45 }
.ccs-legend i.bar { opacity: .8 }
.ccs-legend i.diamond { width: .7rem; clip-path: polygon(50% 0, 100% 50%, 50% 100%, 0 50%) }
.ccs-legend i.triangle { width: .75rem; clip-path: polygon(50% 0, 100% 100%, 0 100%) }
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
.ccs-course { width: 100%; height: 34px; margin-top: auto; padding-top: .5rem; overflow: visible }
.ccs-table { overflow-x: auto; max-width: 100% }
.ccs-table:focus-visible { outline: 2px solid var(--st-primary-color) }
.ccs-table table { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
.ccs-table :is(th, td) { padding: .3rem .5rem; border-bottom: 1px solid var(--st-border-color-light); text-align: left }
.ccs-table th { font-weight: normal; opacity: .8; vertical-align: bottom }
.ccs-table :is(th, td).ccs-number { text-align: right; white-space: nowrap }
.ccs-table td.ccs-text { max-width: 14rem; overflow-wrap: break-word }
.ccs-table td.ccs-trend { width: 6rem; color: var(--st-primary-color) }
.ccs-table .ccs-course { display: block; height: 1.3rem; padding: 0 }
.ccs-table td.ccs-share { min-width: 6.5rem; white-space: nowrap }
.ccs-table td.ccs-share span { display: inline-block; min-width: 3.2rem; text-align: right }
.ccs-table td.ccs-share i { display: inline-block; vertical-align: middle; margin-left: .5rem; width: calc(100% - 4rem);
  height: .5rem; border-radius: 2px; background: linear-gradient(#D55E00 0 0) 0 / var(--ccs-share) 100% no-repeat,
  var(--st-gray-background-color) }
@media (max-width: 640px) {
  .ccs-items { column-count: 1 !important }
  .ccs-table td.ccs-share { min-width: 0 }
  .ccs-table td.ccs-share i { display: none }
}
.ccs-table button { all: unset; cursor: pointer }
.ccs-table button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px }
.ccs-table tr.ccs-picked { cursor: pointer }
.ccs-table tr.ccs-picked:hover { background: var(--st-secondary-background-color) }
.ccs-table tr.ccs-pale { opacity: .7 }
.ccs-table tr:has(button[aria-pressed="true"]) { font-weight: 600 }
`;

export function addStyle(): void {
  if (document.getElementById("ccs-style")) return;
  const style = document.createElement("style");
  style.id = "ccs-style";
  style.textContent = STYLE;
  document.head.append(style);
}
