/**
 * Keras models of tfjs as layers.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { AnyLayer, Layer } from '../../core/layer.js';
import { keyOption, parseOptions, z } from '../../core/options.js';
import { key as makeKey, type Key } from '../../core/random.js';
import { isTensor, type StateTree, type Tensor, type Tree } from '../../core/tree.js';
import { chain } from '../../layers/containers.js';
import { defineContainer, type CallChild } from '../../layers/container.js';
import { InteropError } from '../errors.js';
import { CONVERTERS } from './layers.js';
import { Source, type Converted, type KerasLayer, type KerasModel, type KerasTensor, type Shape } from './source.js';

export interface FromLayersModelOptions {
  /** For layers with random states (dropout). Default `key(0)`. */
  readonly key?: Key;
}

/** A tfjs Layers model as a layer with its parameters and states. */
export interface FromLayersModel {
  readonly layer: Layer<Tensor | readonly Tensor[], Tensor | Tensor[], Tree, StateTree>;
  /** A field for each layer with the model's name for it; copies of the weights, the caller's to dispose of. */
  readonly ps: Tree;
  /** In test mode, as `model.predict` is; `trainMode(st)` for training. */
  readonly st: StateTree;
}

const OPTIONS = z.strictObject({ key: keyOption.optional() });

/** One call of a layer: which, on which values, giving which. */
interface Step {
  readonly child: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** The model that a layer is, if it is one. */
function asModel(layer: unknown): KerasModel | undefined {
  const model = layer as KerasModel | null | undefined;
  return typeof model === 'object' && Array.isArray(model?.layers) ? model : undefined;
}

/** A name that a field of a parameter tree can have. */
const fieldName = (name: string): string => name.replace(/\./g, '_').replace(/^(?=\d)/, 'layer_') || 'layer';

/** The calls between inputs and outputs of a model, each after those it needs. */
class Walk {
  readonly steps: Step[] = [];
  readonly layers = new Map<KerasLayer, { readonly name: string; readonly shapes: readonly Shape[] }>();
  private readonly done = new Set<number>();

  constructor(
    private readonly title: string,
    inputs: readonly KerasTensor[],
  ) {
    for (const { id } of inputs) this.done.add(id);
  }

  reach(tensor: KerasTensor): void {
    if (this.done.has(tensor.id)) return;
    const { sourceLayer: layer, nodeIndex } = tensor;
    const node = layer.inboundNodes[nodeIndex] as (typeof layer.inboundNodes)[number] | undefined;
    if (node === undefined || node.inputTensors.length === 0 || layer.getClassName() === 'InputLayer') {
      throw new InteropError(`fromLayersModel: ${this.title}: layer "${layer.name}" is reached from no input of the model`); // prettier-ignore
    }
    for (const input of node.inputTensors) this.reach(input);
    this.steps.push({
      child: this.nameOf(layer, node.inputTensors),
      inputs: node.inputTensors.map(({ id }) => id),
      outputs: node.outputTensors.map(({ id }) => id),
    });
    for (const { id } of node.outputTensors) this.done.add(id);
  }

