/**
 * Compile the tests, then run them twice: with tfjs as it is (float32), and with doubles in its tensors (float64), where
 * derivatives are checked to nearly the last digit. Arguments go to mocha: `npm test -- --grep dense`.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { record, root, run, tool } from './tools.js';

const WORLDS = {
  float32: [],
  float64: ['--require', './test/support/float64.cjs'],
};

const counts = (output) => {
  const count = (word) => Number(new RegExp(`^\\s+(\\d+) ${word}`, 'm').exec(output)?.[1] ?? 0);
  return { passed: count('passing'), failed: count('failing') };
};

// A test whose source is gone must not run.
rmSync(join(root, 'build'), { recursive: true, force: true });
const compiled = await run(tool('tsc', '-p', 'tsconfig.test.json'));
record('compile the tests', compiled.code === 0 ? 1 : 0, compiled.code === 0 ? 0 : 1);
if (compiled.code !== 0) {
  console.error('test: tsc -p tsconfig.test.json failed');
  process.exit(compiled.code);
}

// Each world is one thread: two of them make use of a second core.
const codes = await Promise.all(
  Object.entries(WORLDS).map(async ([world, options]) => {
    const started = performance.now();
    const { code, output } = await run(tool('mocha', ...options, 'build/test/**/*.test.js', ...process.argv.slice(2)), {
      env: { NULLCLINE_TEST_PRECISION: world },
      quiet: true,
    });
    const { passed, failed } = counts(output);
    // mocha can also die without counting: an error while a file loads, or memory.
    record(`tests in ${world}`, passed, code !== 0 && failed === 0 ? 1 : failed);
    console.log(`\n=== ${world}, ${((performance.now() - started) / 1000).toFixed(1)} s ===\n${output}`);
    if (code !== 0 && failed === 0) console.error(`test: mocha ended with status ${code} in ${world}`);
    return code;
  }),
);
process.exit(codes.every((code) => code === 0) ? 0 : 1);
