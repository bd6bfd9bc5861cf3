/**
 * Check what a user would install: pack it, lint the tarball (publint, attw), look through its list of files, install it
 * into an empty project and train three steps there as an ES module, as CommonJS, in tslab and from bundles for Node and for
 * browsers. All must print the same losses. Then a project that has nothing else of tfjs than what npm installs by itself.
 * `npm run check:package -- --keep` leaves the projects for a look.
 */
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
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
  copyFileSync(join(root, 'test/package/both.mjs'), join(folder, 'both.mjs'));
  copyFileSync(join(root, 'scripts/tslab.js'), join(folder, 'tslab.mjs'));
}

/** A second project, with the package alone. */
const alone = mkdtempSync(join(tmpdir(), 'nullcline-alone-'));

function writeAlone() {
  writeFileSync(join(alone, 'package.json'), '{ "name": "alone", "version": "1.0.0", "private": true }\n');
  copyFileSync(join(root, 'test/package/core.mjs'), join(alone, 'core.mjs'));
  // The types of tfjs-core have none of the methods that all of tfjs adds.
  const text = readFileSync(join(root, 'test/package/training.ts'), 'utf8');
  const changed = text.replace("'@tensorflow/tfjs'", "'@tensorflow/tfjs-core'").replace('.asScalar()', '');
  writeFileSync(join(alone, 'training.mts'), changed);
  const options = { target: 'ES2022', module: 'NodeNext', strict: true, skipLibCheck: true, types: [] };
  const compilerOptions = { ...options, lib: ['ES2022', 'DOM'] };
  writeFileSync(join(alone, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['training.mts'] }));
}

/** Bundle a program of a project; the text of the bundle. */
async function bundled(project, source, options) {
  const { outputFiles, errors, warnings } = await build({ absWorkingDir: project, bundle: true, format: 'esm', write: false, outdir: project, logLevel: 'silent', ...source, ...options }); // prettier-ignore
  const [message] = [...errors, ...warnings];
  if (message !== undefined) throw new Error(message.text);
  return outputFiles[0].text;
}

/** The losses that the training prints from a bundle with all of its dependencies. */
async function fromBundle(platform, project = folder) {
  const file = join(project, `bundle-${platform}.${platform === 'node' ? 'cjs' : 'mjs'}`);
  const format = platform === 'node' ? 'cjs' : 'esm';
  // Backends that are not installed are left to the time when they are asked for.
  const external = Object.keys(manifest.peerDependenciesMeta).filter((name) => !existsSync(join(project, 'node_modules', name))); // prettier-ignore
  // To tfjs a worker of a browser is what has this name.
  const banner = platform === 'node' ? {} : { banner: { js: 'globalThis.WorkerGlobalScope = class {};' } };
  const options = { platform, format, external, ...banner };
  writeFileSync(file, await bundled(project, { entryPoints: ['training.mjs'] }, options));
  return losses([process.execPath, file], project);
}

/** Who imports one function gets no other room with it, and of this one only what the function uses. */
async function leavesOut() {
  const used = async (contents) => {
    const packages = ['@tensorflow/*', 'zod', 'ml-matrix', 'webgpu'];
    const text = await bundled(folder, { stdin: { contents, resolveDir: folder } }, { minify: true, platform: 'browser', external: packages }); // prettier-ignore
    return text.length;
  };
  const [few, all] = [
    await used("import { dense } from 'nullcline'; console.log(dense);"),
    await used("import * as all from 'nullcline'; console.log(all);"),
  ];
  if (few > all / 10) throw new Error(`one layer takes ${few} of ${all} bytes`);
  return `one layer takes ${few} of ${all} bytes`;
}

/** @param {string[]} command */
const losses = async (command, project = folder) => {
  const line = (await output(command, project)).split('\n').find((text) => text.startsWith('losses '));
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
    for (const platform of ['node', 'browser']) {
      const label = `a bundle for ${platform === 'node' ? 'Node' : 'browsers'}`;
      await check(`three steps from ${label}`, async () => void (printed[label] = await fromBundle(platform)));
    }
    await check('bundles leave out what is not used', leavesOut);
    await check('same losses everywhere', async () => {
      const different = new Set(Object.values(printed));
      if (different.size !== 1 || Object.keys(printed).length !== 5) throw new Error(JSON.stringify(printed, null, 2));
    });
    await check('the program of the README', async () => {
      const [, program, expected] = /```js\n(.*?)```\s+```text\n(.*?)```/s.exec(readme) ?? [];
      writeFileSync(join(folder, 'readme.mjs'), program);
      const found = await output([process.execPath, 'readme.mjs']);
      // The model's printout ends with a space that editors take away.
      const lines = (text) => text.trim().split('\n').map((line) => line.trimEnd()).join('\n'); // prettier-ignore
      if (lines(found) !== lines(expected)) throw new Error(`printed\n${found}\ninstead of\n${expected}`);
    });
    await check('import and require give one copy', async () => void (await output([process.execPath, 'both.mjs'])));
  }
  const installedAlone = await check('install the package alone', async () => {
    writeAlone();
    await output(npm('install', tarball), alone);
    const others = ['tfjs', 'tfjs-layers', 'tfjs-backend-webgl'].filter((name) => existsSync(join(alone, 'node_modules/@tensorflow', name))); // prettier-ignore
    if (others.length > 0) throw new Error(`it brought ${others.join(', ')}`);
  });
  if (installedAlone) {
    await check('gradients on tfjs-core', async () => void (await output([process.execPath, 'core.mjs'], alone)));
    await check('types on tfjs-core', async () => void (await output(tool('tsc', '-p', alone))));
    await check('three steps on tfjs-core', async () => void (await losses([process.execPath, 'training.mjs'], alone)));
    await check('three steps on tfjs-core, bundled', async () => void (await fromBundle('browser', alone)));
  }
  exitCode = failures === 0 ? 0 : 1;
} finally {
  if (process.argv.includes('--keep')) console.log(`kept ${folder} and ${alone}`);
  else for (const project of [folder, alone]) rmSync(project, { recursive: true, force: true });
}
process.exit(exitCode);
