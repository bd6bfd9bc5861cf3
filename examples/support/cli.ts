/**
 * Command lines of the examples: a table of options, read with `node:util`'s parser.
 *
 * ```ts
 * const { steps, seed } = commandLine({ name: 'spiral', summary: '...' }, { ...commonOptions({ steps: 300 }) });
 * ```
 */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { suggestion } from './nearest.js';

/** One option `--name VALUE` with its default. */
export interface Option<T> {
  /** What it is for, in the help text. */
  readonly about: string;
  /** What stands for the value in the help text: `N`. */
  readonly placeholder: string;
  readonly fallback: T;
  /** What is expected, for the message about a bad value: `an integer of at least 1`. */
  readonly expected: string;
  /** The value, or undefined when the text is not one. */
  readonly read: (text: string) => T | undefined;
  /** The words it can be, when those are few: a mistyped one gets the nearest suggested. */
  readonly words?: readonly string[];
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

export type OptionValues<O extends OptionTable> = { [K in keyof O]: O[K] extends Option<infer T> ? T : never };

export interface ProgramText {
  /** How the program is called: `lynx-hare`. */
  readonly name: string;
  /** What it does, in a sentence or two. */
  readonly summary: string;
}

/** A command line that cannot be read. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A whole number from `min` to `max`. */
export function integer(about: string, fallback: number, { min = -Infinity, max = Infinity } = {}): Option<number> {
  return {
    about,
    fallback,
    placeholder: 'N',
    expected: `an integer${range(min, max)}`,
    read: (text) => {
      const n = Number(text);
      return /^[+-]?\d+$/.test(text) && Number.isSafeInteger(n) && n >= min && n <= max ? n : undefined;
    },
  };
}

/** A finite number from `min` to `max`. */
export function number(about: string, fallback: number, { min = -Infinity, max = Infinity } = {}): Option<number> {
  return {
    about,
    fallback,
    placeholder: 'X',
    expected: `a number${range(min, max)}`,
    read: (text) => {
      const x = text.trim() === '' ? NaN : Number(text);
      return Number.isFinite(x) && x >= min && x <= max ? x : undefined;
    },
  };
}

/** One of a few words. */
export function choice<const W extends string>(about: string, fallback: W, words: readonly W[]): Option<W> {
  return {
    about,
    fallback,
    words,
    placeholder: 'NAME',
    expected: `one of ${words.join(', ')}`,
    read: (text) => words.find((word) => word === text),
  };
}

/** Any text but the empty one. */
export function text(about: string, fallback: string, placeholder = 'TEXT'): Option<string> {
  return { about, fallback, placeholder, expected: 'some text', read: (given) => (given === '' ? undefined : given) };
}

/** The backends an example can be asked to run on; `auto` is the best that is installed and can be read at once. */
export const BACKENDS = ['auto', 'nullcline', 'cpu', 'wasm', 'webgpu', 'tensorflow', 'tensorflow-gpu'] as const;

export interface CommonDefaults {
  readonly steps: number;
  readonly seed?: number;
  readonly backend?: (typeof BACKENDS)[number];
  readonly out?: string;
}

/** The options that every example has. */
export function commonOptions({ steps, seed = 0, backend = 'auto', out = 'out' }: CommonDefaults) {
  return {
    steps: integer('training steps', steps, { min: 1 }),
    seed: integer('seed of the random numbers', seed, { min: 0 }),
    backend: choice('where tensors live', backend, BACKENDS),
    out: text('folder for pictures, made if need be', out, 'FOLDER'),
  };
}

const range = (min: number, max: number): string => {
  if (min > -Infinity && max < Infinity) return ` from ${min} to ${max}`;
  if (min > -Infinity) return ` of at least ${min}`;
  return max < Infinity ? ` of at most ${max}` : '';
};

const readOne = (name: string, option: Option<unknown>, given: string | undefined): unknown => {
  if (given === undefined) throw new UsageError(`--${name}: a value is missing; expected ${option.expected}`);
  const value = option.read(given);
  if (value !== undefined) return value;
  const hint = suggestion(given, option.words ?? []);
  throw new UsageError(`--${name}: expected ${option.expected}, got "${given}"${hint}`);
};

/**
 * The values of the options, or 'help' when `--help` or `-h` was given.
 *
 * @throws UsageError naming the option, what was given and what was expected.
 */
export function parseCommandLine<O extends OptionTable>(options: O, argv: readonly string[]): OptionValues<O> | 'help' {
  const { tokens } = parseArgs({
    args: [...argv],
    options: {
      ...Object.fromEntries(Object.keys(options).map((name) => [name, { type: 'string' as const }])),
      help: { type: 'boolean', short: 'h' },
    },
    // Not strict, so that the message about an unknown option is ours and names the nearest one.
    strict: false,
    tokens: true,
  });
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(options)) values[name] = option.fallback;
  for (const token of tokens) {
    if (token.kind === 'positional')
      throw new UsageError(`"${token.value}" was not expected: all values belong to an option`);
    if (token.kind !== 'option') continue;
    if (token.name === 'help') return 'help';
    if (!Object.hasOwn(options, token.name)) {
      const hint = suggestion(token.name, [...Object.keys(options), 'help'], (name) => `--${name}`);
      throw new UsageError(`unknown option ${token.rawName}${hint}`);
    }
    values[token.name] = readOne(token.name, options[token.name], token.value);
  }
  return values as OptionValues<O>;
}

/** The text that `--help` prints. */
export function helpText({ name, summary }: ProgramText, options: OptionTable): string {
  const rows = Object.entries(options).map(([option, { placeholder, about, fallback, words }]) => [
    `--${option} ${placeholder}`,
    `${about}${words === undefined ? '' : `: ${words.join(', ')}`} (default ${fallback === Infinity ? 'no limit' : String(fallback)})`,
  ]);
  rows.push(['--help, -h', 'print this and end']);
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [`${name}: ${summary}`, '', `Usage: npm run ${name} -- [options]`, '', ...lines].join('\n');
}

/** What a script calls: the values; or the process ends, with the help text (status 0) or with an error (status 2). */
export function commandLine<O extends OptionTable>(
  program: ProgramText,
  options: O,
  argv: readonly string[] = process.argv.slice(2),
): OptionValues<O> {
  try {
    const values = parseCommandLine(options, argv);
    if (values !== 'help') return values;
    console.log(helpText(program, options));
    process.exit(0);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${program.name}: ${error.message}\nTry: npm run ${program.name} -- --help`);
    process.exit(2);
  }
}

/**
 * Make the folder for results before any work is done, so that a bad `--out` does not cost a training.
 *
 * @throws UsageError saying why it cannot be written to.
 */
export function outputFolder(path: string): string {
  // Folder by folder: Node 20's recursive mkdir never returns where the system refuses a folder with "no such file".
  const missing: string[] = [];
  let folder = resolve(path);
  try {
    for (; statSync(folder, { throwIfNoEntry: false }) === undefined; folder = dirname(folder)) missing.unshift(folder);
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is a file, not a folder`);
    accessSync(folder, constants.W_OK);
    for (const next of missing) mkdirSync(next);
  } catch (error) {
    throw new UsageError(`--out: cannot write to "${path}": ${(error as Error).message}`);
  }
  return path;
}

/** Make the folder for results and start the backend; where that fails, the process ends with one line that says why. */
export async function prepare<B extends string>(
  options: { readonly out: string; readonly backend: B },
  start: (backend: B) => Promise<string>,
): Promise<string> {
  try {
    outputFolder(options.out);
    return await start(options.backend);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(2);
  }
}
