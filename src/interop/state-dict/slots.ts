/**
 * Which of their arrays belongs to which of our tensors, over a whole model.
 */
import type { AnyLayer } from '../../core/layer.js';
import { formatPath, isRecord, isTensor, leaves, type Path, type Tensor } from '../../core/tree.js';
import { childrenOf } from '../../layers/tools/layer-map.js';
import { InteropError } from '../errors.js';
import type { Dialect, KindOfLayer, Leaf } from './dialects.js';

/** One tensor of ours and where it is among theirs. */
export interface Slot {
  readonly tree: 'parameters' | 'states';
  readonly path: Path;
  readonly tensor: Tensor;
  /** Their full name. */
  readonly name: string;
  readonly leaf: Leaf;
  /** The kernel is turned round on the way. */
  readonly flip: boolean;
}

export interface Naming {
  readonly where: string;
  readonly dialect: Dialect;
  /** Do their convolutions slide kernels as they are? */
  readonly crossCorrelation: boolean;
  /** Their name of the layer at a path of ours; '' for the whole. */
  readonly prefix: (path: Path) => string;
}

interface Place {
  readonly path: Path;
  /** The path of the layer that their names are formed from, and what is added to each. */
  readonly named: Path;
  readonly ending: string;
}

const at = (tree: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((x, field) => (isRecord(x) ? x[field] : undefined), tree);

/** Attention whose inputs differ in size is kept in another way. */
function kindOf(layer: AnyLayer, ps: unknown, { kinds }: Dialect): KindOfLayer | undefined {
  const name = layer.display?.name ?? '';
  if (name !== 'MultiHeadAttention' || kinds[name] === undefined) return Object.hasOwn(kinds, name) ? kinds[name] : undefined; // prettier-ignore
  const sizes = ['qProj', 'kProj', 'vProj'].map((p) => (at(ps, `${p}.weight`) as Tensor | undefined)?.shape.join());
  return kinds[sizes.every((s) => s === sizes[0]) ? name : 'MultiHeadAttention of sizes'];
}

/** All tensors of a model that have a place among their arrays. @throws InteropError for a layer of no known kind. */
export function slotsOf(layer: AnyLayer, ps: unknown, st: unknown, naming: Naming): Slot[] {
  const { dialect, where } = naming;
  const found: Slot[] = [];

  const own = (kind: KindOfLayer, one: AnyLayer, trees: Record<Slot['tree'], unknown>, place: Place): void => {
    const prefix = naming.prefix(place.named);
    const correlates = !(one.display?.summary ?? '').includes('crossCorrelation=false');
    for (const tree of ['parameters', 'states'] as const) {
      for (const [field, leaf] of Object.entries(kind[tree] ?? {})) {
        const tensor = at(trees[tree], field);
        if (!isTensor(tensor)) continue;
        const name = `${prefix === '' ? '' : `${prefix}.`}${leaf.name}${place.ending}`;
        const flip = leaf.kernel === true && correlates !== naming.crossCorrelation;
        found.push({ tree, path: [...place.path, ...field.split('.')], tensor, name, leaf, flip });
      }
    }
    const known = found.filter(({ tree, path }) => tree === 'parameters' && place.path.every((s, i) => s === path[i]));
    if (known.length !== leaves(trees.parameters).length) unknown(one, place);
  };

  const unknown = (one: AnyLayer, { path }: Place): never => {
    throw new InteropError(
      `${where}: layer ${formatPath(path)} (${one.display?.name ?? 'Layer'}) has parameters that have no counterpart there`,
    );
  };

  const visit = (one: AnyLayer, parameters: unknown, states: unknown, place: Place): void => {
    if (leaves(parameters).length === 0 && leaves(states).length === 0) return;
    const kind = kindOf(one, parameters, dialect);
    if (kind !== undefined) {
      own(kind, one, { parameters, states }, place);
      return;
    }
    const children = childrenOf(one);
    if (children.length === 0 && leaves(parameters).length > 0) unknown(one, place);
    const before = found.length;
    const endingOf = dialect.endings[one.display?.name ?? ''];
    for (const [field, inner] of children) {
      const path = field === '' ? place.path : [...place.path, field];
      const [p, s] = field === '' ? [parameters, states] : [at(parameters, field), at(states, field)];
      const next: Place =
        endingOf === undefined
          ? { path, named: field === '' ? place.named : [...place.named, field], ending: place.ending }
          : { path, named: place.named, ending: endingOf(field, place.ending) };
      visit(inner, p, s, next);
    }
    const placed = found.slice(before).filter(({ tree }) => tree === 'parameters').length;
    if (placed !== leaves(parameters).length) unknown(one, place);
  };

  visit(layer, ps, st, { path: [], named: [], ending: '' });
  return found;
}
