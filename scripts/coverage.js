/**
 * Run the tests in both worlds and report which lines of the package they reached (`.c8rc.json` holds the threshold).
 * With `--reuse`, report on what a run of the tests under NODE_V8_COVERAGE=coverage/tmp has left.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, tool } from './tools.js';

const ROOMS = ['src', 'solvers', 'models'];

/** Files of types alone: nothing of them runs, and c8 would count their every line as missed. */
function typesOnly() {
  const code = (file) =>
    readFileSync(file, 'utf8')
      .replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      .trim();
  return ROOMS.flatMap((room) =>
    readdirSync(join(root, 'build', room), { recursive: true })
      .filter((path) => path.endsWith('.js') && code(join(root, 'build', room, path)) === 'export {};')
      .map((path) => `${room}/${path.replaceAll('\\', '/').replace(/\.js$/, '.ts')}`),
  );
}

let tests = 0;
if (!process.argv.includes('--reuse')) {
  rmSync(join(root, 'coverage'), { recursive: true, force: true });
  const command = [process.execPath, join(root, 'scripts/test.js')];
  ({ code: tests } = await run(command, { env: { NODE_V8_COVERAGE: join(root, 'coverage/tmp') } }));
}
const report = await run(tool('c8', 'report', ...typesOnly().flatMap((file) => ['--exclude', file])));
process.exit(tests || report.code);
