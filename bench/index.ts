/**
 * All benchmarks, one after the other, each in a process of its own: tables of medians and ratios to read, and one line of
 * JSON per figure. Every figure that is compared with another was measured in the same process, in turn with it.
 *
 *   npm run bench [directory of limit32.wasm and limit64.wasm]
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SECTIONS = ['start-up', 'matmul', 'eager', 'mlp', 'spiral-step', 'ode-cases'];

const here = dirname(fileURLToPath(import.meta.url));
const failed = SECTIONS.filter((section) => {
  console.log(`\n== ${section}`);
  const { status } = spawnSync(
    process.execPath,
    [...process.execArgv, join(here, `${section}.ts`), ...process.argv.slice(2)],
    {
      stdio: 'inherit',
    },
  );
  return status !== 0;
});
if (failed.length > 0) {
  console.error(`\nfailed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
