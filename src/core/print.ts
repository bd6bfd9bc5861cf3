/**
 * Layer trees as text, in the format of Lux.jl, with this package's field names: what is printed can be typed
 * (`ps.layer1.weight`).
 */
import { parameterLength, stateLength, type AnyLayer, type Layer } from './layer.js';
import type { StateTree, Tree } from './tree.js';

const INDENT = 4;
/** Comments start at this column inside a container, and at the second one beside a layer that stands alone. */
const COMMENT_COLUMN = 49;
const LONE_COMMENT_COLUMN = 29;

/** 1234567 as `1_234_567`. */
const thousands = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, '_');

/** `# 6 (3 x 2) parameters, plus 7 non-trainable` for a layer that stands `copies` times; nothing without parameters. */
function comment(parameters: number, states: number, copies: number): string {
  if (parameters === 0) return '';
  const count =
    copies === 1 ? thousands(parameters) : `${thousands(parameters * copies)} (${thousands(parameters)} x ${copies})`;
  return `# ${count} parameters${states === 0 ? '' : `, plus ${thousands(states * copies)} non-trainable`}`;
}

function withComment(text: string, indent: number, column: number, note: string, comma: string): string {
  const line = ' '.repeat(indent) + text + comma;
  if (note === '') return line;
  // The comma is not counted, so that a line with one is aligned with a line without.
  return line + ' '.repeat(Math.max(2, column - indent - text.length)) + note;
}

interface Sibling {
  readonly name: string;
  readonly layer: AnyLayer;
}

/** `layer2` as ['layer', 2]. */
function numbered(name: string): [string, number] | undefined {
  const match = /^(.*?)(\d+)$/.exec(name);
  return match === null ? undefined : [match[1], Number(match[2])];
}

/** The field of one layer, or `layer(1-2)` for a run of them. */
function fieldOf(members: readonly Sibling[]): string {
  const first = members[0].name;
  if (members.length === 1) return first;
  const [stem, from] = numbered(first) as [string, number];
  return `${stem}(${from}-${from + members.length - 1})`;
}

const childrenOf = ({ display }: AnyLayer): Sibling[] =>
  Object.entries(display?.children ?? {}).map(([name, layer]) => ({ name, layer }));

const headOf = ({ display }: AnyLayer): { name: string; summary: string } => ({
  name: display?.name ?? 'Layer',
  summary: display?.summary ?? '',
});

/** One printing: what it has counted and compared, it remembers. */
class Printing {
  private readonly counts = new Map<AnyLayer, { parameters: number; states: number }>();
  private readonly likenesses = new Map<AnyLayer, string>();

  count(layer: AnyLayer): { parameters: number; states: number } {
    let count = this.counts.get(layer);
    if (count === undefined) {
      count = { parameters: parameterLength(layer), states: stateLength(layer) };
      this.counts.set(layer, count);
    }
    return count;
  }

  /** Text equal for layers that print alike. */
  private likeness(layer: AnyLayer): string {
    let text = this.likenesses.get(layer);
    if (text === undefined) {
      text = this.element(layer, '', 0, 1).join('\n');
      this.likenesses.set(layer, text);
    }
    return text;
  }

  /** Runs of neighbours that print alike and are numbered one after the other. */
  private runs(siblings: readonly Sibling[]): Sibling[][] {
    const groups: Sibling[][] = [];
    for (const sibling of siblings) {
      const group = groups.at(-1);
      const last = group?.at(-1);
      const before = last === undefined ? undefined : numbered(last.name);
      const here = numbered(sibling.name);
      const follows = before !== undefined && here !== undefined && here[0] === before[0] && here[1] === before[1] + 1;
      if (
        group !== undefined &&
        last !== undefined &&
        follows &&
        this.likeness(last.layer) === this.likeness(sibling.layer)
      ) {
        group.push(sibling);
      } else {
        groups.push([sibling]);
      }
    }
    return groups;
  }

  /** A layer inside a container; its last line ends with a comma. */
  private element(layer: AnyLayer, prefix: string, indent: number, copies: number): string[] {
    const { name, summary } = headOf(layer);
    if (childrenOf(layer).length > 0) {
      const margin = ' '.repeat(indent);
      return [`${margin}${prefix}${name}(`, ...this.body(layer, indent, copies), `${margin}),`];
    }
    const { parameters, states } = this.count(layer);
    const note = comment(parameters, states, copies);
    return [withComment(`${prefix}${name}(${summary})`, indent, COMMENT_COLUMN, note, ',')];
  }

  /** What stands between the parentheses of a container. */
  body(layer: AnyLayer, indent: number, copies: number): string[] {
    const inner = indent + INDENT;
    const siblings = childrenOf(layer);
    const { summary } = headOf(layer);
    const counted = siblings.reduce((n, child) => n + this.count(child.layer).parameters, 0);
    const own = comment(Math.max(0, this.count(layer).parameters - counted), 0, copies);
    const lines: string[] = [];
    // What a container says of itself (a connection, say) comes first, with the parameters that no child owns.
    if (summary !== '') lines.push(withComment(summary, inner, COMMENT_COLUMN, own, ','));
    else if (own !== '') lines.push(withComment('', inner, COMMENT_COLUMN, `${own} of its own`, ''));
    for (const members of this.runs(siblings)) {
      const field = fieldOf(members);
      // A wrapper's only layer has the wrapper's own tree: there is no field to print.
      const prefix = field === '' ? '' : `${field} = `;
      lines.push(...this.element(members[0].layer, prefix, inner, copies * members.length));
    }
    return lines;
  }
}

/**
 * A layer and all below it as text, with parameter and state counts.
 *
 * Neighbours that are alike share a line: `layer(1-2) = Dense(2 => 1),  # 6 (3 x 2) parameters`. The counts come from
 * parameters and states that are made for the purpose and freed again.
 */
export function layerToString(layer: AnyLayer): string {
  const printing = new Printing();
  const { name, summary } = headOf(layer);
  const { parameters, states } = printing.count(layer);
  if (childrenOf(layer).length === 0) {
    return withComment(`${name}(${summary})`, 0, LONE_COMMENT_COLUMN, comment(parameters, states, 1), '');
  }
  return [
    `${name}(`,
    ...printing.body(layer, 0, 1),
    `)         # Total: ${thousands(parameters)} parameters,`,
    `          #        plus ${thousands(states)} states.`,
  ].join('\n');
}

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/**
 * A layer of one's own, made ready: frozen, and printed like the built-in ones by `console.log` and `String`.
 *
 * @param layer A record with `initialParameters`, `initialStates` and `apply`; with a `display`, it prints by name.
 * @throws TypeError naming the function that is missing.
 */
export function defineLayer<X, Y, P extends Tree, S extends StateTree, L extends Layer<X, Y, P, S>>(
  layer: L & Layer<X, Y, P, S>,
): Layer<X, Y, P, S> & Readonly<L> {
  for (const name of ['initialParameters', 'initialStates', 'apply'] as const) {
    if (typeof (layer as Partial<AnyLayer>)[name] !== 'function') {
      throw new TypeError(`defineLayer: the layer has no function "${name}"`);
    }
  }
  // An instance of a class keeps its prototype, and with it its methods.
  const record = Object.assign(Object.create(Object.getPrototypeOf(layer) as object | null) as object, layer);
  const print = { value: () => layerToString(record), enumerable: false };
  Object.defineProperties(record, { toString: print, [INSPECT]: print });
  Object.freeze(record);
  return record;
}
