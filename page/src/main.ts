// Draws what Streamlit passes on: charts, tables, and the cards of KPIs. Streamlit calls the default function at each update.
import { type CardsData, drawCards } from "./cards";
import { type TableData, drawTable } from "./table";
import { type PlotData, drawPlot } from "./plot";

/** What Streamlit passes to a component. */
export interface Component<Data> {
  data: Data;
  parentElement: HTMLElement;
  /** Passes an event on to the server, which runs the page again. */
  setTriggerValue(name: string, value: unknown): void;
}

export default function draw(component: Component<CardsData | PlotData | TableData>): () => void {
  switch (component.data.kind) {
    case "cards":
      return drawCards(component as Component<CardsData>);
    case "table":
      return drawTable(component as Component<TableData>);
    default:
      return drawPlot(component as Component<PlotData>);
  }
}
