// Bundle src/main.js with three and Spark into ../static/viewer.js: one ES module that imports nothing.
import { build } from "esbuild";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const libraries = ["three", "@sparkjsdev/spark", "fflate"];

// Licences ask to stay with the code: their texts lie beside the bundle.
const licences = libraries.map((name) => {
  const folder = new URL(`node_modules/${name}/`, import.meta.url);
  const { version } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[sc]e/i.test(entry));
  return `${name} ${version}\n\n${readFileSync(new URL(file, folder), "utf8")}`;
});

const result = await build({
  entryPoints: ["src/main.js"],
  outfile: "../static/viewer.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
});
writeFileSync("../static/LICENSES.txt", licences.join(`\n${"-".repeat(72)}\n\n`));
const [file] = Object.values(result.metafile.outputs);
const foreign = file.imports.filter((entry) => entry.external);
if (foreign.length) throw new Error(`the bundle still imports ${foreign.map((entry) => entry.path)}`);
