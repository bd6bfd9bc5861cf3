/**
 * Timing by races: all contestants of a case run in turn in one process, round after round, and are compared by medians.
 * What disturbs the machine meanwhile disturbs all of them; an absolute time would prove nothing.
 */

export interface Contestant {
  readonly name: string;
  /** Done before each round, outside the time measured: choosing a backend, for instance. */
  readonly enter?: () => unknown;
  readonly run: () => unknown;
}

export interface RaceOptions {
  /** Rounds that count; the result is the least median of three series of them. */
  readonly rounds?: number;
  /** Milliseconds that a round should take; the number of calls in it is chosen so. */
  readonly roundMs?: number;
  /** Milliseconds of running before anything counts, so that the engine has optimised. */
  readonly warmMs?: number;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Microseconds per call of each contestant, in order. */
export async function race(contestants: readonly Contestant[], options: RaceOptions = {}): Promise<number[]> {
  const { rounds = 21, roundMs = 2, warmMs = 50 } = options;
  const calls: number[] = [];
  for (const { enter, run } of contestants) {
    await enter?.();
    calls.push(Math.max(1, Math.round(roundMs / callMs(run, warmMs))));
  }
  const times = contestants.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { enter, run }] of contestants.entries()) {
      await enter?.();
      run(); // the first call after another contestant finds cold caches
      const start = performance.now();
      for (let k = 0; k < calls[i]; k++) run();
      times[i].push(((performance.now() - start) * 1000) / calls[i]);
    }
  }
  return times.map(leastMedian);
}

/** The least median of thirds of the rounds: what else the machine does comes and goes for longer than a round. */
function leastMedian(values: readonly number[]): number {
  const third = Math.ceil(values.length / 3);
  return Math.min(...[0, 1, 2].map((i) => values.slice(i * third, (i + 1) * third)).filter(({ length }) => length > 0).map(median)); // prettier-ignore
}

/** Milliseconds per call, after as long a warm-up; the fastest of some samples. */
function callMs(run: () => unknown, warmMs: number): number {
  const start = performance.now();
  let calls = 0;
  do {
    run();
    calls++;
  } while (performance.now() - start < warmMs);
  const sample = Math.max(1, Math.floor(calls / 10));
  const since = performance.now();
  for (let k = 0; k < sample; k++) run();
  return Math.max((performance.now() - since) / sample, 1e-5);
}

/** Three digits, for reading. */
export const digits = (x: number): string => (Number.isFinite(x) ? String(Number(x.toPrecision(3))) : '-');

/** A table whose first column is words and whose others are figures. */
export class Table {
  private readonly widths: readonly number[];

  constructor(title: string, columns: readonly string[], firstWidth = 28) {
    this.widths = columns.map((c, i) => (i === 0 ? firstWidth : Math.max(9, c.length + 2)));
    console.log(`\n${title}`);
    this.line(columns);
  }

  row(name: string, ...figures: (number | string)[]): void {
    this.line([name, ...figures.map((x) => (typeof x === 'number' ? digits(x) : x))]);
  }

  private line(cells: readonly string[]): void {
    console.log(cells.map((c, i) => (i === 0 ? c.padEnd(this.widths[i]) : c.padStart(this.widths[i]))).join(''));
  }
}

/** One line of JSON for machines to read. */
export function report(name: string, figures: Readonly<Record<string, string | number | boolean>>): void {
  const rounded = Object.entries(figures).map(([key, x]) => [key, typeof x === 'number' && Number.isFinite(x) ? Number(x.toPrecision(4)) : x]); // prettier-ignore
  console.log(JSON.stringify({ name, ...(Object.fromEntries(rounded) as object) }));
}

/** The directory of the hand-written limit: the first argument, or NULLCLINE_LIMIT. */
export const limitDirectory = (): string | undefined => process.argv[2] ?? process.env.NULLCLINE_LIMIT;
