/**
 * Compile the tests, then run them in each world: on tfjs's cpu backend as it is (float32), and with doubles in its tensors
 * (float64), where derivatives are checked to nearly the last digit; on the compiled backend in both precisions; on tfjs's
 * wasm backend; and, written for a backend that answers by promise only, on WebGPU (test/webgpu).
 * Arguments go to mocha: `npm test -- --grep dense`; `--world webgpu` (may be repeated) chooses worlds.
 */
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { record, root, run, tool } from './tools.js';
import { vulkanEnvironment } from './vulkan.js';

const STEADY = ['--require', './test/support/no-finalizers.cjs'];
const DOUBLES = ['--require', './test/support/float64.cjs'];
const ALL_BUT_WEBGPU = 'build/test/!(webgpu)/**/*.test.js';
// What has no backend of its own choosing: test/wasm, test/backend and test/examples need not run again.
// In doubles tfjs's Float32Array is no longer one, which the compiled backend's own float32 tests look at.
const ALL_BUT_WASM = 'build/test/!(wasm|webgpu)/**/*.test.js';
const ON_A_BACKEND = 'build/test/{core,functional,graph,layers,models,optimisers,solvers,training}/**/*.test.js';
const WORLDS = {
  float32: { files: ALL_BUT_WEBGPU, options: [], backend: 'cpu' },
  float64: { files: ALL_BUT_WASM, options: DOUBLES, backend: 'cpu' },
  'nullcline float32': { files: ON_A_BACKEND, options: [], backend: 'nullcline' },
  'nullcline float64': { files: ON_A_BACKEND, options: DOUBLES, backend: 'nullcline64' },
  wasm: { files: ON_A_BACKEND, options: [], backend: 'wasm' },
  webgpu: { files: 'build/test/webgpu/**/*.test.js', options: [], backend: 'webgpu', prepare: vulkanEnvironment },
  tensorflow: { files: ON_A_BACKEND, options: [], backend: 'tensorflow', onDemand: true },
  'tensorflow-gpu': { files: ON_A_BACKEND, options: [], backend: 'tensorflow-gpu', onDemand: true },
};
/** Each world is one thread: two of them make use of a second core. */
const AT_ONCE = 2;

const counts = (output) => {
  const count = (word) => Number(new RegExp(`^\\s+(\\d+) ${word}`, 'm').exec(output)?.[1] ?? 0);
  return { passed: count('passing'), failed: count('failing') };
};

/** The worlds asked for, and what is left of the arguments for mocha. */
function chooseWorlds(args) {
  const names = args.flatMap((word, i) => (args[i - 1] === '--world' ? [word] : []));
  const unknown = names.find((name) => !Object.hasOwn(WORLDS, name));
  if (unknown !== undefined) {
    console.error(`test: no world "${unknown}"; there are ${Object.keys(WORLDS).join(', ')}`);
    process.exit(1);
  }
  const wanted = names.length === 0 ? Object.keys(WORLDS).filter((name) => !WORLDS[name].onDemand) : names;
  const forMocha = args.filter((word, i) => word !== '--world' && args[i - 1] !== '--world');
  return { worlds: wanted.map((name) => [name, WORLDS[name]]), forMocha };
}

const { worlds: waiting, forMocha } = chooseWorlds(process.argv.slice(2));

// A test whose source is gone must not run.
rmSync(join(root, 'build'), { recursive: true, force: true });
const compiled = await run(tool('tsc', '-p', 'tsconfig.test.json'));
record('compile the tests', compiled.code === 0 ? 1 : 0, compiled.code === 0 ? 0 : 1);
if (compiled.code !== 0) {
  console.error('test: tsc -p tsconfig.test.json failed');
  process.exit(compiled.code);
}
// The examples import 'nullcline', as users do: within build/ that is what was just compiled, whatever lies in dist/.
const exports = { '.': './src/index.js', './solvers': './solvers/index.js', './models': './models/index.js' };
writeFileSync(join(root, 'build/package.json'), `${JSON.stringify({ name: 'nullcline', type: 'module', exports })}\n`);
cpSync(join(root, 'examples/data'), join(root, 'build/examples/data'), { recursive: true });

const codes = [];

async function worker() {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [world, { files, options, backend, prepare }] = next;
    const started = performance.now();
    const { env = {}, reason } = prepare?.() ?? {};
    if (reason !== undefined) {
      record(`tests in ${world} (SKIPPED: ${reason.split('\n')[0]})`, 0, 0);
      console.log(`\n=== ${world}: SKIPPED, not tested here ===\n${reason}`);
      continue;
    }
    const { code, output } = await run(tool('mocha', ...STEADY, ...options, files, ...forMocha), {
      env: { ...env, NULLCLINE_TEST_BACKEND: backend },
      quiet: true,
    });
    const { passed, failed } = counts(output);
    // mocha can also die without counting: an error while a file loads, or memory.
    record(`tests in ${world}`, passed, code !== 0 && failed === 0 ? 1 : failed);
    console.log(`\n=== ${world}, ${((performance.now() - started) / 1000).toFixed(1)} s ===\n${output}`);
    if (code !== 0 && failed === 0) console.error(`test: mocha ended with status ${code} in ${world}`);
    codes.push(code);
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, worker));
process.exit(codes.every((code) => code === 0) ? 0 : 1);
