/**
 * How PyTorch and Lux.jl name and arrange the weights of each kind of layer: tables.
 *
 * Layers here put inputs before outputs and features last, and correlate. PyTorch puts outputs before inputs and channels
 * before space, and correlates. Lux.jl, whose arrays begin with the features, puts outputs before inputs, the axes of
 * images as width before height, and turns kernels round. The order of gates and of heads is the same in all three.
 */

/** From their axes to ours: entry i is the axis of theirs that becomes our axis i. */
type Axes = (rank: number) => number[];

/** How one array of theirs becomes one tensor of ours. */
export interface Leaf {
  /** Their name, within the layer. */
  readonly name: string;
  /** Default: as they are. */
  readonly axes?: Axes;
  /** Its first axes are those a kernel slides along, here. */
  readonly kernel?: true;
  /** One of several that they keep in one array, one after the other on the first axis. */
  readonly part?: readonly [index: number, of: number];
  /** Theirs has a last axis of size 1 more. */
  readonly trailing?: true;
}

/** The fields of a layer's parameters, or with a path into its children; `states` those of its states. */
export interface KindOfLayer {
  readonly parameters: Readonly<Record<string, Leaf>>;
  readonly states?: Readonly<Record<string, Leaf>>;
}

export interface Dialect {
  /** Layers by the name they print with. A layer of another kind is made of its children. */
  readonly kinds: Readonly<Record<string, KindOfLayer | undefined>>;
  /** Layers that keep their children's weights among their own, with an ending for each child. */
  readonly endings: Readonly<Record<string, ((child: string, ending: string) => string) | undefined>>;
  /** Their name of a field here. */
  readonly segment: (field: string) => string;
  /** Do kernels slide as they are? */
  readonly crossCorrelation: boolean;
  /** Entries that stand for nothing here. */
  readonly ignored: RegExp;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Last axis first. */
const turned: Axes = (rank) => range(rank).reverse();
/** `[outputs, inputs, ...window]` to `[...window, inputs, outputs]`. */
const windowFirst: Axes = (rank) => [...range(rank - 2).map((i) => i + 2), 1, 0];
/** `[width, height, inputs, outputs]` to `[height, width, inputs, outputs]`. */
const windowTurned: Axes = (rank) => [...range(rank - 2).reverse(), rank - 2, rank - 1];
/** The first axis last. */
const rotated: Axes = (rank) => [...range(rank - 1).map((i) => i + 1), 0];

const same = (name: string): Leaf => ({ name });
const matrix = (name: string): Leaf => ({ name, axes: turned });

/** Matrices with the outputs first. */
const CELL: Readonly<Record<string, Leaf>> = {
  weightIh: matrix('weight_ih'),
  weightHh: matrix('weight_hh'),
  biasIh: same('bias_ih'),
  biasHh: same('bias_hh'),
};

const RUNNING: Readonly<Record<string, Leaf>> = { runningMean: same('running_mean'), runningVar: same('running_var') };

/** Scale and bias under these names. */
const norm = (scale: string, states?: KindOfLayer['states']): KindOfLayer => ({
  parameters: { scale: same(scale), bias: same('bias') },
  ...(states === undefined ? {} : { states }),
});

const torchKernel: KindOfLayer = {
  parameters: { weight: { name: 'weight', axes: windowFirst, kernel: true }, bias: same('bias') },
};
const torchCell: KindOfLayer = { parameters: CELL };
const part = (name: string, index: number): Leaf => ({ name, axes: turned, part: [index, 3] });
const biasPart = (index: number): Leaf => ({ name: 'in_proj_bias', part: [index, 3] });
const outProjection = { 'outProj.weight': matrix('out_proj.weight'), 'outProj.bias': same('out_proj.bias') };

/** `nn.MultiheadAttention` with one size for all. */
const torchAttention: KindOfLayer = {
  parameters: {
    'qProj.weight': part('in_proj_weight', 0),
    'kProj.weight': part('in_proj_weight', 1),
    'vProj.weight': part('in_proj_weight', 2),
    'qProj.bias': biasPart(0),
    'kProj.bias': biasPart(1),
    'vProj.bias': biasPart(2),
    ...outProjection,
  },
};

/** `nn.MultiheadAttention` with `kdim` or `vdim`. */
const torchAttentionOfSizes: KindOfLayer = {
  parameters: {
    ...torchAttention.parameters,
    'qProj.weight': matrix('q_proj_weight'),
    'kProj.weight': matrix('k_proj_weight'),
    'vProj.weight': matrix('v_proj_weight'),
  },
};

export const PYTORCH: Dialect = {
  kinds: {
    Dense: { parameters: { weight: matrix('weight'), bias: same('bias') } },
    Bilinear: { parameters: { weight: { name: 'weight', axes: rotated }, bias: same('bias') } },
    Conv: torchKernel,
    ConvTranspose: torchKernel,
    BatchNorm: norm('weight', RUNNING),
    InstanceNorm: norm('weight', RUNNING),
    GroupNorm: norm('weight'),
    LayerNorm: norm('weight'),
    RMSNorm: norm('weight'),
    Embedding: { parameters: { weight: same('weight') } },
    RNNCell: torchCell,
    LSTMCell: torchCell,
    GRUCell: torchCell,
    MultiHeadAttention: torchAttention,
    'MultiHeadAttention of sizes': torchAttentionOfSizes,
  },
  endings: {
    StackedRNN: (child) => `_l${Number(child.replace(/\D/g, '')) - 1}`,
    BidirectionalRNN: (child, ending) =>
      `${ending === '' ? '_l0' : ending}${child === 'backwardRnn' ? '_reverse' : ''}`,
    Recurrence: (_, ending) => (ending === '' ? '_l0' : ending),
  },
  segment: (field) => field,
  crossCorrelation: true,
  ignored: /(^|\.)num_batches_tracked$/,
};

const luxKernel: KindOfLayer = {
  parameters: { weight: { name: 'weight', axes: windowTurned, kernel: true }, bias: same('bias') },
};
const luxCell: KindOfLayer = {
  parameters: { ...CELL, hiddenState: same('hidden_state'), memory: same('memory') },
};

export const LUX: Dialect = {
  kinds: {
    Dense: { parameters: { weight: matrix('weight'), bias: same('bias') } },
    Scale: { parameters: { weight: matrix('weight'), bias: matrix('bias') } },
    Bilinear: { parameters: { weight: { name: 'weight', axes: rotated }, bias: same('bias') } },
    Conv: luxKernel,
    ConvTranspose: luxKernel,
    BatchNorm: norm('scale', RUNNING),
    InstanceNorm: norm('scale', RUNNING),
    GroupNorm: norm('scale'),
    LayerNorm: {
      parameters: {
        scale: { name: 'scale', axes: turned, trailing: true },
        bias: { name: 'bias', axes: turned, trailing: true },
      },
    },
    RMSNorm: { parameters: { scale: matrix('scale') } },
    Embedding: { parameters: { weight: { name: 'weight', axes: rotated } } },
    RNNCell: luxCell,
    LSTMCell: luxCell,
    GRUCell: luxCell,
  },
  endings: {},
  segment: (field) => field.replace(/(\d+)$/, '_$1').replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
  crossCorrelation: false,
  ignored: /(^|\.)training$/,
};

export const DIALECTS = { pytorch: PYTORCH, lux: LUX } as const;
