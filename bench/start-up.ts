/**
 * From nothing to the first gradient: fresh processes of plain Node that load the built package, trace and compile the training
 * step of the spiral network and run it once. By `require`, and by `import`, where Node first reads through all of tfjs for its names.
 *
 *   npm run build && npx tsx bench/start-up.ts
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, report, Table } from './support/measure.js';

interface Figures {
  readonly loaded_ms: number;
  readonly first_step_ms: number;
  readonly since_start_ms: number;
}

const RUNS = 7;
const folder = join(dirname(fileURLToPath(import.meta.url)), 'support');
const table = new Table('start-up, ms', ['modules', 'loaded', 'first step', 'since start']);

for (const [how, file] of [['require', 'first-step-require.cjs'], ['import', 'first-step-import.mjs']] as const) {
  const runs = Array.from({ length: RUNS + 1 }, (): Figures => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [join(folder, file)], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${file} failed (npm run build first): ${stderr}`);
    return JSON.parse(stdout) as Figures;
  }).slice(1); // the first finds nothing in the file cache
  const of = (name: keyof Figures): number => median(runs.map((run) => run[name]));
  const figures = { loaded_ms: of('loaded_ms'), first_step_ms: of('first_step_ms'), since_start_ms: of('since_start_ms') };
  table.row(how, ...Object.values(figures));
  report('start-up', { modules: how, ...figures });
} // prettier-ignore
