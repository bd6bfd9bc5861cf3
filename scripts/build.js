/** Compile the package to dist/esm, and bundle that for Node to dist/cjs and dist/node. */
import { existsSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { bundle } from './bundle.js';
import { root, run, tool } from './tools.js';

// A file that no longer exists in the sources must not stay in the package.
rmSync(join(root, 'dist'), { recursive: true, force: true });

const { code } = await run(tool('tsc', '-p', 'tsconfig.json'));
if (code !== 0) {
  console.error('build: tsc failed');
  process.exit(code);
}
await bundle();

// Notebooks in this repository import 'nullcline' as everywhere else. Node finds a package from within itself, but the
// TypeScript of tslab looks in node_modules only.
const installed = join(root, 'node_modules/nullcline');
if (!existsSync(installed)) symlinkSync(root, installed, 'junction');
