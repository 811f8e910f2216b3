// The dashboards against the types of Grafana itself: each becomes a constant of type Dashboard, and each panel's options and custom
// field settings constants of the panel's own types; tsc judges. usage: schema_test.mjs NODE_MODULES
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const node_modules = resolve(process.argv[2]);
if (!existsSync(join(node_modules, "@grafana/schema")) || !existsSync(join(node_modules, "typescript"))) {
  console.log("skipped: needs npm's @grafana/schema and typescript in " + node_modules);
  process.exit(77);
}
const dashboards = join(dirname(fileURLToPath(import.meta.url)), "../../dashboards");
const raw = "@grafana/schema/dist/esm/raw/composable";
const panels = { // type: [package, has field settings]
  timeseries: ["timeseries", true], stat: ["stat", false], bargauge: ["bargauge", false], "state-timeline": ["statetimeline", true],
};
const dir = mkdtempSync(join(tmpdir(), "sf-schema-"));
try {
  symlinkSync(node_modules, join(dir, "node_modules"));
  const enums = value => JSON.stringify(value, null, 1);
  let source = `import type { AnnotationQuery, Dashboard, Panel, RowPanel } from "@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen";\n`;
  // Enumerations of the types are compared by value: JSON has no other way.
  source += "type Plain<T> = T extends string ? `${T}` : T extends number ? (`${T}` extends `${infer N extends number}` ? N : T) : T extends (infer E)[] ? Plain<E>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;\n";
  // A query annotation carries members of its data source, which the base type does not know.
  source += `type Note = Plain<AnnotationQuery> & { expr: string; titleFormat: string; textFormat: string; step: string };\n`;
  source += `type Board = Plain<Omit<Dashboard, "panels" | "annotations">> & { annotations: { list: Note[] } };\n`;
  for (const [type, [name, custom]] of Object.entries(panels))
    source += `import type { Options as ${name}_options${custom ? `, FieldConfig as ${name}_field` : ""} } from "${raw}/${name}/panelcfg/x/${type === "state-timeline" ? "StateTimeline" : { timeseries: "TimeSeries", stat: "Stat", bargauge: "BarGauge" }[type]}PanelCfg_types.gen";\n`;
  for (const board of ["fleet", "worker"]) {
    const json = JSON.parse(readFileSync(join(dashboards, board + ".json"), "utf8"));
    source += `export const ${board}: Board = ${enums({ ...json, panels: undefined })};\n`;
    for (const panel of json.panels) {
      const id = `${board}_${panel.id}`;
      if (panel.type === "row") { source += `export const ${id}: Plain<RowPanel> = ${enums(panel)};\n`; continue; }
      if (!panels[panel.type]) throw new Error("no types known for panels of type " + panel.type);
      const [name, custom] = panels[panel.type];
      source += `export const ${id}: Plain<Omit<Panel, "targets">> = ${enums({ ...panel, targets: undefined })};\n`;
      source += `export const ${id}_options: Plain<${name}_options> = ${enums(panel.options)};\n`;
      if (custom) source += `export const ${id}_field: Plain<${name}_field> = ${enums(panel.fieldConfig.defaults.custom)};\n`;
    }
  }
  writeFileSync(join(dir, "boards.ts"), source);
  const tsc = spawnSync(process.execPath, [join(node_modules, "typescript/bin/tsc"), "--noEmit", "--strict", "--skipLibCheck", "--module", "esnext",
    "--moduleResolution", "node", "--target", "es2022", join(dir, "boards.ts")], { encoding: "utf8" });
  process.stdout.write(tsc.stdout.slice(0, 8000));
  console.log(tsc.status === 0 ? "ok" : "the dashboards do not fit Grafana's types");
  process.exitCode = tsc.status === 0 ? 0 : 1;
} finally { if (!process.env.KEEP) rmSync(dir, { recursive: true, force: true }); }
