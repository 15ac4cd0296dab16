// Bundles the component into one file of ccstream's package, with the licences of what it contains beside it.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const OUT = process.argv[2] ?? "../python/ccstream/dashboard/bundle";

const { metafile } = await build({
  entryPoints: ["src/main.ts"],
  outfile: `${OUT}/component.js`,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  // Browsers load the file only as a module of the page, so comments would be sent for nothing.
  legalComments: "none",
  metafile: true,
});

const folders = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const match = /^(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (match) folders.add(match[1]);
}
const texts = [...folders].sort().map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  if (!file) throw new Error(`${folder} has no file of its licence`);
  const text = readFileSync(`${folder}/${file}`, "utf8").replaceAll("\r\n", "\n").trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
});
const head = "component.js contains these packages. Each is followed by its licence.\n";
writeFileSync(`${OUT}/LICENSES.txt`, [head, ...texts].join("\n---\n\n"));
