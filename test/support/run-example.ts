/**
 * Runs an example as a user does, in a process of its own, and says what it wrote.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Options with which each example is done in seconds, or in a minute on a software GPU. */
export const SHORT: Readonly<Record<string, readonly string[]>> = {
  'lynx-hare': ['--steps', '6'],
  spiral: ['--steps', '2'],
  'neural-ode-digits': ['--steps', '2', '--digits', '64'],
  'deq-digits': ['--steps', '2', '--digits', '64'],
  'deq-maze': ['--steps', '4', '--size', '3', '--mazes', '2'],
};

export interface ExampleRun {
  /** The exit status. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The files written, by name. */
  readonly files: Readonly<Record<string, Buffer>>;
}

/** Compiled like this file, or not. */
const extension = extname(import.meta.url);

export async function runExample(name: string, options: readonly string[]): Promise<ExampleRun> {
  const script = fileURLToPath(new URL(`../../examples/${name}${extension}`, import.meta.url));
  const out = mkdtempSync(join(tmpdir(), `${name}-`));
  const args = [...(extension === '.ts' ? ['--import', 'tsx'] : []), script, '--out', out, ...options];
  try {
    const result = await new Promise<Omit<ExampleRun, 'files'>>((resolve) => {
      execFile(process.execPath, args, { maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
        resolve({ status, stdout, stderr });
      });
    });
    return {
      ...result,
      files: Object.fromEntries(readdirSync(out).map((file) => [file, readFileSync(join(out, file))])),
    };
  } finally {
    rmSync(out, { recursive: true });
  }
}

/** The loss at the end of each training, from the lines of progress: four digits. */
export const finalLosses = ({ stderr }: ExampleRun): number[] =>
  [...stderr.matchAll(/loss (\S+) .*done after/g)].map(([, loss]) => Number(loss));
