/**
 * What the scripts share: the repository's root, running a program, and the ledger that `.ci/run` adds up.
 */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** A tool that npm installed here, as the arguments of `node`: no shell and no `.cmd` file, so Windows works too. */
const TOOLS = {
  tsc: '@typescript/native/bin/tsc',
  mocha: 'mocha/bin/mocha.js',
  c8: 'c8/bin/c8.js',
  publint: 'publint/src/cli.js',
  attw: '@arethetypeswrong/cli/dist/index.js',
};

/**
 * Run a program to its end.
 *
 * @param {string[]} command
 * @param {{ cwd?: string, env?: Record<string, string>, quiet?: boolean }} [options] `quiet` keeps the output back.
 * @returns {Promise<{ code: number, output: string }>} stdout and stderr together when quiet.
 */
export function run(command, { cwd = root, env = {}, quiet = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0], command.slice(1), {
      cwd,
      env: { ...process.env, ...env },
      stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32' && command[0] === 'npm',
    });
    const chunks = [];
    child.stdout?.on('data', (chunk) => chunks.push(chunk));
    child.stderr?.on('data', (chunk) => chunks.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString('utf8') }));
  });
}

/** The command line of one of {@link TOOLS}. */
export const tool = (name, ...args) => [process.execPath, join(root, 'node_modules', TOOLS[name]), ...args];

/** Note a result for `.ci/run`, which names the ledger in the environment; elsewhere nothing is written. */
export function record(label, passed, failed) {
  const ledger = process.env.NULLCLINE_LEDGER;
  if (ledger) appendFileSync(ledger, `${passed} ${failed} ${label}\n`);
}
