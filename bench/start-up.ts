/**
 * From nothing to the first gradient: fresh processes of plain Node that load the built package, trace and compile the training
 * step of the spiral network and run it once. By `require`, and by `import`, where Node first reads through whatever part of tfjs
 * the program names for its exports: all of it, or its core, which is what nullcline itself loads.
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

const RUNS = 10;
const folder = join(dirname(fileURLToPath(import.meta.url)), 'support');
const CASES = [
  { modules: 'require', file: 'first-step-require.cjs', tfjs: '@tensorflow/tfjs' },
  { modules: 'import', file: 'first-step-import.mjs', tfjs: '@tensorflow/tfjs' },
  { modules: 'require, core alone', file: 'first-step-require.cjs', tfjs: '@tensorflow/tfjs-core' },
  { modules: 'import, core alone', file: 'first-step-import.mjs', tfjs: '@tensorflow/tfjs-core' },
] as const;

function run({ file, tfjs }: (typeof CASES)[number]): Figures {
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(folder, file), tfjs], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} failed (npm run build first): ${stderr}`);
  return JSON.parse(stdout) as Figures;
}

// In turn; the first of each finds nothing in the file cache.
const rounds = Array.from({ length: RUNS + 1 }, () => CASES.map(run)).slice(1);
const table = new Table('start-up, ms', ['modules', 'loaded', 'first step', 'since start', 'at least']);
for (const [i, { modules }] of CASES.entries()) {
  const all = (name: keyof Figures): number[] => rounds.map((round) => round[i][name]);
  const figures = {
    loaded_ms: median(all('loaded_ms')),
    first_step_ms: median(all('first_step_ms')),
    since_start_ms: median(all('since_start_ms')),
    least_since_start_ms: Math.min(...all('since_start_ms')),
  };
  table.row(modules, ...Object.values(figures));
  report('start-up', { modules, ...figures });
}
