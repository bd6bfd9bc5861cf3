/**
 * Code that knows the sizes of its operands only when it runs: for operations outside traced functions, where compiling
 * for each new shape would cost more than the operation. One small module per operation, made at its first use.
 */
import { I32, i32, i32add, localExpr, ModuleWriter, type Body, type Expr, binary } from '../emit/assembler.js';
import type { Heap } from '../heap.js';
import { HOST_FUNCTIONS, MATH_IMPORTS } from '../math/functions.js';

export type Code = (...numbers: number[]) => void;

/** Compile one function whose parameters are all integers. */
export function link(heap: Heap, parameters: number, write: (b: Body) => void): Code {
  const module = new ModuleWriter(MATH_IMPORTS, heap.isShared);
  const types = new Array<typeof I32>(parameters).fill(I32);
  module.export('run', module.function('run', types, [], write));
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { host: { memory: heap.memory, ...HOST_FUNCTIONS } }); // prettier-ignore
  return exports.run as Code;
}

export const i32and = (x: Expr, y: Expr): Expr => binary(0x71, x, y);
export const i32shr = (x: Expr, by: number): Expr => binary(0x76, x, i32(by));
export const i32eq = (x: Expr, y: Expr): Expr => binary(0x46, x, y);
export const bump = (b: Body, local: number, by: Expr): void => {
  b.set(local, i32add(localExpr(local), by));
};

/** `body` as often as the value says, perhaps not at all. */
export function repeat(b: Body, count: Expr, body: () => void): void {
  const left = b.local(I32);
  b.set(left, count);
  b.when(localExpr(left), () => {
    b.repeat(body, b.tee(left, i32add(localExpr(left), i32(-1))));
  });
}

/** A new variable that starts with this value. */
export function variable(b: Body, value: Expr): number {
  const local = b.local(I32);
  b.set(local, value);
  return local;
}
