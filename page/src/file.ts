// Saves a file that the server has made.

export interface SavedFile {
  /** What no other file of the page has. */
  id: string;
  name: string;
  text: string;
}

let last = "";

/** Saves a file, unless it is the one that was saved last. */
export function save({ id, name, text }: SavedFile): void {
  if (id === last) return;
  last = id;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  // The browser reads the file after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
