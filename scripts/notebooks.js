/**
 * The notebooks: written as Markdown in notebooks/source, where each block marked `ts` is a cell; kept with their outputs as
 * notebooks/*.ipynb.
 *
 *   node scripts/notebooks.js           open Jupyter on them
 *   node scripts/notebooks.js --write   make them from their sources, execute them and keep the outputs
 *   node scripts/notebooks.js --check   execute them anew; status 1 when a cell fails or a notebook is not its source's
 *
 * Names of notebooks after the flag choose some of them (`--write 1-first-steps`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { record, root, run } from './tools.js';
import { vulkanEnvironment } from './vulkan.js';

const FOLDER = join(root, 'notebooks');
const SOURCES = join(FOLDER, 'source');
const JUPYTER = join(root, 'node_modules/.cache/nullcline-jupyter');
/** Debian's names; elsewhere `pip install notebook nbconvert` brings the same. */
const PACKAGES = 'jupyter-core jupyter-client jupyter-nbconvert';

/** A kernel named tslab, for this checkout alone: `tslab install` would want IPython and write to the home folder. */
function kernelEnvironment() {
  const folder = join(JUPYTER, 'kernels/tslab');
  mkdirSync(folder, { recursive: true });
  const argv = [process.execPath, join(root, 'node_modules/tslab/bin/tslab'), 'kernel', '--config-path', '{connection_file}']; // prettier-ignore
  writeFileSync(
    join(folder, 'kernel.json'),
    JSON.stringify({ argv, display_name: 'TypeScript', language: 'typescript' }),
  );
  const found = vulkanEnvironment();
  const path = [JUPYTER, process.env.JUPYTER_PATH ?? ''].filter((part) => part !== '').join(':');
  return { ...('env' in found ? found.env : {}), JUPYTER_PATH: path };
}

/** Is there a `jupyter` with this subcommand? */
const has = (subcommand) => spawnSync('jupyter', [subcommand, '--version'], { stdio: 'ignore' }).status === 0;

const lines = (text) => text.split(/(?<=\n)/);

/** Markdown to cells. */
function cellsOf(source) {
  return source
    .split(/^```ts\n(.*?)^```$/ms)
    .map((text, i) => ({ text: text.trim(), isCode: i % 2 === 1 }))
    .filter(({ text }) => text !== '')
    .map(({ text, isCode }) =>
      isCode
        ? { cell_type: 'code', execution_count: null, metadata: {}, outputs: [], source: lines(text) }
        : { cell_type: 'markdown', metadata: {}, source: lines(text) },
    );
}

const notebookOf = (source) => ({
  cells: cellsOf(source),
  metadata: {
    kernelspec: { display_name: 'TypeScript', language: 'typescript', name: 'tslab' },
    language_info: { file_extension: '.ts', mimetype: 'text/typescript', name: 'typescript' },
  },
  nbformat: 4,
  nbformat_minor: 4,
});

const write = (file, notebook) => writeFileSync(file, `${JSON.stringify(notebook, null, 1)}\n`);
const read = (file) => JSON.parse(readFileSync(file, 'utf8'));
const codeOf = ({ cells }) =>
  JSON.stringify(cells.map(({ cell_type: type, source }) => [type, [source].flat().join('')]));

/** What the kernel says of the machine, or of the time, has no place in the repository. */
function cleaned(notebook) {
  let count = 0;
  for (const cell of notebook.cells) {
    cell.metadata = {};
    delete cell.id;
    if (cell.cell_type !== 'code') continue;
    cell.execution_count = ++count;
    cell.outputs = cell.outputs.filter(({ name }) => name !== 'stderr').map((output) => ({ ...output, metadata: {} }));
    for (const output of cell.outputs) {
      if (output.output_type === 'stream') delete output.metadata;
      if ('execution_count' in output) output.execution_count = count;
    }
  }
  const text = JSON.stringify(notebook.cells.flatMap(({ outputs = [] }) => outputs));
  for (const secret of [root, hostname()]) {
    if (secret.length > 4 && text.includes(secret)) throw new Error(`an output names "${secret}"`);
  }
  return { ...notebookOf(''), cells: notebook.cells };
}

