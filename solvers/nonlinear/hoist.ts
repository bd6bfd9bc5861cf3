/**
 * What an iteration computes again and again, apart from what it needs to compute once.
 *
 * A map `tanh(W z + U x + b)` is evaluated a dozen times at other `z`, and always with the same `U x + b`; its
 * derivative at one point
 * is applied a dozen times, always with the same `1 - tanh^2`. Splitting the graph by what depends on the changing inputs
 * finds both without knowing either.
 */
import {
  CAPTURED,
  INPUT,
  liveNodes,
  makeNode,
  SOURCES,
  type Graph,
  type Node,
  type Value,
} from '../../src/graph/graph.js';
import { simplify } from '../../src/graph/simplify.js';

export interface Hoisted {
  /** (fixed inputs) -> values the loop takes; null where there is nothing to compute beforehand. */
  readonly prologue: Graph | null;
  /** (changing inputs, those fixed inputs it still uses, values of the prologue) -> outputs. */
  readonly loop: Graph;
  /** Which of the fixed inputs the loop still takes. */
  readonly used: readonly number[];
}

/** Costs nothing where it is used: it stays there, so that what lies under it need not be copied. */
const VIEWS: ReadonlySet<string> = new Set(['Reshape', 'Identity', 'ExpandDims']);

const isSource = ({ node }: Value): boolean => SOURCES.has(node.kernel);

function input(spec: Value, position: number): Value {
  return makeNode(INPUT, [], null, { position }, [spec], spec.node.scope).outputs[0];
}

/**
 * Split a graph whose first `changing` inputs change from run to run.
 *
 * @throws Error when the graph captures a tensor: everything must be an input.
 */
export function hoist(traced: Graph, changing: number): Hoisted {
  const graph = simplify(traced);
  const varying = new Set<Value>(graph.inputs.slice(0, changing));
  for (const { kernel, inputs, outputs } of graph.nodes) {
    if (kernel === CAPTURED) throw new Error('a program of a loop has a captured tensor');
    if (inputs.some((v) => varying.has(v))) for (const v of outputs) varying.add(v);
  }
  // The values at the border, in the order in which they are met.
  const border = new Map<Value, Value>();
  const settled = new Set<Value>();
  const visit = (v: Value): void => {
    if (varying.has(v) || isSource(v) || settled.has(v)) return;
    settled.add(v);
    if (VIEWS.has(v.node.kernel)) v.node.inputs.forEach(visit);
    else border.set(v, input(v, graph.inputs.length + border.size));
  };
  for (const node of graph.nodes) if (node.outputs.some((v) => varying.has(v))) node.inputs.forEach(visit);
  graph.outputs.forEach(visit);

  const copies = new Map<Node, Node>();
  const resolve = (v: Value): Value => {
    const given = border.get(v);
    if (given !== undefined) return given;
    if (isSource(v)) return v;
    return (copies.get(v.node) ?? copy(v.node)).outputs[v.index];
  };
  const copy = (node: Node): Node => {
    const made = makeNode(node.kernel, node.inputs.map(resolve), node.inputNames, node.attrs, node.outputs, node.scope); // prettier-ignore
    copies.set(node, made);
    return made;
  };
  // In order, so that no chain of nodes makes a deep recursion.
  for (const node of graph.nodes) {
    if (!SOURCES.has(node.kernel) && node.outputs.some((v) => varying.has(v))) copy(node);
  }
  const outputs = graph.outputs.map(resolve);
  const nodes = liveNodes(outputs);
  const live = new Set(nodes);
  const fixed = graph.inputs.slice(changing);
  const used = fixed.flatMap((v, i) => (live.has(v.node) ? [i] : []));
  const inputs = [...graph.inputs.slice(0, changing), ...used.map((i) => fixed[i]), ...border.values()];
  const loop = { nodes, inputs, outputs };
  if (border.size === 0) return { prologue: null, loop, used };
  const wanted = [...border.keys()];
  return { prologue: { nodes: liveNodes(wanted), inputs: fixed, outputs: wanted }, loop, used };
}