  private nameOf(layer: KerasLayer, inputs: readonly KerasTensor[]): string {
    const known = this.layers.get(layer);
    if (known !== undefined) return known.name;
    const taken = new Set([...this.layers.values()].map(({ name }) => name));
    let name = fieldName(layer.name);
    while (taken.has(name)) name += '_';
    this.layers.set(layer, { name, shapes: inputs.map(({ shape }) => shape) });
    return name;
  }
}

function convertModel(model: KerasModel, key: Key): Converted {
  const title = `model "${model.name}"`;
  const outputs = model.outputs as readonly KerasTensor[] | null | undefined;
  if (outputs == null || outputs.length === 0) {
    throw new InteropError(`fromLayersModel: ${title} is not built: give its first layer an inputShape, or build it`);
  }
  const walk = new Walk(title, model.inputs);
  for (const output of outputs) walk.reach(output);
  const converted: Record<string, Converted> = {};
  for (const [layer, { name, shapes }] of walk.layers) converted[name] = convertLayer(layer, shapes, key);
  const each = <T>(pick: (c: Converted) => T): Record<string, T> =>
    Object.fromEntries(Object.entries(converted).map(([name, c]) => [name, pick(c)]));
  return { layer: join(model, walk.steps, each((c) => c.layer)), ps: each((c) => c.ps), st: each((c) => c.st) }; // prettier-ignore
}

/** The calls as a layer: a chain where each takes what the one before gives. */
function join(model: KerasModel, steps: readonly Step[], children: Readonly<Record<string, AnyLayer>>): AnyLayer {
  const inputs = model.inputs.map(({ id }) => id);
  const outputs = model.outputs.map(({ id }) => id);
  const inRow =
    inputs.length === 1 &&
    outputs.length === 1 &&
    steps.length === Object.keys(children).length &&
    steps.every((s, i) => s.inputs.length === 1 && s.inputs[0] === (i === 0 ? inputs[0] : steps[i - 1].outputs[0]));
  if (inRow) return chain(children);
  const title = `LayersModel(${model.name})`;
  return defineContainer({
    name: 'LayersModel',
    summary: model.name,
    children,
    body: (call: CallChild, x: unknown) => {
      const given: readonly unknown[] = isTensor(x) ? [x] : Array.isArray(x) ? x : [];
      if (given.length !== inputs.length) {
        throw new InteropError(`${title}: expected ${inputs.length} input${inputs.length === 1 ? '' : 's'}, got ${given.length}`); // prettier-ignore
      }
      const values = new Map<number, unknown>(inputs.map((id, i) => [id, given[i]]));
      for (const step of steps) {
        const args = step.inputs.map((id) => values.get(id));
        const y = call(step.child, args.length === 1 ? args[0] : args);
        const results: readonly unknown[] = Array.isArray(y) ? y : [y];
        step.outputs.forEach((id, i) => values.set(id, results[i]));
      }
      const results = outputs.map((id) => values.get(id));
      return results.length === 1 ? results[0] : results;
    },
  });
}

function convertLayer(layer: KerasLayer, shapes: readonly Shape[], key: Key): Converted {
  const model = asModel(layer);
  if (model !== undefined) return convertModel(model, key);
  const source = new Source(layer, shapes, key, (inner, innerShapes) => convertLayer(inner, innerShapes, key));
  const convert = Object.hasOwn(CONVERTERS, source.kind) ? CONVERTERS[source.kind] : undefined;
  if (convert === undefined) return source.fail('there is no counterpart of this kind of layer');
  return convert(source);
}

/**
 * A layer with the numbers of a tfjs Layers (Keras) model: sequential, functional, with layers that are shared or that are
 * models themselves.
 *
 * The weights are copied: training either leaves the other as it is. Every function of this package takes the result as it
 * takes any layer, `compile` and second derivatives included. A converted model differs from its origin where it trains
 * batch normalisation: the running variance here takes the unbiased variance of a batch, Keras's the biased one.
 *
 * Counterparts are there for Dense, Conv1D to Conv3D, Conv2DTranspose, Conv3DTranspose, DepthwiseConv2D, SeparableConv2D,
 * maximum and average pooling (also global), BatchNormalization and LayerNormalization over last axes, Embedding, SimpleRNN,
 * LSTM, GRU, Bidirectional, TimeDistributed, Dropout, SpatialDropout1D, AlphaDropout, Flatten, Reshape, Permute,
 * RepeatVector, ZeroPadding2D, Cropping2D, UpSampling2D, Rescaling, Activation and the activations that are layers, Add,
 * Multiply, Average, Maximum, Minimum and Concatenate.
 *
 * @param model A built model: `tf.sequential`, `tf.model`, or what `tf.loadLayersModel` gives.
 * @param options `key`.
 * @throws InteropError naming the layer that has no counterpart, or the option of it that has none.
 *
 * @example
 * const { layer, ps, st } = fromLayersModel(await tf.loadLayersModel(url));
 * const [y] = layer.apply(x, ps, st); // model.predict(x)
 */
export function fromLayersModel(model: KerasModel, options?: FromLayersModelOptions): FromLayersModel {
  if (asModel(model) === undefined) {
    throw new TypeError('fromLayersModel: expected a tfjs LayersModel, as tf.sequential, tf.model or tf.loadLayersModel give'); // prettier-ignore
  }
  const { key } = parseOptions(OPTIONS, options, 'fromLayersModel');
  let layer: AnyLayer | undefined;
  const trees = tf.tidy(() => {
    const result = convertModel(model, key ?? makeKey(0));
    layer = result.layer;
    return [result.ps, result.st] as unknown as tf.TensorContainer;
  }) as unknown as [Tree, StateTree];
  return { layer: layer as unknown as FromLayersModel['layer'], ps: trees[0], st: trees[1] };
}
