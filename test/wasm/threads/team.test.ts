import { expect } from 'chai';
import { describe, it } from 'mocha';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Worker } from 'node:worker_threads';
import {
  I32,
  i32,
  i32add,
  i32load,
  i32mul,
  ModuleWriter,
  type Body,
  type Expr,
} from '../../../src/wasm/emit/assembler.js';
import { Heap } from '../../../src/wasm/heap.js';
import { Team } from '../../../src/wasm/threads/team.js';
import { WORDS } from '../../../src/wasm/threads/worker.js';

const store = (b: Body): void => {
  b.plain(0x36);
  b.memory(0);
};

/** A module of one job. */
function moduleOf(write: (b: Body) => void): WebAssembly.Module {
  const writer = new ModuleWriter([], true);
  writer.export('job0', writer.function('job0', [I32], [], write));
  return new WebAssembly.Module(writer.encode());
}

interface Fixture {
  readonly heap: Heap;
  readonly team: Team;
  /** What the team has warned of. */
  readonly warnings: string[];
}

function withTeam(size: number, use: (fixture: Fixture) => void, silence?: number): void {
  const heap = new Heap();
  heap.move(true);
  const warnings: string[] = [];
  const team = new Team(heap.memory, size, 0, (message) => warnings.push(message), silence);
  try {
    use({ heap, team, warnings });
  } finally {
    team.end();
  }
}

/** Longer than any worker takes to start on any machine. */
const PATIENCE = 30_000;

/** The program on the team, the main thread waiting before each part that it computes itself until that is so. */
function programOf(
  { heap, team }: Fixture,
  module: WebAssembly.Module,
  parts: number,
  isTime = (): boolean => true,
  isRepeatable = true,
) {
  const program = team.program(module, [{ parts, cost: 1, isRepeatable }]);
  const { exports } = new WebAssembly.Instance(module, { host: { memory: heap.memory } });
  const counted = { ...program, own: 0 };
  program.link({
    job0: (part: number) => {
      counted.own++;
      for (const end = performance.now() + PATIENCE; !isTime() && performance.now() < end;);
      (exports.job0 as (part: number) => void)(part);
    },
  });
  return counted;
}

/** A row of so many zeros. */
function rowOf({ heap }: Fixture, count: number, row = heap.allocate(4 * count)) {
  const counts = (): number[] => Array.from(heap.i32.subarray(row / 4, row / 4 + count));
  heap.i32.fill(0, row / 4, row / 4 + count);
  return { row, counts, isBegun: () => counts().some((n) => n > 0) };
}

const times = (n: number, count: number): number[] => new Array<number>(count).fill(n);

/** Adds one to the number of the part in a row of numbers. */
const counting = (row: number): WebAssembly.Module =>
  moduleOf((b) => {
    const place = i32add(i32(row), i32mul(b.parameter(0), i32(4)));
    place(b);
    i32add(i32load(place), i32(1))(b);
    store(b);
  });

/** Parts from that one on run into `unreachable`. */
const failing = (from: number): WebAssembly.Module =>
  moduleOf((b) => {
    b.parameter(0)(b);
    i32(from)(b);
    b.plain(0x4e, 0x04, 0x40, 0x00, 0x0b);
  });

/** Marks the number of the part in a row of numbers, and goes on only when `until` is true, if ever. */
const holding = (row: number, until: Expr): WebAssembly.Module =>
  moduleOf((b) => {
    i32add(i32(row), i32mul(b.parameter(0), i32(4)))(b);
    i32(1)(b);
    store(b);
    b.repeat(() => undefined, (c) => {
      until(c);
      c.plain(0x45);
    }); // prettier-ignore
  });

const NEVER = i32(0);
const untilPositive = (word: number): Expr => i32load(i32(4 * word));

