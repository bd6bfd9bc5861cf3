/**
 * A compiled function's program as text.
 */
import * as tf from '@tensorflow/tfjs-core';
import { flattenArguments } from './arguments.js';
import { traceFunction } from './compile.js';
import type { Attrs } from './engine.js';
import { CAPTURED, CONSTANT, formatShape, INPUT, PRIMITIVE, sizeOf, splatOf, type Graph, type Node, type Value } from './graph.js'; // prettier-ignore
import type { PrimitiveAttrs } from './primitive.js';
import type { Program } from './program.js';

/** Constants that hold more than this many bytes are listed at the end. */
const LARGE = 1024;

const typed = ({ dtype, shape }: Value): string => `${dtype} ${formatShape(shape)}`;

/** Attributes that say something: those that are set, without what is not data. */
function formatAttrs(attrs: Attrs): string {
  const shown = Object.entries(attrs).flatMap(([name, value]) =>
    value === undefined || value === null || value === false || typeof value === 'function'
      ? []
      : [`${name}=${typeof value === 'object' ? JSON.stringify(value) : String(value as number | string | boolean)}`],
  );
  return shown.length === 0 ? '' : ` {${shown.join(', ')}}`;
}

function operation(node: Node, nameOf: (v: Value) => string): string {
  const { kernel, inputs, inputNames, attrs } = node;
  if (kernel === INPUT) return `input ${String(attrs.position)}`;
  if (kernel === CAPTURED) return 'captured';
  if (kernel === CONSTANT) {
    const splat = splatOf(node.outputs[0]);
    return splat === undefined ? 'constant' : `constant ${Object.is(splat, -0) ? '-0' : String(splat)}`;
  }
  const operands = inputs
    .map((v, i) => (inputNames === null ? nameOf(v) : `${inputNames[i]}: ${nameOf(v)}`))
    .join(', ');
  if (kernel === PRIMITIVE) return `<${(attrs as unknown as PrimitiveAttrs).primitive.name}>(${operands})`;
  return `${kernel}(${operands})${formatAttrs(attrs)}`;
}

const bytes = ({ shape, dtype }: Value): number => sizeOf(shape) * tf.util.bytesPerElement(dtype);

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;

/** The graph as text: a line for each node, the results, and the large values that tracing has frozen. */
export function formatGraph({ nodes, inputs, outputs }: Graph): string {
  const numbers = new Map<Node, number>(nodes.map((node, i) => [node, i]));
  const nameOf = ({ node, index }: Value): string => {
    // An input that nothing uses is no node of the graph.
    const number = numbers.get(node) ?? `input${inputs.findIndex((v) => v.node === node)}`;
    return `%${number}${node.outputs.length > 1 ? `.${index}` : ''}`;
  };
  const kinds = [INPUT, CAPTURED, CONSTANT];
  const count = (kind: string): number => nodes.filter(({ kernel }) => kernel === kind).length;
  const operations = nodes.filter(({ kernel }) => !kinds.includes(kernel)).length;
  const head = [
    plural(operations, 'operation'),
    plural(inputs.length, 'input'),
    `${count(CAPTURED)} captured`,
    plural(count(CONSTANT), 'constant'),
  ].join(', ');
  const lines = nodes.map((node) => {
    const where = node.scope === '' ? '' : `  # ${node.scope}`;
    return `${nameOf(node.outputs[0])} = ${operation(node, nameOf)}: ${node.outputs.map(typed).join(', ')}${where}`;
  });
  const large = nodes
    .filter(({ kernel, outputs: [v] }) => kernel === CONSTANT && splatOf(v) === undefined && bytes(v) > LARGE)
    .map((node) => {
      const [value] = node.outputs;
      const where = node.scope === '' ? '' : ` in layer ${node.scope}`;
      return `  ${nameOf(value)} ${typed(value)}, ${bytes(value)} bytes${where}`;
    });
  const frozen = large.length === 0 ? [] : ['frozen when traced:', ...large];
  return [head, ...lines, `return ${outputs.map(nameOf).join(', ')}`, ...frozen].join('\n');
}

/**
 * What a function does when compiled, for arguments like these: its operations in order, with shapes, constants and the layer
 * each belongs to. Values over 1 kB that tracing has frozen into the program are listed at the end: a random draw or a
 * table that was meant to be an argument shows there.
 *
 * On the compiled backend the code that runs follows: its kernels as formulas with what was fused into each, the calls of the host and why
 * they are needed, the arena, arithmetic operations and bytes in all, and which results take the place of donated arguments.
 *
 * @param f A function made by `compile`, which is traced if it has not been for this signature; or any other, which is traced
 *   for this. It is not run.
 * @param args Arguments as for a call.
 */
export function explain<A extends unknown[]>(
  f: ((...args: A) => unknown) & { readonly programFor?: (...args: unknown[]) => Program },
  ...args: A
): string {
  if (typeof f !== 'function') throw new TypeError(`explain: the first argument must be a function, got ${typeof f}`);
  if (f.programFor !== undefined) return text(f.programFor(...args));
  const { program } = traceFunction(f, flattenArguments(args));
  try {
    return text(program);
  } finally {
    program.dispose();
  }
}

function text(program: Program): string {
  const described = program.executable().describe?.();
  return [formatGraph(program.graph), ...(described === undefined ? [] : ['', described])].join('\n');
}
