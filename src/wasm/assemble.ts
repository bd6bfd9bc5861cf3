/**
 * Steps to one WebAssembly module: a function per distinct loop nest or product, and one function per stretch between two
 * host calls, which is a straight list of calls with the addresses filled in. What several threads compute is a function of
 * its own, `job0`, `job1`, ..., whose parameter is the number of the part; in its place the host is called, which has all
 * parts computed.
 */
import { binary, I32, i32, i32add, i32load, ModuleWriter, type Body, type Expr } from './emit/assembler.js';
import { bytesOfKind } from './emit/access.js';
import { convolutionFunction } from './emit/convolution.js';
import { moveFunction } from './emit/indirect.js';
import type { Lanes } from './emit/lanes.js';
import { matMulFunction } from './emit/matmul.js';
import { nestFunction } from './emit/nest.js';
import { randomFunction } from './emit/random.js';
import { MATH_IMPORTS } from './math/functions.js';
import type { CallStep, Step } from './steps.js';
import type { ParallelStep } from './threads/share-out.js';
import type { Job } from './threads/team.js';
import type { BufferSlot, View } from './views.js';

/** What a program does one after the other: an exported function, or a call of the host. */
export type Stage = { readonly run: string } | { readonly call: CallStep };

export interface Addresses {
  /** Where the table of pointers lies. */
  readonly table: number;
  fixed(buffer: BufferSlot): number;
}

export interface Assembly {
  readonly bytes: Uint8Array;
  readonly stages: readonly Stage[];
  readonly jobs: readonly Job[];
}

type Generated = Exclude<Step, CallStep> | ParallelStep;

const PARALLEL: typeof MATH_IMPORTS = [...MATH_IMPORTS, { name: 'parallel', parameters: [I32], results: [] }];

export function assemble(
  steps: readonly (Step | ParallelStep)[],
  L: Lanes,
  addresses: Addresses,
  isShared = false,
): Assembly {
  const module = isShared ? new ModuleWriter(PARALLEL, true) : new ModuleWriter(MATH_IMPORTS);
  const jobs: Job[] = [];
  const stages: Stage[] = [];
  let stretch: Generated[] = [];
  const close = (): void => {
    if (stretch.length === 0) return;
    const name = `stretch${stages.length}`;
    const steps = stretch;
    const index = module.function(name, [], [], (b) => {
      writeStretch(b, L, steps, addresses, jobs);
    });
    module.export(name, index);
    stages.push({ run: name });
    stretch = [];
  };
  for (const step of steps) {
    if (step.type === 'call') {
      close();
      stages.push({ call: step });
    } else {
      stretch.push(step);
    }
  }
  close();
  return { bytes: module.encode(), stages, jobs };
}

function functionOf(module: ModuleWriter, L: Lanes, step: Exclude<Step, CallStep>): number {
  if (step.type === 'nest') return nestFunction(module, L, step.spec);
  if (step.type === 'matmul') return matMulFunction(module, L, step.spec);
  if (step.type === 'convolution') return convolutionFunction(module, L, step.spec);
  return step.type === 'move' ? moveFunction(module, L, step.spec) : randomFunction(module, L, step.spec);
}

/** A new job: the function that computes any part of the step. */
function writeJob(
  module: ModuleWriter,
  L: Lanes,
  { parts, cost, isRepeatable }: ParallelStep,
  addresses: Addresses,
  jobs: Job[],
): number {
  const job = jobs.push({ parts: parts.length, cost, isRepeatable }) - 1;
  const index = module.function(`job${job}`, [I32], [], (b) => {
    parts.forEach((steps, part) => {
      b.when(binary(0x46, b.parameter(0), i32(part)), () => {
        writeStretch(b, L, steps, addresses, jobs);
      });
    });
  });
  module.export(`job${job}`, index);
  return job;
}

function writeStretch(b: Body, L: Lanes, steps: readonly Generated[], addresses: Addresses, jobs: Job[]): void {
  const locals = new Map<number, Expr>();
  const pointer = ({ buffer, offset }: View): Expr => {
    const bytes = offset * bytesOfKind(L, buffer.kind);
    if (buffer.home !== 'table') return i32(addresses.fixed(buffer) + bytes);
    let base = locals.get(buffer.index);
    if (base === undefined) {
      base = b.let(I32, i32load(i32(addresses.table), 4 * buffer.index));
      locals.set(buffer.index, base);
    }
    return bytes === 0 ? base : i32add(base, i32(bytes));
  };
  for (const step of steps) {
    if (step.type === 'parallel') {
      i32(writeJob(b.module, L, step, addresses, jobs))(b);
      b.call(b.module.importIndex('parallel'));
      continue;
    }
    const index = functionOf(b.module, L, step);
    const pointers = step.views.map(pointer);
    for (const p of pointers) p(b);
    b.call(index);
  }
}
