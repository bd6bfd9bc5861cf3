/**
 * What runs here: every backend, whether it is installed and usable, on what it computes, and why not.
 */
import * as tf from '@tensorflow/tfjs-core';
import { isAbsent, messageOf } from './errors.js';
import { importPeer, PROVIDERS, start, type BackendName, type Import } from './providers.js';
import { lastChoice } from './use-backend.js';

/** One line of a {@link BackendReport}. */
export interface BackendStatus {
  readonly name: BackendName;
  /** Are its packages there? */
  readonly installed: boolean;
  /** Did it start? */
  readonly usable: boolean;
  /** Is it the active one? */
  readonly chosen: boolean;
  /** What its floating tensors can hold. */
  readonly precision: readonly ('float32' | 'float64')[];
  /** Whether `dataSync` works, and with it adaptive solves. Unknown where the backend is not usable. */
  readonly reading: 'synchronous' | 'asynchronous' | 'unknown';
  /** What it computes on; empty where it is not usable. */
  readonly device: string;
  /** Why it is not usable or why it was chosen; else empty. */
  readonly reason: string;
}

/** Prints as a table. */
export interface BackendReport {
  readonly backends: readonly BackendStatus[];
  /** The active backend, by the name of `useBackend`; undefined for one that `useBackend` does not know. */
  readonly chosen: BackendName | undefined;
  toString(): string;
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/**
 * Try every backend and report. Packages that are installed are loaded and the backends started, one after the other; the
 * one that is active stays so.
 *
 * ```ts
 * console.log(await backendReport());
 * ```
 */
export function backendReport(): Promise<BackendReport> {
  return reportFrom(importPeer);
}

/** {@link backendReport}, with the optional packages from elsewhere. */
export async function reportFrom(from: Import): Promise<BackendReport> {
  tf.env().set('PROD', true);
  const active = tf.getBackend() as string | undefined;
  const chosen = nameOfActive(active);
  const backends: BackendStatus[] = [];
  try {
    for (const name of Object.keys(PROVIDERS) as BackendName[]) backends.push(await statusOf(name, chosen, from));
  } finally {
    if (active !== undefined && active !== '') await tf.setBackend(active);
  }
  const report = { backends, chosen };
  const print = (): string => format(report);
  Object.defineProperty(report, 'toString', { value: print });
  Object.defineProperty(report, INSPECT, { value: print });
  return Object.freeze(report);
}

function nameOfActive(active: string | undefined): BackendName | undefined {
  const last = lastChoice()?.started.name;
  const bears = (name: BackendName): boolean =>
    PROVIDERS[name].tfjsName === active || PROVIDERS[name].doubles === active;
  // Two packages call their backend `tensorflow`.
  if (last !== undefined && bears(last)) return last;
  return (Object.keys(PROVIDERS) as BackendName[]).find(bears);
}

async function statusOf(name: BackendName, chosen: BackendName | undefined, from: Import): Promise<BackendStatus> {
  const { doubles, packages } = PROVIDERS[name];
  const known = { name, chosen: name === chosen, precision: doubles === undefined ? (['float32'] as const) : (['float32', 'float64'] as const) }; // prettier-ignore
  try {
    const { device, reading } = await start(name, 'float32', from);
    const choice = lastChoice();
    const why = known.chosen ? (choice?.started.name === name ? choice.why : 'chosen by tfjs') : '';
    return { ...known, installed: true, usable: true, reading, device, reason: why };
  } catch (error) {
    const cause = (error as Error).cause;
    const installed = !packages.some((needed) => isAbsent(cause, needed));
    return { ...known, installed, usable: false, reading: 'unknown', device: '', reason: messageOf(error) };
  }
}

/** Width that reasons are wrapped to. */
const WIDTH = 100;

function format({ backends }: Pick<BackendReport, 'backends'>): string {
  const rows = backends.map(({ name, installed, usable, chosen, precision, reading, device }) => [
    `${chosen ? '*' : ' '} ${name}`,
    installed ? 'yes' : 'no',
    usable ? 'yes' : 'no',
    precision.join(', '),
    usable ? reading : '',
    device,
  ]);
  const table = [['  backend', 'installed', 'usable', 'precision', 'reading', 'device'], ...rows];
  const widths = table[0].map((_, j) => Math.max(...table.map((row) => row[j].length)));
  const lines = table.map((row) => row.map((cell, j) => cell.padEnd(widths[j])).join('  ').trimEnd()); // prettier-ignore
  const notes = backends.flatMap(({ name, reason }) => (reason === '' ? [] : wrap(`${name}: ${reason}`)));
  return [...lines, '', ...notes].join('\n');
}

function wrap(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1];
    if (last !== '' && last.length + word.length + 1 > WIDTH) lines.push(`    ${word}`);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines;
}
