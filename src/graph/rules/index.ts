/**
 * Our own derivative rules: where tfjs has none, or a wrong one, or one that cannot be differentiated again. Every other
 * kernel uses the rule that tfjs registers.
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
