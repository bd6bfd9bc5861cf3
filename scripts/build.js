/** Compile the package twice: ES modules to dist/esm, CommonJS to dist/cjs. */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, tool } from './tools.js';

// A file that no longer exists in the sources must not stay in the package.
rmSync(join(root, 'dist'), { recursive: true, force: true });

for (const project of ['tsconfig.json', 'tsconfig.cjs.json']) {
  const { code } = await run(tool('tsc', '-p', project));
  if (code !== 0) {
    console.error(`build: tsc -p ${project} failed`);
    process.exit(code);
  }
}

// The package is "type": "module"; below this file it is not.
mkdirSync(join(root, 'dist/cjs'), { recursive: true });
writeFileSync(join(root, 'dist/cjs/package.json'), '{ "type": "commonjs" }\n');

// Notebooks in this repository import 'nullcline' as everywhere else. Node finds a package from within itself, but the
// TypeScript of tslab looks in node_modules only.
const installed = join(root, 'node_modules/nullcline');
if (!existsSync(installed)) symlinkSync(root, installed, 'junction');
