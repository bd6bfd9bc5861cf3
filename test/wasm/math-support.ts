/** Runs one vector function of the code generator, or a kernel of one operand, over an array. */
import { I32, i32, i32add, localExpr, ModuleWriter, type Expr } from '../../src/wasm/emit/assembler.js';
import { F32X4, F64X2, type Lanes } from '../../src/wasm/emit/lanes.js';
import { elementwiseTerm } from '../../src/wasm/elementwise.js';
import { emitTerm, loadLeaf, type Term } from '../../src/wasm/emit/terms.js';
import { applyMath, HOST_FUNCTIONS, isMathFunction, MATH_IMPORTS } from '../../src/wasm/math/functions.js';

type Floats = Float32Array | Float64Array;

/** What tfjs's kernel of that name is made of, where it is no function of its own. */
const kernelTerm = (name: string): Term =>
  elementwiseTerm(name[0].toUpperCase() + name.slice(1), [loadLeaf('float', 0)], {}) as Term;

export function vectorFunction<T extends Floats>(name: string, bits: 32 | 64, arity: 1 | 2 = 1): (x: T, y?: T) => T {
  const writer = new ModuleWriter(MATH_IMPORTS);
  writer.export('run', mathLoop(writer, bits === 32 ? F32X4 : F64X2, name, arity));
  const module = new WebAssembly.Module(writer.encode());
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { run } = new WebAssembly.Instance(module, { host: { memory, ...HOST_FUNCTIONS } }).exports as {
    run: (from: number, to: number, count: number, second: number) => void;
  };
  return (x, y = x) => {
    const block = (x.byteLength + 31) & ~15;
    const missing = 3 * block - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    const Kind = x.constructor as new (b: ArrayBuffer, at: number, n: number) => T;
    const at = (i: number): T => new Kind(memory.buffer, i * block, x.length);
    at(0).set(x);
    at(2).set(y);
    run(0, block, Math.ceil(x.byteLength / 16), 2 * block);
    return at(1).slice() as T;
  };
}

/** A function from `count` vectors at one address to another: (from, to, count, second operand). */
function mathLoop(module: ModuleWriter, L: Lanes, name: string, arity: 1 | 2): number {
  return module.function('loop', [I32, I32, I32, I32], [], (b) => {
    const load =
      (pointer: number): Expr =>
      (c) => {
        c.get(pointer);
        c.simd(0);
        c.memory(0);
      };
    b.repeat(
      () => {
        const operands = arity === 1 ? [load(0)] : [load(0), load(3)];
        const value = isMathFunction(name) ? applyMath(b, L, name, operands) : emitTerm(b, L, kernelTerm(name), () => operands[0]); // prettier-ignore
        b.get(1);
        value(b);
        b.simd(11);
        b.memory(0);
        for (const pointer of [0, 1, 3]) b.set(pointer, i32add(localExpr(pointer), i32(16)));
      },
      b.tee(2, i32add(localExpr(2), i32(-1))),
    );
  });
}