/** nbconvert's run of one notebook where it lies. */
async function convert(file, env, folder, ...more) {
  const options = ['--to', 'notebook', '--execute', '--ExecutePreprocessor.timeout=600', '--ExecutePreprocessor.record_timing=False', ...more]; // prettier-ignore
  return run(['jupyter', 'nbconvert', ...options, '--output-dir', folder, file], { env, quiet: true });
}

/** Execute one notebook. The result; or an error that shows the cell and what it said, which nbconvert itself does not. */
async function execute(file, env) {
  const folder = mkdtempSync(join(tmpdir(), 'nullcline-notebook-'));
  const result = () => read(join(folder, basename(file)));
  try {
    const { code, output } = await convert(file, env, folder);
    if (code === 0) return result();
    await convert(file, env, folder, '--allow-errors');
    const said = ({ outputs = [] }) => outputs.filter(({ name }) => name === 'stderr').flatMap(({ text = [] }) => [text].flat()).join(''); // prettier-ignore
    const failed = existsSync(join(folder, basename(file))) ? result().cells.find((cell) => said(cell).trim() !== '') : undefined; // prettier-ignore
    if (failed === undefined) throw new Error(output.trim().split('\n').slice(-15).join('\n'));
    throw new Error(`${[failed.source].flat().join('')}\n---\n${said(failed)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Execute the notebooks, from their sources; with `keep`, keep what they put out. */
async function executeAll(names, keep) {
  if (!has('nbconvert')) {
    console.error(
      `notebooks: needs Jupyter's nbconvert: apt-get install ${PACKAGES}, or pip install notebook nbconvert`,
    );
    return 1;
  }
  const env = kernelEnvironment();
  let failures = 0;
  for (const name of names) {
    const started = performance.now();
    const fresh = notebookOf(readFileSync(join(SOURCES, `${name}.md`), 'utf8'));
    const file = join(FOLDER, `${name}.ipynb`);
    try {
      if (keep) write(file, fresh);
      else if (!existsSync(file) || codeOf(read(file)) !== codeOf(fresh)) throw new Error('it is not what its source says: npm run notebooks -- --write'); // prettier-ignore
      const executed = await execute(file, env);
      if (keep) write(file, cleaned(executed));
      record(`notebook ${name}`, 1, 0);
      console.log(`ok    ${name}, ${((performance.now() - started) / 1000).toFixed(0)} s`);
    } catch (error) {
      failures++;
      record(`notebook ${name}`, 0, 1);
      console.error(`FAIL  ${name}\n${error.message.replace(/^/gm, '      ')}`);
    }
  }
  return failures === 0 ? 0 : 1;
}

/** Jupyter's own window, with the kernel of this checkout. */
async function open() {
  const client = ['lab', 'notebook'].find(has);
  if (client === undefined) {
    console.error(
      'notebooks: there is no Jupyter here. Install one of\n' +
        '  pip install jupyterlab\n' +
        '  apt-get install jupyter-notebook\n' +
        'and run this again; or open notebooks/*.ipynb in an editor that reads them.',
    );
    return 1;
  }
  const { code } = await run(['jupyter', client, FOLDER], { env: kernelEnvironment() });
  return code;
}

const [mode, ...chosen] = process.argv.slice(2);
const all = readdirSync(SOURCES).filter((file) => file.endsWith('.md')).map((file) => file.slice(0, -3)).sort(); // prettier-ignore
const unknown = chosen.find((name) => !all.includes(name));
if (unknown !== undefined || (mode !== undefined && mode !== '--write' && mode !== '--check')) {
  console.error(`notebooks: ${unknown === undefined ? `unknown flag "${mode}"` : `no notebook "${unknown}"; there are ${all.join(', ')}`}`); // prettier-ignore
  process.exit(1);
}
process.exit(
  mode === undefined ? await open() : await executeAll(chosen.length > 0 ? chosen : all, mode === '--write'),
);
