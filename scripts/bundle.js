/**
 * dist/esm, as TypeScript wrote it, to what Node loads: dist/cjs, a file for each room in place of hundreds that it would have to
 * find, read and compile one by one; and dist/node, ES modules that hand out what dist/cjs exports, so that `import` and `require`
 * get the same copy, and Node need not read through any of it for the names. Bundlers and browsers take dist/esm itself, of which
 * they leave out what is not used.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rollup } from 'rollup';
import { root } from './tools.js';

const ROOMS = ['src', 'solvers', 'models'];
const ESM = join(root, 'dist/esm');
const CJS = join(root, 'dist/cjs');
const NODE = join(root, 'dist/node');

/** The one dependency that is taken in, without the locales and formats that nothing here uses: it is a hundred files. */
const ZOD = fileURLToPath(import.meta.resolve('zod'));
const isZod = (id) => id.startsWith(dirname(ZOD));

/** What has to be loaded even where nothing of it is named: it registers itself with tfjs. */
const REGISTERS = '@tensorflow/tfjs-backend-cpu';

/** The chunk of a module: its room's, and one for what `useBackend` loads. */
function chunkOf(id) {
  if (isZod(id)) return 'zod';
  const [room, folder] = relative(ESM, id).split(/[\\/]/);
  return folder === 'wasm' ? 'wasm' : room;
}

const plugin = {
  name: 'nullcline',
  resolveId: (id) => (id === 'zod' ? ZOD : null),
  /** What is loaded later is required too, but for the one package that is an ES module. */
  renderDynamicImport: ({ targetModuleId: id }) =>
    id === null || id === 'webgpu' ? null : { left: 'Promise.resolve().then(() => require(', right: '))' },
};

/** A warning about this package fails the build: there is none that can be left alone. */
function onLog(level, log) {
  const files = [log.id, log.loc?.file, ...(log.ids ?? [])].filter((file) => file !== undefined);
  if (level === 'debug' || level === 'info' || (files.length > 0 && files.every(isZod))) return;
  throw new Error(`rollup: ${log.message}`);
}

/** Write dist/cjs and dist/node. */
export async function bundle() {
  const build = await rollup({
    input: Object.fromEntries(ROOMS.map((room) => [`${room}/index`, join(ESM, room, 'index.js')])),
    external: (id) => id !== 'zod' && !id.startsWith('.') && !isAbsolute(id),
    treeshake: { moduleSideEffects: (id) => id === REGISTERS },
    plugins: [plugin],
    onLog,
  });
  const { output } = await build.write({
    dir: CJS,
    format: 'cjs',
    exports: 'named',
    // What is required has the names that are used of it, as they are.
    interop: 'esModule',
    generatedCode: 'es2015',
    hoistTransitiveImports: false,
    minifyInternalExports: false,
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    manualChunks: chunkOf,
    banner: ({ name }) => (name === 'zod' ? `/*\n${readFileSync(join(dirname(ZOD), 'LICENSE'), 'utf8').trim()}\n*/` : ''), // prettier-ignore
  });
  await build.close();
  // The package is "type": "module"; below this file it is not.
  writeFileSync(join(CJS, 'package.json'), '{ "type": "commonjs" }\n');
  for (const room of ROOMS) {
    // Of the declarations each kind of module needs its own.
    cpSync(join(ESM, room), join(CJS, room), { recursive: true, filter: (path) => !/\.js(\.map)?$/.test(path) });
    const { exports } = output.find(({ name, isEntry }) => isEntry && name === `${room}/index`);
    mkdirSync(NODE, { recursive: true });
    writeFileSync(
      join(NODE, `${room}.js`),
      `export {\n${exports.map((name) => `  ${name},\n`).join('')}} from '../cjs/${room}/index.js';\n`,
    );
  }
}