describe('a team of threads', function () {
  this.timeout(300_000);

  it('computes every part once, job after job, at once and when its workers have started', () => {
    withTeam(3, (fixture) => {
      const { row, counts } = rowOf(fixture, 37);
      const program = programOf(fixture, counting(row), 37);
      for (let jobs = 1; jobs <= 3000; jobs++) {
        program.parallel(0);
        if (!counts().every((n) => n === jobs)) expect.fail(`after ${jobs} jobs: ${counts().join()}`);
      }
    });
  });

  it('shares the parts with its workers', () => {
    withTeam(3, (fixture) => {
      const { row, counts, isBegun } = rowOf(fixture, 100);
      const program = programOf(fixture, counting(row), 100, isBegun);
      program.parallel(0);
      expect(program.own).to.be.lessThan(100);
      expect(counts()).to.deep.equal(times(1, 100));
    });
  });

  it('knows the programs that come and go', () => {
    withTeam(2, (fixture) => {
      const { row, counts, isBegun } = rowOf(fixture, 16);
      for (let i = 0; i < 300; i++) {
        const program = programOf(fixture, counting(row), 16, isBegun);
        program.parallel(0);
        program.dispose();
      }
      expect(counts()).to.deep.equal(times(300, 16));
    });
  });

  it('throws the error of the first part that failed, in whatever thread, and goes on', () => {
    withTeam(3, (fixture) => {
      const program = programOf(fixture, failing(2), 16);
      for (let i = 0; i < 200; i++) expect(() => { program.parallel(0); }).to.throw(/unreachable/); // prettier-ignore
      const { row, counts } = rowOf(fixture, 16);
      programOf(fixture, counting(row), 16).parallel(0);
      expect(counts()).to.deep.equal(times(1, 16));
    });
  });

  it('throws what a worker met and the main thread did not', () => {
    withTeam(2, (fixture) => {
      const { heap, team } = fixture;
      const program = team.program(failing(0), [{ parts: 2, cost: 1, isRepeatable: true }]);
      program.link({
        job0: () => {
          for (const end = performance.now() + PATIENCE; heap.i32[WORDS.failed] === 0 && performance.now() < end;);
        },
      });
      expect(() => { program.parallel(0); }).to.throw(/unreachable/); // prettier-ignore
    });
  });

  it('works on memory that has grown since its workers started', () => {
    withTeam(2, (fixture) => {
      const { heap } = fixture;
      for (let i = 0; i < 6; i++) {
        const bytes = (1 << 20) * 2 ** i;
        const { row, counts, isBegun } = rowOf(fixture, 100, heap.allocate(bytes) + bytes - 400);
        const program = programOf(fixture, counting(row), 100, isBegun);
        program.parallel(0);
        expect(counts(), `row at ${row}`).to.deep.equal(times(1, 100));
        expect(program.own).to.be.lessThan(100);
      }
      expect(heap.size).to.be.greaterThan(60 << 20);
    });
  });

  /** Three jobs of eight parts; in the first, a worker ends in the middle of one. The parts that the main thread computed in each. */
  const withoutItsWorker = (isRepeatable: boolean, use: (job: () => number[], warnings: readonly string[]) => void): void => {
    withTeam(2, (fixture) => {
      const { team, warnings } = fixture;
      const { row, isBegun } = rowOf(fixture, 8);
      const program = team.program(holding(row, NEVER), [{ parts: 8, cost: 1, isRepeatable }]);
      const own: number[] = [];
      let isEnding = false;
      program.link({
        job0: (part: number) => {
          own.push(part);
          for (const end = performance.now() + PATIENCE; !isBegun() && performance.now() < end;);
          if (!isEnding) team.endWorker(0);
          isEnding = true;
        },
      });
      use(() => {
        own.length = 0;
        program.parallel(0);
        return own;
      }, warnings);
    });
  }; // prettier-ignore

  it('computes what a worker left when it ended, says so once and goes on', () => {
    withoutItsWorker(true, (job, warnings) => {
      const parts = job();
      // The one that was left comes last.
      expect(parts.slice(0, 7)).to.deep.equal(parts.slice(0, 7).sort());
      expect([...parts].sort()).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(warnings).to.have.length(1);
      expect(warnings[0]).to.match(/worker thread 1 ended \(exit code 1\); 1 of 2 threads go on/);
      expect(job()).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(warnings).to.have.length(1);
    });
  });

  it('throws where what the worker left cannot be computed again, and goes on', () => {
    withoutItsWorker(false, (job, warnings) => {
      expect(job).to.throw(
        /worker thread 1 ended \(exit code 1\) in the middle of a kernel.*program 0, job 0, part \d of 8/,
      );
      expect(warnings).to.have.length(1);
      expect(job()).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7]);
    });
  });

  it('goes on with the workers that are left', () => {
    withTeam(3, (fixture) => {
      const { team, warnings } = fixture;
      const { row, counts } = rowOf(fixture, 16);
      const program = programOf(fixture, counting(row), 16);
      let jobs = 0;
      team.endWorker(1);
      for (const end = performance.now() + PATIENCE; warnings.length === 0 && performance.now() < end; jobs++) {
        program.parallel(0);
        if (!counts().every((n) => n === jobs + 1)) expect.fail(`after ${jobs + 1} jobs: ${counts().join()}`);
      }
      expect(warnings).to.have.length(1);
      expect(warnings[0]).to.match(/worker thread 2 ended \(exit code \d\); 2 of 3 threads go on/);
      const last = rowOf(fixture, 16);
      const shared = programOf(fixture, counting(last.row), 16, last.isBegun);
      shared.parallel(0);
      expect(last.counts()).to.deep.equal(times(1, 16));
      expect(shared.own).to.be.lessThan(16);
    });
  });

  it('waits for a worker as long as it takes, and asks meanwhile whether somebody watches it', () => {
    withTeam(2, (fixture) => {
      const { heap, warnings } = fixture;
      const { row, isBegun } = rowOf(fixture, 2);
      // The worker's part ends when the supervisor has answered.
      const module = holding(row, untilPositive(WORDS.answered));
      const program = fixture.team.program(module, [{ parts: 2, cost: 1, isRepeatable: true }]);
      const own: number[] = [];
      program.link({
        job0: (part: number) => {
          own.push(part);
          for (const end = performance.now() + PATIENCE; !isBegun() && performance.now() < end;);
        },
      });
      program.parallel(0);
      expect(heap.i32[WORDS.answered]).to.equal(heap.i32[WORDS.asked]);
      expect(own).to.have.length(1);
      expect(warnings).to.have.length(0);
    });
  });

  it('throws when nobody is left to watch a worker, and goes on alone', () => {
    withTeam(
      2,
      (fixture) => {
        const { team, warnings } = fixture;
        const { row, isBegun } = rowOf(fixture, 4);
        const program = team.program(holding(row, NEVER), [{ parts: 4, cost: 1, isRepeatable: true }]);
        const own: number[] = [];
        program.link({
          job0: (part: number) => {
            own.push(part);
            for (const end = performance.now() + PATIENCE; !isBegun() && performance.now() < end;);
            void (team as unknown as { supervisor: Worker }).supervisor.terminate();
          },
        });
        const message = /worker thread 1 and its supervisor give no sign of life \(program 0, job 0\)/;
        expect(() => { program.parallel(0); }).to.throw(message); // prettier-ignore
        expect(warnings).to.have.length(1);
        expect(warnings[0]).to.match(message);
        own.length = 0;
        program.parallel(0);
        expect(own).to.deep.equal([0, 1, 2, 3]);
      },
      1,
    );
  });

  it('computes alone when it has ended', () => {
    withTeam(2, (fixture) => {
      const { row, counts } = rowOf(fixture, 16);
      const program = programOf(fixture, counting(row), 16);
      fixture.team.end();
      program.parallel(0);
      expect(program.own).to.equal(16);
      expect(counts()).to.deep.equal(times(1, 16));
    });
  });
});

describe('a process with threads', function () {
  this.timeout(300_000);

  it('ends by itself, without an await before its first product', async () => {
    const own = import.meta.url;
    const script = fileURLToPath(new URL(`process${own.slice(-3)}`, own));
    const given = own.endsWith('.ts') ? ['--import', 'tsx', script] : [script];
    const { stdout } = await promisify(execFile)(process.execPath, given);
    expect(stdout).to.equal('same\n');
  });
});
