/**
 * Compile without writing: the package, then everything with its tests and examples.
 *
 * Not `tsc` by name: tslab brings a TypeScript 5.0 of its own, which also claims `node_modules/.bin/tsc`.
 */
import { run, tool } from './tools.js';

let failed = false;
for (const project of ['tsconfig.json', 'tsconfig.test.json']) {
  const { code } = await run(tool('tsc', '--noEmit', '-p', project));
  if (code !== 0) console.error(`typecheck: ${project} failed`);
  failed ||= code !== 0;
}
process.exit(failed ? 1 : 0);
