/** How far training is: a bar in a terminal, a line now and then elsewhere. */

/** Where progress goes: `process.stderr`, or anything that takes text. */
export interface ProgressStream {
  write(text: string): unknown;
  /** A terminal: gets the bar. */
  readonly isTTY?: boolean | undefined;
}

export interface ProgressOptions {
  /** What is written before the bar. Default `training`. */
  readonly label?: string | undefined;
  /** Default `process.stderr`; without one, `console.log`. */
  readonly stream?: ProgressStream | undefined;
  /** Seconds between two lines where there is no terminal. Default 5. */
  readonly interval?: number | undefined;
}

export interface Standing {
  /** Steps made by this call. */
  readonly done: number;
  /** The last loss that was read. */
  readonly loss: number;
  readonly rate: number | undefined;
}

export interface Progress {
  /** Is it time to show something? Asked at every step, so that losses are read only when they are shown. */
  due(): boolean;
  show(standing: Standing): void;
  /** The last word; the terminal is as before afterwards. */
  end(standing: Standing | undefined, reason: string): void;
}

const REDRAW_SECONDS = 0.1;

/** What is left, from the mean time of a step so far. */
const secondsLeft = (started: number, done: number, total: number): number =>
  done === 0 ? NaN : ((now() - started) / done) * (total - done);

const now = (): number => performance.now() / 1000;

/** `1.5 s`, `2 min 5 s`, `1 h 3 min`. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Four significant digits, without an exponent where that is as short. */
export function formatNumber(x: number): string {
  const size = Math.abs(x);
  if (!Number.isFinite(x) || x === 0) return String(x);
  return size >= 1e-3 && size < 1e5 ? String(Number(x.toPrecision(4))) : x.toExponential(3).replace(/\.?0+e/, 'e');
}

const describe = ({ loss, rate }: Standing): string =>
  `loss ${formatNumber(loss)}${rate === undefined ? '' : `  rate ${formatNumber(rate)}`}`;

/** The way to report that fits the stream. */
export async function startProgress(total: number, options: ProgressOptions): Promise<Progress> {
  const { label = 'training', interval = 5 } = options;
  const stream = options.stream ?? standardError();
  if (stream.isTTY === true) {
    const bar = await terminalBar(total, label, stream);
    if (bar !== undefined) return bar;
  }
  return lines(total, label, interval, stream);
}

function standardError(): ProgressStream {
  const { process } = globalThis as { process?: { stderr?: ProgressStream } };
  return process?.stderr ?? { write: (text) => { console.log(text.trimEnd()); } }; // prettier-ignore
}

function lines(total: number, label: string, interval: number, stream: ProgressStream): Progress {
  const started = now();
  let last = started;
  const line = (standing: Standing, end: string): void => {
    stream.write(`${label} ${standing.done}/${total}  ${describe(standing)}  ${end}\n`);
  };
  return {
    due: () => now() - last >= interval,
    show: (standing) => {
      last = now();
      line(standing, `${formatSeconds(secondsLeft(started, standing.done, total))} left`);
    },
    end: (standing, reason) => {
      if (standing !== undefined) line(standing, `${reason} after ${formatSeconds(now() - started)}`);
    },
  };
}

async function terminalBar(total: number, label: string, stream: ProgressStream): Promise<Progress | undefined> {
  // Imported by a name that bundlers do not see: there is no terminal in a browser.
  const library = 'cli-progress';
  let module: typeof import('cli-progress');
  try {
    const loaded = (await import(library)) as typeof import('cli-progress') & {
      default?: typeof import('cli-progress');
    };
    module = loaded.default ?? loaded;
  } catch {
    return undefined; // lines will do
  }
  const started = now();
  const bar = new module.SingleBar(
    {
      format: `${label} {bar} {value}/{total}  {standing}  {left}`,
      stream: stream as NodeJS.WritableStream,
      barsize: 24,
      hideCursor: true,
      gracefulExit: false, // signals are the caller's
      clearOnComplete: false,
    },
    module.Presets.shades_classic,
  );
  bar.start(total, 0, { standing: '', left: '' });
  let last = started;
  const update = (standing: Standing, left: string): void => {
    last = now();
    bar.update(standing.done, { standing: describe(standing), left });
  };
  return {
    due: () => now() - last >= REDRAW_SECONDS,
    show: (standing) => {
      update(standing, `${formatSeconds(secondsLeft(started, standing.done, total))} left`);
    },
    end: (standing, reason) => {
      if (standing !== undefined) update(standing, `${reason} after ${formatSeconds(now() - started)}`);
      bar.stop();
    },
  };
}
