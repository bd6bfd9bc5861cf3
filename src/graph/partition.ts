/**
 * One graph into two that run at different times: the early one hands over what the late one needs of its inner values.
 */
import { INPUT, liveNodes, makeNode, sizeOf, SOURCES, type Graph, type Spec, type Value } from './graph.js';

export interface Partition {
  /** (inputs) -> [early outputs, residuals]. */
  readonly early: Graph;
  /** (inputs, residuals) -> late outputs. */
  readonly late: Graph;
  readonly residuals: readonly Spec[];
}

/** Split so that the first `count` outputs are computed early and the others late. Nothing is computed twice. */
export function partition({ inputs, outputs }: Graph, count: number): Partition {
  const firstOutputs = outputs.slice(0, count);
  const lateOutputs = outputs.slice(count);
  const early = new Set(liveNodes(firstOutputs));
  const residuals: Value[] = [];
  const standIns = new Map<Value, Value>();
  const isInner = ({ node }: Value): boolean => early.has(node) && !SOURCES.has(node.kernel);

  const standIn = (v: Value): Value => {
    let made = standIns.get(v);
    if (made === undefined) {
      const position = inputs.length + residuals.length;
      [made] = makeNode(INPUT, [], null, { position }, [v], v.node.scope).outputs;
      standIns.set(v, made);
      residuals.push(v);
    }
    return made;
  };

  const moved = new Map<Value, Value>();
  const resolve = (v: Value): Value => (isInner(v) ? standIn(v) : (moved.get(v) ?? v));
  for (const node of liveNodes(lateOutputs)) {
    if (early.has(node)) continue;
    const given = node.inputs.map(resolve);
    if (given.every((v, i) => v === node.inputs[i])) continue;
    const copy = makeNode(node.kernel, given, node.inputNames, node.attrs, node.outputs, node.scope);
    node.outputs.forEach((v, i) => moved.set(v, copy.outputs[i]));
  }
  return {
    early: graphOf(inputs, [...firstOutputs, ...residuals]),
    late: graphOf([...inputs, ...residuals.map((v) => standIns.get(v) as Value)], lateOutputs.map(resolve)),
    residuals,
  };
}

/** The part of a graph that computes some of its outputs, with the same inputs. */
export function selectOutputs({ inputs, outputs }: Graph, from: number, to: number): Graph {
  return graphOf(inputs, outputs.slice(from, to));
}

function graphOf(inputs: readonly Value[], outputs: readonly Value[]): Graph {
  return { nodes: liveNodes(outputs), inputs, outputs };
}

/** Numbers in tensors of these shapes. */
export const totalSize = (specs: readonly Spec[]): number => specs.reduce((n, { shape }) => n + sizeOf(shape), 0);
