/**
 * Check what a user would install: pack it, lint the tarball (publint, attw), look through its list of files, install it
 * into an empty project and train three steps there as an ES module, as CommonJS and in tslab. The three must print the
 * same losses. `npm run check:package -- --keep` leaves the project for a look.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { record, root, run, tool } from './tools.js';

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'nullcline-package-'));
const tarball = join(folder, `${manifest.name}-${manifest.version}.tgz`);
let failures = 0;

/** One check: it fails when `body` throws, and the others still run. */
async function check(label, body) {
  try {
    const remark = await body();
    record(label, 1, 0);
    console.log(`ok    ${label}${remark ? `: ${remark}` : ''}`);
    return true;
  } catch (error) {
    failures++;
    record(label, 0, 1);
    console.error(`FAIL  ${label}\n${error.message.replace(/^/gm, '      ')}`);
    return false;
  }
}

/** Run a command in the project and return what it printed. */
async function output(command, cwd = folder) {
  const result = await run(command, { cwd, quiet: true });
  if (result.code !== 0) throw new Error(`${command.join(' ')}\nended with status ${result.code}\n${result.output}`);
  return result.output.trim();
}

const npm = (...args) => ['npm', ...args, '--no-audit', '--no-fund', '--ignore-scripts'];

/** What the package must carry, and what has no business in it. */
const EXPECTED = ['package/LICENSE', 'package/README.md', 'package/CHANGELOG.md', 'package/dist/cjs/package.json'];
const UNWANTED = /^package\/(test|build|coverage|examples|bench|notebooks|scripts|\.)/;

async function listFiles() {
  const files = (await output(['tar', '-tzf', tarball])).split('\n');
  const entries = Object.values(manifest.exports)
    .flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry).flatMap((c) => Object.values(c))))
    .concat(manifest.main, manifest.module, manifest.types, Object.values(manifest.typesVersions['*']).flat())
    .map((path) => path.replace('./', 'package/'));
  const missing = [...EXPECTED, ...entries].filter((path) => !files.includes(path));
  const unwanted = files.filter((path) => UNWANTED.test(path));
  if (missing.length > 0) throw new Error(`missing from the tarball: ${missing.join(', ')}`);
  if (unwanted.length > 0) throw new Error(`not for the tarball: ${unwanted.join(', ')}`);
  return `${files.length} files`;
}

/** The dev dependencies of this repository that the project needs, at the same versions. */
const pinned = (...names) => names.map((name) => `${name}@${manifest.devDependencies[name]}`);

function writeProject() {
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "version": "1.0.0", "private": true }\n');
  const options = { target: 'ES2022', module: 'NodeNext', strict: true, skipLibCheck: true, types: ['node'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['training.mts', 'training.cts'] })); // prettier-ignore
  const source = join(root, 'test/package/training.ts');
  for (const name of ['training.mts', 'training.cts', 'cells.ts']) copyFileSync(source, join(folder, name));
  copyFileSync(join(root, 'scripts/tslab.js'), join(folder, 'tslab.mjs'));
  writeFileSync(
    join(folder, 'both.mjs'),
    // What one copy of the package makes, the other must take.
    `import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs';
import * as esm from 'nullcline';
const cjs = createRequire(import.meta.url)('nullcline');
const model = cjs.chain(esm.dense(2, 3, 'tanh'), cjs.dense(3, 1));
const [ps, st] = esm.setup(cjs.key(0), model);
const loss = (p) => esm.apply(model, tf.ones([4, 2]), p, st)[0].square().sum();
const [a, b] = [esm, cjs].map((copy) => copy.ravel(copy.valueAndGrad(loss)(ps).grad)[0].dataSync());
if (a.length !== 13 || a.some((g, i) => g !== b[i])) throw new Error('the two builds differ');
`,
  );
}

/** @param {string[]} command */
const losses = async (command) => {
  const line = (await output(command)).split('\n').find((text) => text.startsWith('losses '));
  if (line === undefined) throw new Error('no losses printed');
  return line;
};

let exitCode = 1;
try {
  await check('build and pack', async () => {
    await output(['npm', 'run', 'build'], root);
    await output(npm('pack', '--pack-destination', folder), root);
    if (!existsSync(tarball)) throw new Error(`npm pack did not write ${tarball}`);
  });
  await check('files of the tarball', listFiles);
  await check('publint', async () => void (await output(tool('publint', tarball, '--strict'))));
  await check('attw (node10, node16, bundler)', async () => void (await output(tool('attw', tarball, '--no-emoji'))));
  const installed = await check('install into an empty project', async () => {
    writeProject();
    const beside = pinned('@tensorflow/tfjs', 'tslab', '@types/node', '@typescript/native');
    await output(npm('install', tarball, ...beside));
  });
  if (installed) {
    await check('types in the project', async () => void (await output(tool('tsc', '-p', folder))));
    const printed = {};
    for (const [label, ...command] of [
      ['ES module', 'training.mjs'],
      ['CommonJS', 'training.cjs'],
      ['tslab', 'tslab.mjs', 'cells.ts'],
    ]) {
      await check(
        `three steps as ${label}`,
        async () => (printed[label] = await losses([process.execPath, ...command])),
      );
    }
    await check('same losses everywhere', async () => {
      const different = new Set(Object.values(printed));
      if (different.size !== 1 || Object.keys(printed).length !== 3) throw new Error(JSON.stringify(printed, null, 2));
    });
    await check('the program of the README', async () => {
      const [, program, expected] = /```js\n(.*?)```\s+```text\n(.*?)```/s.exec(readme) ?? [];
      writeFileSync(join(folder, 'readme.mjs'), program);
      const found = await output([process.execPath, 'readme.mjs']);
      // The model's printout ends with a space that editors take away.
      const lines = (text) => text.trim().split('\n').map((line) => line.trimEnd()).join('\n'); // prettier-ignore
      if (lines(found) !== lines(expected)) throw new Error(`printed\n${found}\ninstead of\n${expected}`);
    });
    await check('both builds in one process', async () => void (await output([process.execPath, 'both.mjs'])));
  }
  exitCode = failures === 0 ? 0 : 1;
} finally {
  if (process.argv.includes('--keep')) console.log(`kept ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
process.exit(exitCode);
