/**
 * What two graphs have in common that compute the same: text to find one by the other, and a form that belongs to neither.
 *
 * The text holds the operations with their attributes, how they are connected, shapes, dtypes and the values of constants.
 * Captured tensors and primitives are places in it, of which only the form counts: whoever runs the graph brings his own.
 */
import {
  CAPTURED,
  CONSTANT,
  formatShape,
  INPUT,
  makeNode,
  PRIMITIVE,
  type ConstantAttrs,
  type Graph,
  type Node,
  type Spec,
  type Value,
} from './graph.js';
import type { Attrs } from './engine.js';
import type { Primitive, PrimitiveAttrs } from './primitive.js';

/** Constants with more elements are not compared. */
const MOST_ELEMENTS = 1024;

const numeral = (x: number): string => (Object.is(x, -0) ? '-0' : String(x));

/** Text equal exactly for equal attributes; null where they hold what has no such text. */
export function attributeText(x: unknown): string | null {
  if (typeof x === 'number') return numeral(x);
  if (typeof x === 'string') return JSON.stringify(x);
  if (typeof x === 'boolean' || x === null || x === undefined) return String(x);
  if (typeof x !== 'object') return null;
  if (ArrayBuffer.isView(x)) return x instanceof DataView ? null : listText(Array.from(x as Float32Array));
  if (Array.isArray(x)) return listText(x);
  const prototype: unknown = Object.getPrototypeOf(x);
  if (prototype !== Object.prototype && prototype !== null) return null;
  const parts: string[] = [];
  for (const [name, value] of Object.entries(x)) {
    const text = attributeText(value);
    if (text === null) return null;
    parts.push(`${name}:${text}`);
  }
  return `{${parts.join()}}`;
}

function listText(list: readonly unknown[]): string | null {
  const parts: string[] = [];
  for (const item of list) {
    const text = attributeText(item);
    if (text === null) return null;
    parts.push(text);
  }
  return `[${parts.join()}]`;
}

/** The values of a constant as text; null where there are more than `most`, and none that all share, or no numbers. */
export function constantText({ values, splat }: ConstantAttrs, most: number): string | null {
  if (splat !== undefined) return numeral(splat);
  if (values.length > most || !ArrayBuffer.isView(values)) return null;
  return Array.from(values as Float32Array, numeral).join();
}

const specText = ({ shape, dtype }: Spec): string => `${dtype}${formatShape(shape)}`;

/** What the node itself says, without its inputs. */
function nodeText({ kernel, attrs, inputNames }: Node): string | null {
  switch (kernel) {
    case INPUT:
    case CAPTURED:
      return kernel;
    case CONSTANT: {
      const values = constantText(attrs as unknown as ConstantAttrs, MOST_ELEMENTS);
      return values === null ? null : `${kernel} ${values}`;
    }
    case PRIMITIVE:
      return `${kernel} ${JSON.stringify((attrs as unknown as PrimitiveAttrs).primitive.name)}`;
    default: {
      const text = attributeText(attrs);
      return text === null ? null : `${kernel} ${inputNames?.join() ?? ''} ${text}`;
    }
  }
}

const structures = new WeakMap<Graph, string | null>();

/**
 * Text equal exactly for graphs that compute the same by the same nodes in the same order; null for a graph that has none,
 * because it holds large constants or attributes that are no data.
 */
export function structureOf(graph: Graph): string | null {
  let structure = structures.get(graph);
  if (structure === undefined) structures.set(graph, (structure = textOf(graph)));
  return structure;
}

function textOf({ nodes, inputs, outputs }: Graph): string | null {
  const names = new Map<Value, string>(inputs.map((v, i) => [v, `i${i}`]));
  const namesOf = (values: readonly Value[]): string => values.map((v) => names.get(v)).join();
  const lines = inputs.map(specText);
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i];
    if (node.kernel === INPUT) continue;
    const text = nodeText(node);
    if (text === null) return null;
    for (const v of node.outputs) names.set(v, `${i}.${v.index}`);
    lines.push(`${text} ${namesOf(node.inputs)} ${node.outputs.map(specText).join()}`);
  }
  lines.push(namesOf(outputs));
  return lines.join('\n');
}

export const primitivesOf = ({ nodes }: Graph): Primitive[] =>
  nodes.filter(({ kernel }) => kernel === PRIMITIVE).map(({ attrs }) => (attrs as unknown as PrimitiveAttrs).primitive);

/** What stands for a primitive in a form: whoever runs that brings the primitive itself. */
const placeOf = ({ name, outputs }: Primitive): Primitive => ({
  name,
  outputs,
  run: () => {
    throw new Error(`${name} is a place in a form, and cannot run`);
  },
});

function ownAttrs({ kernel, attrs }: Node): Attrs {
  if (kernel === CAPTURED) return {};
  return kernel === PRIMITIVE ? { primitive: placeOf((attrs as unknown as PrimitiveAttrs).primitive) } : attrs;
}

/** The graph node by node, without the captured tensors and the primitives of this one. */
export function formOf(graph: Graph): Graph {
  const { nodes, inputs, outputs } = graph;
  if (!nodes.some(({ kernel }) => kernel === CAPTURED || kernel === PRIMITIVE)) return graph;
  const copies = new Map<Value, Value>();
  const resolve = (v: Value): Value => copies.get(v) as Value;
  const copy = (node: Node): Node => {
    const made = makeNode(node.kernel, node.inputs.map(resolve), node.inputNames, ownAttrs(node), node.outputs, node.scope); // prettier-ignore
    node.outputs.forEach((v, i) => copies.set(v, made.outputs[i]));
    return made;
  };
  for (const { node } of inputs) copy(node);
  const given = new Map(inputs.map(({ node }) => [node, resolve(node.outputs[0]).node]));
  const own = nodes.map((node) => given.get(node) ?? copy(node));
  return { nodes: own, inputs: inputs.map(resolve), outputs: outputs.map(resolve) };
}
