/**
 * Our own derivative rules, for every kernel that tfjs has a rule for and some more: tfjs's own, of which some are wrong and some
 * cannot be differentiated again, come with all of `@tensorflow/tfjs`, which nobody needs to load. What a user registers for a
 * kernel of theirs is used where there is none here.
 */
import { ARRANGEMENT } from './arrangement.js';
import { BINARY } from './binary.js';
import { COMPLEX } from './complex.js';
import { CONVOLUTION } from './convolution.js';
import { IMAGE } from './image.js';
import { INDEXING } from './indexing.js';
import { LINEAR_ALGEBRA } from './linear-algebra.js';
import { NORMALISATION } from './normalisation.js';
import { POOLING } from './pooling.js';
import { REDUCTIONS } from './reductions.js';
import type { Rule, RuleTable } from './rule.js';
import { UNARY } from './unary.js';

const TABLES: readonly RuleTable[] = [
  UNARY,
  BINARY,
  COMPLEX,
  REDUCTIONS,
  LINEAR_ALGEBRA,
  ARRANGEMENT,
  INDEXING,
  CONVOLUTION,
  POOLING,
  NORMALISATION,
  IMAGE,
];

const RULES: ReadonlyMap<string, Rule> = new Map(TABLES.flatMap((table) => Object.entries(table)));

export function findRule(kernel: string): Rule | undefined {
  return RULES.get(kernel);
}
