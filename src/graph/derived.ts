/**
 * What is made of a graph by tracing it again (a solver's step, its derivative), remembered by what the graph computes: the next
 * graph that is equal gets it without a trace.
 */
import { PRIMITIVE, type Graph } from './graph.js';
import { structureOf } from './structure.js';

/** Graphs that are remembered, and things made of each; those asked for longest ago go first. */
const MOST_GRAPHS = 32;
const MOST_RESULTS = 64;

class Recent<T> {
  private readonly items = new Map<string, T>();

  constructor(private readonly most: number) {}

  get(key: string, make: () => T): T {
    const item = this.items.get(key) ?? make();
    this.items.delete(key);
    this.items.set(key, item); // now the youngest
    for (const oldest of this.items.keys()) {
      if (this.items.size <= this.most) break;
      this.items.delete(oldest);
    }
    return item;
  }
}

type Results = Recent<unknown>;

const known = new Recent<Results>(MOST_GRAPHS);
const ofGraph = new WeakMap<Graph, Results | null>();

/** How often something was there, and how often it had to be made. */
export const derivations = { hits: 0, misses: 0 };

/** Null for a graph that holds more than its structure says. */
function resultsOf(graph: Graph): Results | null {
  let results = ofGraph.get(graph);
  if (results !== undefined) return results;
  const structure = graph.nodes.some(({ kernel }) => kernel === PRIMITIVE) ? null : structureOf(graph);
  results = structure === null ? null : known.get(structure, () => new Recent<unknown>(MOST_RESULTS));
  ofGraph.set(graph, results);
  return results;
}

/**
 * What `make` makes of `source`, or made of a graph equal to it.
 *
 * @param name - It must tell apart whatever else `make` depends on.
 * @param make - Its result is shared: graphs and plain data, which hold no tensor and nothing that is to be freed. What `source`
 * captures must be an input of it.
 */
export function derived<T>(source: Graph, name: string, make: () => T): T {
  const counted = (): T => {
    derivations.misses++;
    return make();
  };
  const results = resultsOf(source);
  if (results === null) return counted();
  const before = derivations.misses;
  const result = results.get(name, counted) as T;
  if (derivations.misses === before) derivations.hits++;
  return result;
}
