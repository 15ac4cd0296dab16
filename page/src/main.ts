// Draws what Streamlit passes on: a chart, or the cards of KPIs. Streamlit calls the default function at each update.
import { type CardsData, drawCards } from "./cards";
import { type PlotData, drawPlot } from "./plot";

/** What Streamlit passes to a component. */
export interface Component<Data> {
  data: Data;
  parentElement: HTMLElement;
  /** Passes an event on to the server, which runs the page again. */
  setTriggerValue(name: string, value: unknown): void;
}

export default function draw(component: Component<CardsData | PlotData>): () => void {
  return component.data.kind === "cards"
    ? drawCards(component as Component<CardsData>)
    : drawPlot(component as Component<PlotData>);
}
