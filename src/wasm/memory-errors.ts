/**
 * Running out of memory, in words that say what needed it.
 */
import { formatShape, type Graph } from '../graph/graph.js';
import { HeapError } from './heap.js';

const MOST = 4;

/** The operations of a graph, the frequent ones by name, and the shapes it takes and gives. */
export function describeProgram({ nodes, inputs, outputs }: Graph): string {
  const counts = new Map<string, number>();
  for (const { kernel, inputs: operands } of nodes) {
    if (operands.length > 0) counts.set(kernel, (counts.get(kernel) ?? 0) + 1);
  }
  const operations = [...counts].sort((a, b) => b[1] - a[1]);
  const total = operations.reduce((n, [, k]) => n + k, 0);
  const names = operations.slice(0, MOST).map(([kernel, n]) => `${n} ${kernel}`);
  if (operations.length > MOST) names.push('...');
  const shapes = (values: readonly { readonly shape: readonly number[] }[]): string => {
    const some = values.slice(0, MOST).map(({ shape }) => formatShape(shape));
    return [...some, ...(values.length > MOST ? ['...'] : [])].join(', ') || 'nothing';
  };
  return `the program of ${total} operations (${names.join(', ')}) from ${shapes(inputs)} to ${shapes(outputs)}`;
}

/** The error again, with the program and what it needs if it is one of memory. */
export function withProgram(error: unknown, program: string, needs: string): unknown {
  if (!(error instanceof HeapError)) return error;
  return new HeapError(`${program} needs ${needs}: ${error.message}`, { cause: error });
}
